/**
 * A command could not do what it was asked: one line for stderr and an exit code.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Schema from "effect/Schema"
import { ExitCode } from "./ExitCode.js"

/** @since 0.1.0 @category errors */
export class CliError extends Schema.TaggedError<CliError>()("CliError", {
  reason: Schema.Literal("usage", "input", "unreachable", "refused", "failed", "infeasible", "unhealthy"),
  /** What failed, on what. */
  problem: Schema.String,
  /** What to do about it; empty where the problem says it. */
  hint: Schema.optionalWith(Schema.String, { exact: true })
}) {
  override get message(): string {
    return this.hint === undefined ? this.problem : `${this.problem}; ${this.hint}`
  }
}

/** A wrong flag or argument. @since 0.1.0 @category errors */
export const usageError = (problem: string, hint?: string): CliError =>
  new CliError({ reason: "usage", problem, ...(hint === undefined ? {} : { hint }) })

// By tag, because errors come from every layer and from other copies of their classes.
const exitCodes: ReadonlyMap<string, number> = new Map([
  ["Infeasible", ExitCode.infeasible],
  ["UnknownPlanner", ExitCode.usage],
  ["SolverNeeded", ExitCode.usage],
  ["ServerConfigError", ExitCode.usage],
  ["CudaUnavailable", ExitCode.unhealthy]
])

const cliExitCodes: Readonly<Record<CliError["reason"], number>> = {
  usage: ExitCode.usage,
  input: ExitCode.failed,
  unreachable: ExitCode.failed,
  refused: ExitCode.failed,
  failed: ExitCode.failed,
  infeasible: ExitCode.infeasible,
  unhealthy: ExitCode.unhealthy
}

/** One line and an exit code for whatever ended a command. @since 0.1.0 @category errors */
export const describeFailure = (cause: Cause.Cause<unknown>): { readonly line: string; readonly exitCode: number; readonly isBug: boolean } => {
  const failure = Cause.failureOption(cause)
  if (failure._tag === "Some") {
    const error = failure.value
    const line = error instanceof Error ? error.message : String(error)
    const tag = typeof error === "object" && error !== null && "_tag" in error ? String(error._tag) : ""
    return { line: line.replace(/\s*\n\s*/g, " "), exitCode: error instanceof CliError ? cliExitCodes[error.reason] : exitCodes.get(tag) ?? ExitCode.failed, isBug: false }
  }
  const defect = Cause.squash(cause)
  return { line: `internal error: ${defect instanceof Error ? defect.message : String(defect)}`, exitCode: ExitCode.failed, isBug: true }
}
