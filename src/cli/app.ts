/**
 * Parses a command line, runs its command, and turns whatever ends it into one line and an exit code.
 *
 * @since 0.1.0
 */
import * as Command from "@effect/cli/Command"
import * as HelpDoc from "@effect/cli/HelpDoc"
import * as ValidationError from "@effect/cli/ValidationError"
import * as NodeContext from "@effect/platform-node/NodeContext"
import * as Cause from "effect/Cause"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { describeFailure } from "./CliError.js"
import { rootCommand } from "./commandTree.js"
import { ExitCode } from "./ExitCode.js"
import { layerStderrLog } from "./internal/log.js"
import { note, stripAnsi } from "./internal/terminal.js"
import type { EndSignal } from "./internal/signals.js"
import { exitCodeOfSignal, installSignals } from "./internal/signals.js"
import { specs } from "./specs/all.js"
import { checkWords } from "./words.js"

// @effect/cli prints a wrong usage itself; it is said here, in one line, with the exit code.
const withoutErrors = (console: Console.Console): Console.Console => ({ ...console, error: () => Effect.void })

const validationLine = (error: ValidationError.ValidationError): string =>
  stripAnsi(HelpDoc.toAnsiText(error.error)).replace(/\s+/g, " ").trim()

/** Runs a command line (without node and script) and completes with the exit code. @since 0.1.0 @category running */
export const runApp = (argv: ReadonlyArray<string>, version: string): Promise<number> => {
  const command = argv[0] ?? ""
  const spec = specs.find((candidate) => candidate.name === command)
  const checked = spec === undefined ? { words: argv.slice(1) } : checkWords(spec, argv.slice(1))
  if ("problem" in checked) {
    note(`glet ${command}: ${checked.problem}; see glet ${command} --help`)
    return Promise.resolve(ExitCode.usage)
  }
  const program = Command.run(rootCommand(spec), { name: "glet", version, executable: "glet" })(["node", "glet", command, ...checked.words])
  const exited = program.pipe(
    (effect) => Console.consoleWith((console) => Console.withConsole(effect, withoutErrors(console))),
    Effect.provide(NodeContext.layer),
    Effect.provide(layerStderrLog)
  )
  let signalled: EndSignal | undefined
  const fiber = Effect.runFork(exited)
  installSignals((signal) => {
    signalled = signal
    Effect.runFork(Fiber.interrupt(fiber))
  })
  return Effect.runPromise(Fiber.await(fiber)).then((exit) => {
    if (Exit.isSuccess(exit)) return ExitCode.done
    if (signalled !== undefined && Cause.isInterruptedOnly(exit.cause)) return exitCodeOfSignal(signalled)
    const failure = Cause.failureOption(exit.cause)
    if (failure._tag === "Some" && ValidationError.isValidationError(failure.value)) {
      note(`glet ${command}: ${validationLine(failure.value)}; see glet ${command} --help`)
      return ExitCode.usage
    }
    const { exitCode, isBug, line } = describeFailure(exit.cause)
    note(`glet ${command}: ${line}`)
    if (isBug && process.env["GLET_DEBUG"] !== undefined) note(Cause.pretty(exit.cause))
    else if (isBug) note("This is a bug of glet-orion; GLET_DEBUG=1 shows where.")
    return exitCode
  })
}
