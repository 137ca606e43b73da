import * as Effect from "effect/Effect"
import { CliError } from "../CliError.js"
import type { ParsedArgs } from "../CommandSpec.js"
import { runChecks } from "../internal/doctorChecks.js"
import { colourOut, out, table } from "../internal/terminal.js"
import type { doctor } from "../specs.js"

/** `glet doctor` */
export const handle = (args: ParsedArgs<typeof doctor>): Effect.Effect<void, CliError> =>
  Effect.gen(function*() {
    const checks = yield* Effect.promise(runChecks)
    const broken = checks.filter((check) => check.essential && check.state === "missing")
    if (args.json) {
      out(JSON.stringify({ apiVersion: "glet/v1alpha1", kind: "Doctor", healthy: broken.length === 0, checks }))
    } else {
      out(table(["check", "state", "found"], checks.map((check) => [check.name, check.state, check.found]), { align: "lll", colour: colourOut() }))
      for (const check of checks) if (check.mend !== undefined) out(`${check.name}: ${check.mend}`)
    }
    if (broken.length > 0) {
      return yield* new CliError({ reason: "unhealthy", problem: `${broken.map((check) => check.name).join(", ")} missing`, hint: "see above how to mend it" })
    }
  })
