/** The models of scripts/make-zoo.ts as the system knows them. */
import * as path from "node:path"
import { unsafeModelName } from "../../../src/core/Ids.js"
import type { Model, ModelSignature } from "../../../src/core/Model.js"
import type { DataType, TensorSpec } from "../../../src/core/Tensor.js"

const tensor = (name: string, shape: TensorSpec["shape"], datatype: DataType = "FP32"): TensorSpec => ({ name, shape, datatype })
const image: ModelSignature = { inputs: [tensor("input", ["batch", 3, 224, 224])], outputs: [tensor("output", ["batch", 1000])], batchSymbol: "batch" }

export const zooSignatures: ReadonlyMap<string, ModelSignature> = new Map<string, ModelSignature>([
  ...["resnet50", "vgg16", "googlenet", "mobilenet_v2", "mnasnet1_0", "densenet161"].map((name): [string, ModelSignature] => [name, image]),
  ["ssd-mobilenetv1", {
    inputs: [tensor("input", ["batch", 3, 300, 300])],
    outputs: [tensor("boxes", ["batch", 1917, 4]), tensor("scores", ["batch", 1917, 21])],
    batchSymbol: "batch"
  }],
  // A fixed length, as a service that pads has it.
  ["bert-base", {
    inputs: [tensor("input_ids", ["batch", 128], "INT64"), tensor("attention_mask", ["batch", 128], "INT64")],
    outputs: [tensor("logits", ["batch", 2])],
    batchSymbol: "batch"
  }],
  ["dlrm-small", {
    inputs: [tensor("dense", ["batch", 13]), tensor("indices", ["batch", 26, 32], "INT64")],
    outputs: [tensor("score", ["batch", 1])],
    batchSymbol: "batch"
  }]
])

/** A model in a folder that make-zoo.ts has written. */
export const zooModel = (folder: string, name: string, maxBatch: number): Model => {
  const signature = zooSignatures.get(name)
  if (signature === undefined) throw new Error(`there is no model "${name}"; there are ${[...zooSignatures.keys()].join(", ")}`)
  return {
    name: unsafeModelName(name), version: 1, path: path.resolve(folder, name, "1", "model.onnx"), signature, maxBatch,
    serviceClass: "latency-critical", expectedRateRps: 1, weightBytes: 0
  }
}
