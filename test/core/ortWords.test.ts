import { assert, describe, it } from "@effect/vitest"
import { ortWords } from "../../src/core/internal/ortWords.js"

/** As onnxruntime 1.30 says them. */
const said: ReadonlyArray<readonly [string, string]> = [
  [
    "Non-zero status code returned while running Relu node. Name:'' Status Message: /onnxruntime_src/onnxruntime/core/framework/op_kernel.cc:83 virtual OrtValue* onnxruntime::OpKernelContext::OutputMLValue(int, const onnxruntime::TensorShape&) [ONNXRuntimeError] : 2 : INVALID_ARGUMENT : The output OrtValue provided for output 'y' of node '' (Relu) has shape {1,4} but the computed output shape for this run is {128,4}. When calling Run() with pre-allocated output OrtValues on a model with dynamic output shapes, either supply unallocated output OrtValues or ensure the pre-allocated shapes match the expected output shapes for each run.\n",
    "output \"y\" came with shape [128,4], declared is [1,4]"
  ],
  [
    "Load model from /models/ir99.onnx failed:/onnxruntime_src/onnxruntime/core/graph/model.cc:202 onnxruntime::Model::Model(onnx::ModelProto&&, const onnxruntime::PathString&, const onnxruntime::IOnnxRuntimeOpSchemaRegistryList*, const onnxruntime::logging::Logger&, const onnxruntime::ModelOptions&) Unsupported model IR version: 99, max supported IR version: 13\n",
    "Unsupported model IR version: 99, max supported IR version: 13"
  ],
  [
    "Non-zero status code returned while running Gather node. Name:'/embed/Gather' Status Message: indices element out of data bounds, idx=1 must be within the inclusive range [-1,0]",
    "Gather node \"/embed/Gather\": indices element out of data bounds, idx=1 must be within the inclusive range [-1,0]"
  ],
  [
    "Exception during initialization: /onnxruntime_src/onnxruntime/core/optimizer/initializer.cc:51 onnxruntime::Initializer::Initializer(const onnx::TensorProto&, const std::filesystem::__cxx11::path&) [ONNXRuntimeError] : 1 : FAIL : tensorprotoutils.cc:594 GetExternalDataInfo TensorProto: c external data size mismatch. Computed size: 16, external_data.length: 48\n",
    "TensorProto: c external data size mismatch. Computed size: 16, external_data.length: 48"
  ],
  [
    "Got invalid dimensions for output: y for the following indices\n index: 0 Got: 1 Expected: 4\n Please fix either the inputs/outputs or the model.",
    "Got invalid dimensions for output: y for the following indices index: 0 Got: 1 Expected: 4 Please fix either the inputs/outputs or the model."
  ],
  ["the process ended (signal 9) at main.ts:12", "the process ended (signal 9) at main.ts:12"]
]

describe("ortWords", () => {
  it("says it in one line, without places in somebody's source", () => {
    for (const [text, line] of said) assert.strictEqual(ortWords(text), line)
  })
})
