import { commandSpec } from "../CommandSpec.js"
import { json, server } from "./internal/flags.js"

/** What `glet models` takes. @since 0.1.0 @category commands */
export const models = commandSpec({
  name: "models",
  summary: "List the models of a server, and why one is not served.",
  examples: [{ line: "glet models", does: "The server on port 8000 of this machine." }],
  flags: { server, json }
})
