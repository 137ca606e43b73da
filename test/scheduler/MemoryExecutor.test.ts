import * as Effect from "effect/Effect"
import type { Gpu } from "../../src/core/Gpu.js"
import { unsafeGpuId } from "../../src/core/Ids.js"
import type { Model } from "../../src/core/Model.js"
import * as MemoryExecutor from "../../src/scheduler/MemoryExecutor.js"
import { executorContract } from "../contract/Executor.js"
import { makeModel } from "./harness.js"

const gpu: Gpu = {
  id: unsafeGpuId("memory"), type: "test", isolation: "emulated", units: 100, memoryBytes: 1e10, sharesPct: [25, 50, 100]
}

const model: Model = makeModel("m", {
  maxBatch: 8,
  signature: {
    inputs: [{ name: "x", datatype: "FP32", shape: ["batch", 16] }],
    outputs: [{ name: "y", datatype: "FP32", shape: ["batch", 4] }],
    batchSymbol: "batch"
  }
})

executorContract(
  "memory",
  MemoryExecutor.layer({ latencyMs: (batch) => 3 + 0.1 * batch.items, failLoad: ({ name }) => (name === "bad" ? "invalid-model" : undefined) }),
  {
    gpu,
    models: [{ model }],
    badModel: makeModel("bad"),
    kill: (handle) => Effect.flatMap(MemoryExecutor.MemoryExecutorControl, (control) => control.kill(handle.spec.id))
  }
)
