import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { CliError } from "../CliError.js"
import type { ParsedArgs } from "../CommandSpec.js"
import { callServer, targetOf } from "../internal/serverClient.js"
import { colourOut, out, table } from "../internal/terminal.js"
import type { models } from "../specs/models.js"

const Index = Schema.Array(Schema.Struct({
  name: Schema.String,
  version: Schema.optionalWith(Schema.String, { exact: true }),
  state: Schema.optionalWith(Schema.String, { default: () => "" }),
  reason: Schema.optionalWith(Schema.String, { default: () => "" })
}))

/** `glet models` */
export const handle = (args: ParsedArgs<typeof models>): Effect.Effect<void, CliError> =>
  Effect.gen(function*() {
    const target = yield* targetOf(args.server)
    const index = yield* callServer(target, "v2/repository/index", Index, { method: "POST", body: {} })
    if (args.json) return out(JSON.stringify({ apiVersion: "glet/v1alpha1", kind: "ModelIndex", models: index }))
    if (index.length === 0) return out("the server has no models")
    out(table(["model", "version", "state", "reason"], index.map((entry) => [entry.name, entry.version ?? "-", entry.state, entry.reason]), {
      align: "lrll", colour: colourOut()
    }))
  })
