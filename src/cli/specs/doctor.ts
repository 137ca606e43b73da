import { commandSpec } from "../CommandSpec.js"
import { json } from "./internal/flags.js"

/** What `glet doctor` takes. @since 0.1.0 @category commands */
export const doctor = commandSpec({
  name: "doctor",
  summary: "Check what this machine offers and how to mend what is missing.",
  examples: [
    { line: "glet doctor", does: "Exit code 4 where something essential is missing." },
    { line: "glet doctor --cuda --fix", does: "All that --executor cuda needs is essential; mend what can be mended safely." }
  ],
  flags: {
    cuda: { kind: "boolean", description: "Count what --executor cuda needs as essential." },
    fix: { kind: "boolean", description: "Mend what harms nothing: install the CUDA provider, remove what dead MPS daemons left." },
    json
  }
})
