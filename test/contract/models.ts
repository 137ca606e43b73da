/** Small models of every kind of signature, as contract models: each computes something that can be checked by hand. */
import { assert } from "@effect/vitest"
import { unsafeModelName } from "../../src/core/Ids.js"
import type { Model, ModelSignature } from "../../src/core/Model.js"
import type { ContractModel } from "./requests.js"
import {
  add, concat, fixedBatchModel, gather, identityModel, int64Model, int64s, makeModel, nonZero, nonZeroModel, reduceMean, reshape, sequenceModel,
  twoInputModel, weights
} from "../support/onnx.js"

const floats = (bytes: Uint8Array): Float32Array => new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4)
const int64 = (bytes: Uint8Array): BigInt64Array => new BigInt64Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 8)

/** Keeps a file where the executor finds it; gives its path. */
export type PutFile = (name: string, bytes: Uint8Array) => string

/** A model's file, and what the system knows of it. */
export const modelFile = (put: PutFile, name: string, bytes: Uint8Array, signature: ModelSignature, maxBatch: number): Model => ({
  name: unsafeModelName(name), version: 1, path: put(`${name}.onnx`, bytes), signature, maxBatch,
  serviceClass: "best-effort", expectedRateRps: 0, weightBytes: bytes.length
})

/** Two inputs and two outputs. */
const twoInputs = (put: PutFile): ContractModel => ({
  model: modelFile(put, "two-inputs", twoInputModel(), {
    inputs: [{ name: "a", datatype: "FP32", shape: ["batch", 3] }, { name: "b", datatype: "FP32", shape: ["batch", 3] }],
    outputs: [{ name: "sum", datatype: "FP32", shape: ["batch", 3] }, { name: "a_copy", datatype: "FP32", shape: ["batch", 3] }],
    batchSymbol: "batch"
  }, 6),
  fill: ({ inputs, seed }) => inputs.forEach((input, j) => floats(input).forEach((_, i, all) => all[i] = 10 * j + seed + i)),
  check: ({ inputs }, outputs) => {
    const [a, b] = inputs.map(floats) as [Float32Array, Float32Array]
    assert.deepStrictEqual([...floats(outputs[0]!)], [...a].map((value, i) => value + b[i]!))
    assert.deepStrictEqual([...floats(outputs[1]!)], [...a])
  }
})

/** int64 beyond what a double holds. */
const int64s64 = (put: PutFile): ContractModel => ({
  model: modelFile(put, "int64", int64Model(), {
    inputs: [{ name: "x", datatype: "INT64", shape: ["batch", 2] }],
    outputs: [{ name: "y", datatype: "INT64", shape: ["batch", 2] }],
    batchSymbol: "batch"
  }, 4),
  fill: ({ inputs, seed }) => int64(inputs[0]!).forEach((_, i, all) => all[i] = 2n ** 60n + BigInt(seed + i)),
  check: ({ inputs }, outputs) => assert.deepStrictEqual([...int64(outputs[0]!)], [...int64(inputs[0]!)].map((value) => value + 1n))
})

/** A second symbol, bound by the request. */
const sequence = (put: PutFile): ContractModel => ({
  model: modelFile(put, "sequence", sequenceModel(32, 8), {
    inputs: [{ name: "ids", datatype: "INT64", shape: ["batch", "sequence"] }],
    outputs: [
      { name: "tokens", datatype: "FP32", shape: ["batch", "sequence", 8] },
      { name: "embedding", datatype: "FP32", shape: ["batch", 8] }
    ],
    batchSymbol: "batch"
  }, 4),
  bindings: [5],
  fill: ({ inputs, seed }) => int64(inputs[0]!).forEach((_, i, all) => all[i] = BigInt((seed + 3 * i) % 32)),
  check: ({ inputs, items }, outputs) => {
    const table = weights("table", [32, 8], 8, 1).data as Float32Array
    const tokens = floats(outputs[0]!)
    const embedding = floats(outputs[1]!)
    const expected = [...int64(inputs[0]!)].flatMap((id) => [...table.subarray(8 * Number(id), 8 * Number(id) + 8)])
    assert.strictEqual(expected.length, items * 5 * 8)
    assert.deepStrictEqual([...tokens], expected)
    for (let i = 0; i < items * 8; i++) {
      const [item, column] = [Math.floor(i / 8), i % 8]
      let sum = 0
      for (let t = 0; t < 5; t++) sum += expected[(item * 5 + t) * 8 + column]!
      assert.closeTo(embedding[i]!, sum / 5, 1e-5)
    }
    assert.strictEqual(embedding.length, items * 8)
  }
})

/** No batch dimension; the output's size depends on the data. */
const found = (put: PutFile): ContractModel => ({
  model: modelFile(put, "non-zero", nonZeroModel(), {
    inputs: [{ name: "x", datatype: "FP32", shape: [4] }],
    outputs: [{ name: "indices", datatype: "INT64", shape: [1, "found"] }]
  }, 1),
  fill: ({ inputs, seed }) => floats(inputs[0]!).forEach((_, i, all) => all[i] = (seed >> i) & 1),
  check: ({ seed }, outputs, outputBindings) => {
    const expected = [0n, 1n, 2n, 3n].filter((i) => ((seed >> Number(i)) & 1) === 1)
    assert.deepStrictEqual([...int64(outputs[0]!)], expected)
    assert.deepStrictEqual(outputBindings, [expected.length])
  }
})

/** Columns of `x` that are not zero in the whole batch's mean: a batch whose outputs overflow the slots, beside one that does not. */
const columns = (put: PutFile): ContractModel => ({
  model: modelFile(put, "columns", makeModel({
    inputs: [{ name: "x", shape: ["batch", 4] }],
    outputs: [{ name: "mean", shape: ["batch"] }, { name: "kept", shape: ["batch", "columns"] }],
    nodes: [
      reduceMean("x", "mean", { axes: { ints: [1] }, keepdims: { i: 0 } }),
      reduceMean("x", "column", { axes: { ints: [0] }, keepdims: { i: 0 } }),
      nonZero("column", "places"),
      reshape(["places", "flat"], "indices"),
      gather(["x", "indices"], "kept", { axis: { i: 1 } })
    ],
    initializers: [int64s("flat", [1], [-1])]
  }), {
    inputs: [{ name: "x", datatype: "FP32", shape: ["batch", 4] }],
    outputs: [{ name: "mean", datatype: "FP32", shape: ["batch"] }, { name: "kept", datatype: "FP32", shape: ["batch", "columns"] }],
    batchSymbol: "batch"
  }, 5),
  // Column 1 is zero in every request, so that the answer does not depend on who else is in the batch.
  fill: ({ inputs, seed }) => floats(inputs[0]!).forEach((_, i, all) => all[i] = i % 4 === 1 ? 0 : seed + i + 1),
  check: ({ inputs, items }, outputs, outputBindings) => {
    const x = floats(inputs[0]!)
    assert.deepStrictEqual(outputBindings, [3])
    assert.strictEqual(outputs[0]!.length, 4 * items)
    assert.deepStrictEqual([...floats(outputs[1]!)], [...x].filter((_, i) => i % 4 !== 1))
  }
})

/** A fixed first dimension: one request at a time. */
const fixedBatch = (put: PutFile): ContractModel => ({
  model: modelFile(put, "fixed-batch", fixedBatchModel(), {
    inputs: [{ name: "x", datatype: "FP32", shape: [2, 3] }],
    outputs: [{ name: "y", datatype: "FP32", shape: [2, 3] }]
  }, 1),
  fill: ({ inputs, seed }) => floats(inputs[0]!).forEach((_, i, all) => all[i] = i - seed),
  check: ({ inputs }, outputs) => assert.deepStrictEqual([...floats(outputs[0]!)], [...floats(inputs[0]!)].map((value) => Math.max(0, value)))
})

/** Large enough to be bound where it stands when it runs alone, and to cross a socket in many pieces. */
const large = (put: PutFile): ContractModel => ({
  model: modelFile(put, "large", identityModel(50_000), {
    inputs: [{ name: "x", datatype: "FP32", shape: ["batch", 50_000] }],
    outputs: [{ name: "y", datatype: "FP32", shape: ["batch", 50_000] }],
    batchSymbol: "batch"
  }, 3),
  fill: ({ inputs, seed }) => floats(inputs[0]!).forEach((_, i, all) => all[i] = seed + i),
  check: ({ inputs }, outputs) => assert.isTrue(outputs[0]!.every((byte, i) => byte === inputs[0]![i]))
})

/** An output that is an input, by the same name, beside one that is computed. */
const sameName = (put: PutFile): ContractModel => ({
  model: modelFile(put, "same-name", makeModel({
    inputs: [{ name: "x", shape: ["batch", 3] }],
    outputs: [{ name: "y", shape: ["batch", 3] }, { name: "x", shape: ["batch", 3] }],
    nodes: [add(["x", "x"], "y")]
  }), {
    inputs: [{ name: "x", datatype: "FP32", shape: ["batch", 3] }],
    outputs: [{ name: "y", datatype: "FP32", shape: ["batch", 3] }, { name: "x", datatype: "FP32", shape: ["batch", 3] }],
    batchSymbol: "batch"
  }, 5),
  fill: ({ inputs, seed }) => floats(inputs[0]!).forEach((_, i, all) => all[i] = seed + i + 1),
  check: ({ inputs }, outputs) => {
    assert.deepStrictEqual([...floats(outputs[0]!)], [...floats(inputs[0]!)].map((value) => 2 * value))
    assert.deepStrictEqual([...floats(outputs[1]!)], [...floats(inputs[0]!)])
  }
})

/** A dimension that the request makes empty, as the past of a sequence that begins: `y` is `past` and `x` behind each other. */
const emptyPast = (put: PutFile): ContractModel => ({
  model: modelFile(put, "empty-past", makeModel({
    inputs: [{ name: "past", shape: ["batch", "before", 2] }, { name: "x", shape: ["batch", "now", 2] }],
    outputs: [{ name: "y", shape: ["batch", "all", 2] }],
    nodes: [concat(["past", "x"], "y", { axis: { i: 1 } })]
  }), {
    inputs: [{ name: "past", datatype: "FP32", shape: ["batch", "before", 2] }, { name: "x", datatype: "FP32", shape: ["batch", "now", 2] }],
    outputs: [{ name: "y", datatype: "FP32", shape: ["batch", "all", 2] }],
    batchSymbol: "batch"
  }, 4),
  bindings: [0, 3],
  fill: ({ inputs, seed }) => floats(inputs[1]!).forEach((_, i, all) => all[i] = seed + i),
  check: ({ inputs }, outputs, outputBindings) => {
    assert.deepStrictEqual(outputBindings, [3])
    assert.deepStrictEqual([...floats(outputs[0]!)], [...floats(inputs[1]!)])
  }
})

export const contractModels = (put: PutFile): ReadonlyArray<ContractModel> =>
  [twoInputs, int64s64, sequence, found, columns, fixedBatch, large, externalData, sameName, emptyPast].map((make) => make(put))

/** The data-dependent model with a wrong declaration: `found` said to be 2. */
export const wrongShape = (put: PutFile): Model =>
  modelFile(put, "wrong-shape", nonZeroModel(), {
    inputs: [{ name: "x", datatype: "FP32", shape: [4] }],
    outputs: [{ name: "indices", datatype: "INT64", shape: [1, 2] }]
  }, 1)

/** `y = x + w` with its weights `[10, 20]` in a file beside the model. */
export const externalData = (put: PutFile): ContractModel => {
  put("weights.bin", new Uint8Array(Float32Array.of(10, 20).buffer))
  const model = makeModel({
    inputs: [{ name: "x", shape: ["batch", 2] }],
    outputs: [{ name: "y", shape: ["batch", 2] }],
    nodes: [add(["x", "w"], "y")],
    initializers: [{ name: "w", dims: [2], data: new Float32Array(0), external: { location: "weights.bin", offset: 0, length: 8 } }]
  })
  return {
    model: modelFile(put, "external", model, {
      inputs: [{ name: "x", datatype: "FP32", shape: ["batch", 2] }],
      outputs: [{ name: "y", datatype: "FP32", shape: ["batch", 2] }],
      batchSymbol: "batch"
    }, 2),
    fill: ({ inputs, seed }) => floats(inputs[0]!).fill(seed),
    check: ({ items, seed }, outputs) =>
      assert.deepStrictEqual([...floats(outputs[0]!)], Array.from({ length: 2 * items }, (_, i) => seed + (i % 2 === 0 ? 10 : 20)))
  }
}
