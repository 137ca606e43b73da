/**
 * Child processes of the demo: line by line, and gone when their scope closes.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { ChildProcess } from "node:child_process"
import { spawn } from "node:child_process"
import * as readline from "node:readline"
import { CliError } from "../CliError.js"

/** A running child. @since 0.1.0 @category processes */
export interface Child {
  readonly pid: number
  /** Completes when it has ended and its output was read: exit code, or the signal that ended it. */
  readonly ended: Effect.Effect<number | NodeJS.Signals>
  /** The last lines of its stderr. */
  readonly lastMessages: () => ReadonlyArray<string>
}

const keptLines = 20
const graceMs = 5000

const hasEnded = (child: ChildProcess): boolean => child.exitCode !== null || child.signalCode !== null

/** SIGTERM, then SIGKILL where that is not enough. */
const stop = (child: ChildProcess): Effect.Effect<void> =>
  Effect.async((resume) => {
    if (hasEnded(child)) return resume(Effect.void)
    const timer = setTimeout(() => child.kill("SIGKILL"), graceMs)
    child.once("exit", () => {
      clearTimeout(timer)
      resume(Effect.void)
    })
    child.kill("SIGTERM")
  })

/** Starts this same program with other arguments; `input` goes to its stdin. @since 0.1.0 @category processes */
export const startGlet = (args: ReadonlyArray<string>, handlers: {
  readonly input?: string
  readonly onLine: (line: string) => void
  readonly onMessage: (line: string) => void
}): Effect.Effect<Child, CliError, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.async<{ readonly process: ChildProcess; readonly child: Child }, CliError>((resume) => {
      const spawned = spawn(process.execPath, [...process.execArgv, process.argv[1]!, ...args], { stdio: ["pipe", "pipe", "pipe"] })
      const messages: Array<string> = []
      readline.createInterface({ input: spawned.stdout }).on("line", handlers.onLine)
      readline.createInterface({ input: spawned.stderr }).on("line", (line) => {
        messages.push(line)
        if (messages.length > keptLines) messages.shift()
        // What it says of being stopped is of no interest: we stop it.
        if (!spawned.killed) handlers.onMessage(line)
      })
      // The child may end before it has read its input; its exit code says why.
      spawned.stdin.on("error", () => undefined)
      spawned.stdin.end(handlers.input ?? "")
      spawned.once("error", (error) => resume(Effect.fail(new CliError({ reason: "failed", problem: `a process could not be started: ${error.message}` }))))
      const ended = new Promise<number | NodeJS.Signals>((done) => {
        spawned.once("close", (code, signal) => done(code ?? signal ?? 1))
      })
      spawned.once("spawn", () => {
        resume(Effect.succeed({ process: spawned, child: { pid: spawned.pid!, ended: Effect.promise(() => ended), lastMessages: () => messages } }))
      })
    }),
    ({ process: spawned }) => stop(spawned)
  ).pipe(Effect.map(({ child }) => child))
