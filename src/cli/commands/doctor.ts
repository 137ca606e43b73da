import * as Effect from "effect/Effect"
import { CliError } from "../CliError.js"
import type { ParsedArgs } from "../CommandSpec.js"
import { cudaChecks } from "../internal/cudaChecks.js"
import type { Check } from "../internal/doctorChecks.js"
import { runChecks } from "../internal/doctorChecks.js"
import { colourOut, note, out, table } from "../internal/terminal.js"
import { webgpuChecks } from "../internal/webgpuChecks.js"
import type { doctor } from "../specs/doctor.js"

/** Mends what can be mended safely; answers whether anything was. */
const mend = (checks: ReadonlyArray<Check>): Effect.Effect<boolean> =>
  Effect.map(
    Effect.forEach(checks, ({ fix, name }) =>
      fix === undefined ? Effect.succeed(false) : Effect.promise(() =>
        fix().then(
          (did) => {
            note(`${name}: ${did}`)
            return true
          },
          (error: unknown) => {
            note(`${name}: could not be mended: ${error instanceof Error ? error.message : String(error)}`)
            return false
          }
        ))),
    (mended) => mended.includes(true)
  )

/** `glet doctor` */
export const handle = (args: ParsedArgs<typeof doctor>): Effect.Effect<void, CliError> =>
  Effect.gen(function*() {
    const look = Effect.map(Effect.all([Effect.sync(runChecks), cudaChecks(args.cuda), webgpuChecks], { concurrency: 3 }), (all) => all.flat())
    let checks = yield* look
    if (args.fix && (yield* mend(checks))) checks = yield* look
    const broken = checks.filter((check) => check.essential && check.state === "missing")
    if (args.json) {
      const shown = checks.map(({ fix, ...check }) => ({ ...check, fixable: fix !== undefined }))
      out(JSON.stringify({ apiVersion: "glet/v1alpha1", kind: "Doctor", healthy: broken.length === 0, checks: shown }))
    } else {
      out(table(["check", "state", "found"], checks.map((check) => [check.name, check.state, check.found]), { align: "lll", colour: colourOut() }))
      for (const check of checks) if (check.mend !== undefined) out(`${check.name}: ${check.mend}`)
    }
    if (broken.length > 0) {
      return yield* new CliError({ reason: "unhealthy", problem: `${broken.map((check) => check.name).join(", ")} missing`, hint: "see above how to mend it" })
    }
  })
