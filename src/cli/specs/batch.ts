import { commandSpec } from "../CommandSpec.js"
import { json, server } from "./internal/flags.js"

/** What `glet batch` takes. @since 0.1.0 @category commands */
export const batch = commandSpec({
  name: "batch",
  summary: "Run files of requests through a server as best-effort work; goes on where it was stopped.",
  examples: [
    { line: "glet batch --model embed --input requests.jsonl --output answers", does: "A v2 request on each line; line k of answers/requests.jsonl answers it." },
    { line: "glet batch --model embed --input requests/ --output answers", does: "All .json, .jsonl and .jsonl.gz of a folder." },
    { line: "glet batch --model embed --input requests.jsonl --output answers", does: "The same again after it was killed: what is answered is not asked again." }
  ],
  flags: {
    model: { kind: "text", placeholder: "MODEL", required: true, description: "The model to ask." },
    input: { kind: "texts", placeholder: "PATH", description: "A .jsonl, .jsonl.gz or .json file, or a folder of them. Repeatable." },
    output: { kind: "text", placeholder: "DIR", required: true, description: "Folder for the answers; made where it is missing." },
    server,
    concurrency: { kind: "integer", placeholder: "N", default: 64, min: 1, max: 4096, description: "Requests in flight at most." },
    patience: { kind: "number", placeholder: "S", default: 600, min: 0, max: 604_800, description: "Give up where the server answers nothing for this long." },
    json
  }
})
