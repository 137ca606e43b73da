import { commandSpec } from "../CommandSpec.js"
import { json } from "./internal/flags.js"

/** What `glet dev` takes. @since 0.1.0 @category commands */
export const dev = commandSpec({
  name: "dev",
  summary: "Open scheduler, planners and simulator in a browser, on its own GPU.",
  examples: [
    { line: "glet dev", does: "Serve the page on port 4840 of this machine." },
    { line: "glet dev --port 0 --json", does: "Take a free port; the ready line is JSON." }
  ],
  flags: {
    port: { kind: "integer", placeholder: "N", default: 4840, min: 0, max: 65535, description: "Port to listen on; 0 takes a free one." },
    host: { kind: "text", placeholder: "ADDR", default: "127.0.0.1", description: "Address to listen on. Browsers give a GPU to localhost and HTTPS only." },
    json
  }
})
