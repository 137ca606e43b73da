import { assert, describe, it } from "@effect/vitest"
import * as Either from "effect/Either"
import { parseOnnx } from "../../../src/server/repository/OnnxFile.js"
import { readSignature } from "../../../src/server/repository/Signature.js"
import * as onnx from "../../support/onnx.js"

type Shapes = Readonly<Record<string, ReadonlyArray<onnx.DimDef>>>

const values = (shapes: Shapes): ReadonlyArray<onnx.ValueDef> => Object.entries(shapes).map(([name, shape]) => ({ name, shape }))
const read = (inputs: Shapes, outputs: Shapes, batching: "auto" | "on" | "off" = "auto") =>
  Either.flatMap(
    parseOnnx(onnx.makeModel({ inputs: values(inputs), outputs: values(outputs), nodes: [] })),
    (file) => readSignature("m.onnx", file, { batching })
  )
const good = (...args: Parameters<typeof read>) => Either.getOrThrow(read(...args))
const bad = (...args: Parameters<typeof read>) => Either.getOrThrow(Either.flip(read(...args)))

describe("readSignature", () => {
  it("one name in front of everything is the batch", () => {
    const { notBatchable, signature } = good({ x: ["N", 3, "height"], m: ["N"] }, { y: ["N", "height"] })
    assert.deepEqual(signature, {
      batchSymbol: "N",
      inputs: [{ name: "x", datatype: "FP32", shape: ["N", 3, "height"] }, { name: "m", datatype: "FP32", shape: ["N"] }],
      outputs: [{ name: "y", datatype: "FP32", shape: ["N", "height"] }]
    })
    assert.isUndefined(notBatchable)
  })

  it("no names in front of everything: the batch too; other unnamed dimensions are symbols of their own", () => {
    const { signature } = good({ x: [null, null], z: [null, null] }, { y: [null, 2, null] })
    assert.strictEqual(signature.batchSymbol, "batch")
    assert.deepEqual(signature.inputs.map(({ shape }) => shape), [["batch", "x_dim1"], ["batch", "z_dim1"]])
    assert.deepEqual(signature.outputs[0]!.shape, ["batch", 2, "y_dim2"])
  })

  it("an output that is an input has its shape", () => {
    const { signature } = good({ x: ["b", null, 2] }, { y: ["b", 4], x: [null, null, null] })
    assert.strictEqual(signature.batchSymbol, "b")
    assert.deepEqual(signature.outputs[1], signature.inputs[0])
  })

  it("symbols of their own never meet a name of the file", () => {
    const { signature } = good({ x: ["b", null, "x_dim1", "x_dim1_"] }, { y: ["b"] })
    assert.deepEqual(signature.inputs[0]!.shape, ["b", "x_dim1__", "x_dim1", "x_dim1_"])
  })

  it.each([
    ["a fixed leading dimension", { x: [2, 3] }, { y: [2, 3] }, "the leading dimension of input \"x\" is fixed at 2"],
    ["an output without batch", { x: ["b", 3] }, { y: [3] }, "the leading dimension of output \"y\" is fixed at 3"],
    ["a scalar", { x: ["b", 3] }, { y: [] }, "output \"y\" is a scalar"],
    ["different names", { x: ["b", 3] }, { y: ["found", 4] }, "different names: \"b\", \"found\""],
    ["an output that may depend on data", { x: ["b", 3] }, { y: [null, 4] }, "output \"y\" has no name and may depend on data"],
    ["a square", { x: ["n", "n"] }, { y: ["n", 1] }, "\"n\" stands twice in the shape of input \"x\""],
    ["the batch elsewhere", { x: ["n", 2], z: ["n", 3] }, { y: ["n", 4, "n"] }, "\"n\" stands twice in the shape of output \"y\""]
  ] as ReadonlyArray<readonly [string, Shapes, Shapes, string]>)("does not join requests: %s", (_, inputs, outputs, reason) => {
    const { notBatchable, signature } = good(inputs, outputs)
    assert.isUndefined(signature.batchSymbol)
    assert.include(notBatchable!, reason)
  })

  it("a configuration may vouch for the batch, not against the file", () => {
    assert.strictEqual(good({ x: ["b", 3] }, { y: ["found", 4] }, "on").signature.batchSymbol, "b")
    assert.deepEqual(good({ x: ["b", 3] }, { y: ["found", 4] }, "on").signature.outputs[0]!.shape, ["b", 4])
    const error = bad({ x: [1, 3] }, { y: [1, 3] }, "on")
    assert.strictEqual(error.reason, "mismatch")
    assert.include(error.message, "allows batches, but the leading dimension of input \"x\" is fixed at 1")
    assert.isUndefined(good({ x: ["b", 3] }, { y: ["b", 4] }, "off").signature.batchSymbol)
  })

  it("says what cannot be served", () => {
    const model = (def: Partial<onnx.ModelDef>) => {
      const shape = [1]
      const file = parseOnnx(onnx.makeModel({ inputs: [{ name: "x", shape }], outputs: [{ name: "y", shape }], nodes: [], ...def }))
      return Either.getOrThrow(Either.flip(Either.flatMap(file, (file) => readSignature("m.onnx", file, { batching: "auto" }))))
    }
    const strings = model({ inputs: [{ name: "words", shape: [1], type: onnx.elemType.string }] })
    assert.strictEqual(strings.reason, "unsupported")
    assert.match(strings.message, /^m\.onnx at byte \d+: input "words": holds strings; supported are FP32, /)
    assert.include(model({ inputs: [{ name: "x", shape: [1], type: onnx.elemType.complex64 }] }).message, "holds complex64")
    assert.include(model({ inputs: [{ name: "x", shape: [1], type: 99 }] }).message, "holds element type 99")
    assert.include(model({ outputs: [{ name: "y", kind: "sequence", shape: [1] }] }).message, "output \"y\": is a sequence; only dense tensors")
    assert.include(model({ outputs: [{ name: "y", kind: "map", shape: [1] }] }).message, "is a map")
    assert.include(model({ inputs: [{ name: "x" }] }).message, "declares no shape; give its dims")
    assert.include(model({ inputs: [] }).message, "takes no inputs")
    assert.include(model({ outputs: [] }).message, "has no outputs")
    assert.include(model({ inputs: [{ name: "x", shape: [1] }, { name: "x", shape: [1] }] }).message, "two inputs have the same name")
    assert.include(model({ inputs: [{ name: "", shape: [1] }] }).message, "has no name")
  })
})
