import { commandSpec } from "../CommandSpec.js"
import { backend, json } from "./internal/flags.js"
import { serve } from "./serve.js"

/** What `glet profile` takes. @since 0.1.0 @category commands */
export const profile = commandSpec({
  name: "profile",
  summary: "Measure models at every share and batch size.",
  examples: [
    { line: "glet profile --models ./models", does: "Measure what was never measured; keep it for `serve` and `plan`." },
    { line: "glet profile --models ./models --force --output cpu.json", does: "Measure anew and write a profile file as well." },
    { line: "glet profile --models ./models --types --svg roofline.svg", does: "Also say what kind of work each model is, and draw it." },
    { line: "glet profile --models ./zoo --gpu --isolation green", does: "Measure on the first NVIDIA GPU; what an earlier run has measured stays." }
  ],
  flags: {
    models: backend.models,
    only: { kind: "texts", placeholder: "MODEL", description: "Measure this model only. Repeatable." },
    gpu: { kind: "boolean", description: "Measure on the first NVIDIA GPU instead of this CPU." },
    isolation: serve.flags.isolation,
    budget: { kind: "integer", placeholder: "MS", default: 2000, min: 10, max: 600_000, description: "Time for each model." },
    force: { kind: "boolean", description: "Measure again what has a profile." },
    types: { kind: "boolean", description: "Also measure what limits each model: arithmetic, memory, or neither." },
    pairs: { kind: "boolean", description: "Also measure how models slow each other down, two at a time." },
    svg: { kind: "text", placeholder: "FILE", description: "Draw the types under the device's roofline; with --types." },
    output: { kind: "text", placeholder: "FILE", description: "Also write all profiles to one file; - is stdout." },
    maxBatch: backend.maxBatch,
    cores: backend.cores,
    profiles: backend.profiles,
    engine: serve.flags.engine,
    json
  }
})
