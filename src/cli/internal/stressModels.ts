/** The models of resource/stress, as executors want them. */
import type { Gpu } from "../../core/Gpu.js"
import { unsafeModelName } from "../../core/Ids.js"
import type { Model } from "../../core/Model.js"
import { resourcePath } from "./packageFiles.js"

type Stress = "compute" | "memory"

export const stressModel = (gpu: Gpu, stress: Stress): Model => {
  const spec = (name: string) => ({ name, datatype: "FP32" as const, shape: ["n", 1] })
  return {
    name: unsafeModelName(`stress-${stress}`), version: 1,
    path: resourcePath("stress", `${stress}-${gpu.isolation === "threads" ? "cpu" : "gpu"}.onnx`),
    signature: { inputs: [spec("x")], outputs: [spec("y")], batchSymbol: "n" },
    maxBatch: 1, serviceClass: "best-effort", expectedRateRps: 0, weightBytes: 0
  }
}
