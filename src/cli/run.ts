/**
 * A command line of `glet`, answered. Help and version are answered before anything is loaded.
 *
 * @since 0.1.0
 */
import packageJson from "../../package.json" with { type: "json" }
import { ExitCode } from "./ExitCode.js"
import { renderCommandHelp, renderHelp } from "./help.js"
import { suggest } from "../core/internal/suggest.js"
import { colourOut, note, out } from "./internal/terminal.js"
import { specs } from "./specs/all.js"

const { version } = packageJson

/** `undefined`: the command must run. */
const answerAtOnce = async (argv: ReadonlyArray<string>): Promise<number | undefined> => {
  const [first] = argv
  const spec = specs.find((candidate) => candidate.name === first)
  const end = argv.indexOf("--")
  const wantsHelp = (end < 0 ? argv : argv.slice(0, end)).some((word) => word === "-h" || word === "--help")
  if (first === "-v" || first === "--version" || first === "version") {
    out(version)
    return ExitCode.done
  }
  if (spec !== undefined && wantsHelp) {
    const footer = spec.name === "plan" ? (await import("./plannerList.js")).plannerList() : undefined
    out(renderCommandHelp(spec, colourOut(), footer))
    return ExitCode.done
  }
  if (wantsHelp || first === "help") {
    out(renderHelp(specs, version, colourOut()))
    return ExitCode.done
  }
  if (first === undefined) {
    note(renderHelp(specs, version, false))
    return ExitCode.usage
  }
  if (spec === undefined && !first.startsWith("--completions") && first !== "--wizard") {
    const near = suggest(first, specs.filter((known) => known.hidden !== true).map((known) => known.name))
    const kind = first.startsWith("-") ? "option" : "command"
    note(`glet: unknown ${kind} "${first}"${near === undefined ? "" : `; did you mean "${near}"?`} (see glet --help)`)
    return ExitCode.usage
  }
  return undefined
}

/** Runs a command line (without node and script) and completes with the exit code. @since 0.1.0 @category running */
export const run = async (argv: ReadonlyArray<string>): Promise<number> =>
  (await answerAtOnce(argv)) ?? (await (await import("./app.js")).runApp(argv, version))
