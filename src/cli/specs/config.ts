import { commandSpec } from "../CommandSpec.js"
import { json } from "./internal/flags.js"
import { serve } from "./serve.js"

/** What `glet config` takes. @since 0.1.0 @category commands */
export const config = commandSpec({
  name: "config",
  summary: "Show the settings a server would take, and where each comes from.",
  examples: [
    { line: "glet config show", does: "Defaults and GLET_* variables." },
    { line: "glet config show --config glet.json --json", does: "With a file, as JSON." }
  ],
  positional: { name: "ACTION", description: "What to do.", required: true, choices: ["show"] },
  flags: { config: serve.flags.config, port: serve.flags.port, host: serve.flags.host, requestLog: serve.flags.requestLog, compatTritonErrors: serve.flags.compatTritonErrors, sharedMemory: serve.flags.sharedMemory, sharedMemoryDirect: serve.flags.sharedMemoryDirect, fronts: serve.flags.fronts, json }
})
