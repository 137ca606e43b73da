import * as Effect from "effect/Effect"
import type { CliError } from "../CliError.js"
import type { ParsedArgs } from "../CommandSpec.js"
import { resolveServerConfig } from "../internal/settings.js"
import { colourOut, out, table } from "../internal/terminal.js"
import type { config } from "../specs/config.js"
import type { ServerConfigError } from "../../server/ServerError.js"

/** `glet config show` */
export const handle = (args: ParsedArgs<typeof config>): Effect.Effect<void, CliError | ServerConfigError> =>
  Effect.gen(function*() {
    const { settings } = yield* resolveServerConfig(args)
    if (args.json) return out(JSON.stringify({ apiVersion: "glet/v1alpha1", kind: "Settings", settings }))
    const shown = settings.map((setting) => [setting.name, String(setting.value), setting.source, setting.env, setting.summary])
    out(table(["setting", "value", "from", "variable", "what"], shown, { align: "lllll", colour: colourOut() }))
  })
