/** Small models of every kind of signature, as contract models: each computes something that can be checked by hand. */
import { assert } from "@effect/vitest"
import { unsafeModelName } from "../../src/core/Ids.js"
import type { Model, ModelSignature } from "../../src/core/Model.js"
import type { ContractModel } from "./requests.js"
import {
  add, concat, elemType, fixedBatchModel, gather, identity, identityModel, int64Model, int64s, makeModel, nonZero, nonZeroModel, reduceMean, reshape, sequenceModel,
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

/** `y = x + 100 * version`: versions 1 and 2 of one model, of files that differ in a weight. */
export const contractVersions = (put: PutFile): readonly [ContractModel, ContractModel] => {
  const version = (number: number): ContractModel => {
    const bytes = makeModel({
      inputs: [{ name: "x", shape: ["batch", 3] }], outputs: [{ name: "y", shape: ["batch", 3] }], nodes: [add(["x", "w"], "y")],
      initializers: [{ name: "w", dims: [1], data: Float32Array.of(100 * number) }]
    })
    const signature: ModelSignature = {
      inputs: [{ name: "x", datatype: "FP32", shape: ["batch", 3] }], outputs: [{ name: "y", datatype: "FP32", shape: ["batch", 3] }], batchSymbol: "batch"
    }
    return {
      model: { ...modelFile(put, `versioned-${number}`, bytes, signature, 4), name: unsafeModelName("versioned"), version: number },
      fill: ({ inputs, seed }) => floats(inputs[0]!).forEach((_, i, all) => all[i] = seed + i),
      check: ({ inputs }, outputs) => assert.deepStrictEqual([...floats(outputs[0]!)], [...floats(inputs[0]!)].map((value) => value + 100 * number))
    }
  }
  return [version(1), version(2)]
}

/** Types of elements that both of ONNX Runtime's bindings know, and how numbers stand in them. */
const numberTypes = [
  ["UINT8", elemType.uint8, Uint8Array, 251], ["INT8", elemType.int8, Int8Array, -5], ["UINT16", elemType.uint16, Uint16Array, 65_000], ["INT16", elemType.int16, Int16Array, -300],
  ["UINT32", elemType.uint32, Uint32Array, 4_000_000_000], ["INT32", elemType.int32, Int32Array, -70_000], ["FP32", elemType.float, Float32Array, -1.5], ["FP64", elemType.double, Float64Array, 1 / 3]
] as const

/**
 * An input of every type, in rows of 3, so that most do not begin at a multiple of 4 bytes within a batch. Of each the number is answered as a double, which tells
 * types of one size apart, and the input itself.
 */
export const everyType = (put: PutFile): ContractModel => {
  const shape = ["batch", 3]
  const bytes = makeModel({
    inputs: numberTypes.map(([name, type]) => ({ name, type, shape })),
    outputs: numberTypes.flatMap(([name, type]) => [{ name: `${name}_number`, type: elemType.double, shape }, { name: `${name}_copy`, type, shape }]),
    nodes: numberTypes.flatMap(([name]) => [{ op: "Cast", inputs: [name], outputs: [`${name}_number`], attributes: { to: { i: elemType.double } } }, identity(name, `${name}_copy`)])
  })
  const numbersOf = (index: number, bytes: Uint8Array) => new numberTypes[index]![2](bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.length / numberTypes[index]![2].BYTES_PER_ELEMENT)
  return {
    model: modelFile(put, "every-type", bytes, {
      inputs: numberTypes.map(([name]) => ({ name, datatype: name, shape })),
      outputs: numberTypes.flatMap(([name]) => [{ name: `${name}_number`, datatype: "FP64", shape } as const, { name: `${name}_copy`, datatype: name, shape }]),
      batchSymbol: "batch"
    }, 7),
    fill: ({ inputs, seed }) => inputs.forEach((input, j) => numbersOf(j, input).forEach((_, i, all) => all[i] = numberTypes[j]![3] + (seed + i) % 5)),
    check: ({ inputs }, outputs) => inputs.forEach((input, j) => {
      assert.deepStrictEqual([...new Float64Array(outputs[2 * j]!.buffer, outputs[2 * j]!.byteOffset, outputs[2 * j]!.length / 8)], [...numbersOf(j, input)], numberTypes[j]![0])
      assert.deepStrictEqual([...outputs[2 * j + 1]!], [...input], numberTypes[j]![0])
    })
  }
}

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
