import { assert, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { readySizes } from "../../../src/node-cuda/runner/cuda/warmUp.js"
import { cpuProblem, hasConvolutions } from "../../../src/node-cuda/runner/cuda/cudaSession.js"
import { differenceAllowed, differenceOf } from "../../../src/node-cuda/runner/cuda/graphs.js"
import { streamPriority } from "../../../src/node-cuda/runner/cuda/gletContext.js"
import { conv, denseModel, makeModel } from "../../support/onnx.js"

const bytes = (array: Float32Array | Uint16Array | BigInt64Array): Uint8Array => new Uint8Array(array.buffer)

describe("cudaSession", () => {
  it("lets shapes be computed on the CPU, and names what else is there", () => {
    const gpu: readonly [string, ReadonlyArray<string>] = ["CUDAExecutionProvider", ["Conv", "MatMul"]]
    assert.isUndefined(cpuProblem(new Map<string, ReadonlyArray<string>>([gpu, ["CPUExecutionProvider", ["Shape", "Gather", "Concat"]]])))
    const problem = cpuProblem(new Map<string, ReadonlyArray<string>>([gpu, ["CPUExecutionProvider", ["Shape", "GridSample", "LSTM", "LSTM"]]]))
    assert.include(problem, "GridSample, 2 x LSTM")
    assert.isDefined(cpuProblem(new Map([["CPUExecutionProvider", ["Conv"]]])), "no silent fallback where the provider took nothing")
  })

  it("finds convolutions in a file", () => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), "glet-conv-"))
    try {
      const file = (name: string, content: Uint8Array) => {
        fs.writeFileSync(path.join(folder, name), content)
        return path.join(folder, name)
      }
      const convolution = makeModel({
        inputs: [{ name: "x", shape: ["batch", 1, 4, 4] }], outputs: [{ name: "y", shape: ["batch", 1, 4, 4] }], nodes: [conv(["x", "w"], "y")],
        initializers: [{ name: "w", dims: [1, 1, 1, 1], data: Float32Array.of(1) }]
      })
      assert.isTrue(hasConvolutions(file("conv.onnx", convolution)))
      assert.isFalse(hasConvolutions(file("dense.onnx", denseModel(1, 8))))
      assert.isFalse(hasConvolutions(file("empty.onnx", new Uint8Array(0))))
    } finally {
      fs.rmSync(folder, { recursive: true })
    }
  })
})

describe("differenceOf", () => {
  const differs = (...compared: Parameters<typeof differenceOf>) => differenceOf(...compared) > differenceAllowed

  it("allows what TF32 changes, and nothing like another result", () => {
    const one = Float32Array.of(1000, -3, 0.5)
    assert.isFalse(differs("FP32", bytes(one), bytes(Float32Array.of(1000.9, -3.2, 0.4))))
    assert.isTrue(differs("FP32", bytes(one), bytes(Float32Array.of(900, -3, 0.5))))
    assert.isTrue(differs("FP32", bytes(one), bytes(Float32Array.of(1000, -3, NaN))))
    assert.isFalse(differs("FP32", bytes(Float32Array.of(NaN, Infinity)), bytes(Float32Array.of(NaN, Infinity))))
    assert.strictEqual(differenceOf("FP32", bytes(one), bytes(Float32Array.of(1000, -3, NaN))), Infinity)
    assert.closeTo(differenceOf("FP32", bytes(one), bytes(Float32Array.of(900, -3, 0.5))), 0.1, 1e-6)
    assert.strictEqual(differenceOf("FP32", bytes(Float32Array.of(0, 0)), bytes(Float32Array.of(0, 1))), Infinity)
  })
  it("compares integers exactly", () => {
    assert.isTrue(differs("INT64", bytes(BigInt64Array.of(5n, 6n)), bytes(BigInt64Array.of(5n, 7n))))
    assert.isFalse(differs("INT64", bytes(BigInt64Array.of(5n)), bytes(BigInt64Array.of(5n))))
  })
  it("reads halves: 1 is 0x3c00 and 0x3f80", () => {
    assert.isFalse(differs("FP16", bytes(Uint16Array.of(0x3c00, 0x3c00)), bytes(Uint16Array.of(0x3c01, 0x3c00))))
    assert.isTrue(differs("FP16", bytes(Uint16Array.of(0x3c00)), bytes(Uint16Array.of(0x4000))))
    assert.isFalse(differs("BF16", bytes(Uint16Array.of(0x3f80)), bytes(Uint16Array.of(0x3f81))))
    assert.isTrue(differs("BF16", bytes(Uint16Array.of(0x3f80)), bytes(Uint16Array.of(0xbf80))))
  })
})

describe("readySizes", () => {
  it("has what was asked for and sizes between, so that no batch of more than two runs as one of twice its size", () => {
    assert.deepStrictEqual(readySizes([1, 2, 4, 8, 16, 32]), [1, 2, 3, 4, 6, 8, 12, 16, 24, 32])
    assert.deepStrictEqual(readySizes([1]), [1])
    assert.deepStrictEqual(readySizes([]), [])
  })
})

describe("streamPriority", () => {
  it("leaves room above and below the normal one, and stays within what the device has", () => {
    const h200 = { highest: -5, lowest: 0 }
    assert.deepStrictEqual([-9, -1, 0, 1, 9].map((priority) => streamPriority(h200, priority)), [-5, -3, -2, -1, 0])
    assert.strictEqual(streamPriority({ highest: 0, lowest: 0 }, -3), 0)
  })
})
