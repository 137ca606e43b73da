import { commandSpec } from "../CommandSpec.js"
import { backend, json, seed } from "./internal/flags.js"
import { serve } from "./serve.js"

/** What `glet run` takes. @since 0.1.0 @category commands */
export const run = commandSpec({
  name: "run",
  summary: "Run one model without a server and show its latency distribution.",
  examples: [
    { line: "glet run model.onnx --n 1000", does: "1000 executions, one after the other." },
    { line: "glet run model.onnx --n 500 --batch 8 --interval 10", does: "Batches of 8, exponential gaps of 10 ms on average." }
  ],
  positional: { name: "MODEL", description: "An .onnx file.", required: true },
  flags: {
    n: { kind: "integer", placeholder: "N", default: 200, min: 1, max: 100_000_000, description: "Executions to measure." },
    batch: { kind: "integer", placeholder: "N", default: 1, min: 1, max: 65536, description: "Items of an execution." },
    interval: { kind: "number", placeholder: "MS", default: 0, min: 0, max: 3_600_000, description: "Mean gap between starts, exponential; 0 is back to back." },
    warmUp: { kind: "integer", placeholder: "N", default: 10, min: 0, max: 1_000_000, description: "Executions before measuring." },
    share: { kind: "integer", placeholder: "PCT", default: 100, min: 1, max: 100, description: "Share of the cores." },
    cores: backend.cores,
    executor: { kind: "choice", choices: ["cpu", "cuda", "webgpu"], default: "cpu", description: "What runs the model: this CPU, the first NVIDIA GPU, or a GPU through WebGPU." },
    isolation: serve.flags.isolation,
    engine: serve.flags.engine,
    seed,
    json
  }
})
