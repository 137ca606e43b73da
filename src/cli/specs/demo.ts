import { commandSpec } from "../CommandSpec.js"
import { json, seed } from "./internal/flags.js"

/** What `glet demo` takes. @since 0.1.0 @category commands */
export const demo = commandSpec({
  name: "demo",
  summary: "Serve four small models here and send them real load for half a minute.",
  examples: [
    { line: "glet demo", does: "500 handwritten digits and three more models on the CPU." },
    { line: "glet demo --json", does: "Ends with one JSON line of results." }
  ],
  flags: {
    duration: { kind: "number", placeholder: "S", default: 12, min: 1, max: 3600, description: "Seconds of load." },
    seed,
    json
  }
})
