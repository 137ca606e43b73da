import { commandSpec } from "../CommandSpec.js"
import { json, server } from "./internal/flags.js"

/** What `glet status` takes. @since 0.1.0 @category commands */
export const status = commandSpec({
  name: "status",
  summary: "Show plan, glets and models of a server: predicted against measured.",
  examples: [
    { line: "glet status", does: "The server on port 8000 of this machine." },
    { line: "glet status --watch --json", does: "One JSON line per second." }
  ],
  flags: {
    server,
    watch: { kind: "boolean", description: "Show it again and again until interrupted." },
    interval: { kind: "number", placeholder: "S", default: 1, min: 0.1, max: 3600, description: "Seconds between two looks of --watch." },
    json
  }
})
