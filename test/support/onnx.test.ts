import * as fs from "node:fs"
import * as ort from "onnxruntime-node"
import { assert, describe, it } from "vitest"
import { demoModels, denoiseModel, featuresModel, rankingModel } from "../../scripts/demoModels.js"
import * as onnx from "./onnx.js"

const resource = (name: string) => new URL(`../../resource/demo/${name}`, import.meta.url)

const run = async (bytes: Uint8Array, feeds: Record<string, ort.Tensor>): Promise<ort.InferenceSession.OnnxValueMapType> => {
  const session = await ort.InferenceSession.create(bytes, { intraOpNumThreads: 1, logSeverityLevel: 3 })
  try {
    return await session.run(feeds)
  } finally {
    await session.release()
  }
}
const f32 = (values: ReadonlyArray<number> | Float32Array, dims: ReadonlyArray<number>) => new ort.Tensor("float32", Float32Array.from(values), dims)
const i64 = (values: ReadonlyArray<bigint>, dims: ReadonlyArray<number>) => new ort.Tensor("int64", BigInt64Array.from(values), dims)
const values = (tensor: ort.OnnxValue | undefined) => Array.from((tensor as ort.Tensor).data as Float32Array)

interface Digits { readonly images: ReadonlyArray<ReadonlyArray<number>>; readonly labels: ReadonlyArray<number> }

/** Real digits as LeNet gets them: 8x8, resized bilinearly to 28x28, corners not aligned. */
const digits = (): ReadonlyArray<{ readonly pixels: Float32Array; readonly label: number }> => {
  const file = JSON.parse(fs.readFileSync(resource("digits-test.json"), "utf8")) as Digits
  return file.images.slice(0, 100).map((image, i) => {
    const source = image.flat()
    const pixels = new Float32Array(784)
    for (let y = 0; y < 28; y++) {
      for (let x = 0; x < 28; x++) {
        const [sy, sx] = [Math.max(0, ((y + 0.5) * 8) / 28 - 0.5), Math.max(0, ((x + 0.5) * 8) / 28 - 0.5)]
        const [y0, x0] = [Math.floor(sy), Math.floor(sx)]
        const at = (dy: number, dx: number) => source[Math.min(7, y0 + dy) * 8 + Math.min(7, x0 + dx)]! / 16
        const [a, b] = [sy - y0, sx - x0]
        pixels[y * 28 + x] = (1 - a) * ((1 - b) * at(0, 0) + b * at(0, 1)) + a * ((1 - b) * at(1, 0) + b * at(1, 1))
      }
    }
    return { pixels, label: file.labels[i]! }
  })
}

describe("models for tests", () => {
  it("dense layers are matrix products with relu", async () => {
    const out = await run(onnx.denseModel(2, 8, 3), { x: f32(Array.from({ length: 16 }, (_, i) => i / 8), [2, 8]) })
    assert.deepEqual((out["y"] as ort.Tensor).dims, [2, 8])
    const layer = (row: ReadonlyArray<number>, seed: number) => {
      const w = onnx.weights("w", [8, 8], 8, seed).data as Float32Array
      return Array.from({ length: 8 }, (_, j) => Math.max(0, row.reduce((sum, value, i) => sum + value * w[i * 8 + j]!, 0)))
    }
    const expected = [0, 1].flatMap((row) => layer(layer(Array.from({ length: 8 }, (_, i) => (row * 8 + i) / 8), 3), 4))
    values(out["y"]).forEach((value, i) => assert.closeTo(value, expected[i]!, 1e-4))
  })

  it("identity, two inputs, fixed batch, int64, sequence, data-dependent output", async () => {
    assert.deepEqual(values((await run(onnx.identityModel(2), { x: f32([1, 2, 3, 4], [2, 2]) }))["y"]), [1, 2, 3, 4])
    const two = await run(onnx.twoInputModel(), { a: f32([1, 2, 3], [1, 3]), b: f32([10, 20, 30], [1, 3]) })
    assert.deepEqual(values(two["sum"]), [11, 22, 33])
    assert.deepEqual(values(two["a_copy"]), [1, 2, 3])
    assert.deepEqual(values((await run(onnx.fixedBatchModel(), { x: f32([-1, 2, -3, 4, -5, 6], [2, 3]) }))["y"]), [0, 2, 0, 4, 0, 6])
    const large = await run(onnx.int64Model(), { x: i64([9007199254740992n, -1n], [1, 2]) })
    assert.deepEqual(Array.from((large["y"] as ort.Tensor).data as BigInt64Array), [9007199254740993n, 0n])
    const sequence = await run(onnx.sequenceModel(4, 2, 5), { ids: i64([0n, 3n, 3n], [1, 3]) })
    const table = onnx.weights("table", [4, 2], 2, 5).data as Float32Array
    assert.deepEqual((sequence["tokens"] as ort.Tensor).dims, [1, 3, 2])
    assert.closeTo(values(sequence["embedding"])[1]!, (table[1]! + 2 * table[7]!) / 3, 1e-6)
    const found = await run(onnx.nonZeroModel(), { x: f32([0, 5, 0, 7], [4]) })
    assert.deepEqual(Array.from((found["indices"] as ort.Tensor).data as BigInt64Array), [1n, 3n])
  })
})

describe("models of the demo", () => {
  it("the files in resource/demo are what the script writes, and small", () => {
    for (const [name, bytes] of demoModels()) {
      assert.isTrue(Buffer.from(bytes).equals(fs.readFileSync(resource(name))), `${name}: run scripts/make-models.ts`)
      assert.isBelow(bytes.length, 300_000)
    }
  })

  it("digits-denoise removes noise", async () => {
    const clean = digits()[0]!.pixels
    const next = onnx.seededUniform(1)
    const noisy = clean.map((value) => Math.min(1, Math.max(0, value + 0.3 * next())))
    const out = await run(denoiseModel(), { image: f32([...clean, ...noisy], [2, 1, 28, 28]) })
    const denoised = values(out["denoised"])
    const error = (image: ArrayLike<number>) => Array.from(image).reduce((sum, value, i) => sum + (value - clean[i]!) ** 2, 0)
    assert.isBelow(error(denoised.slice(784)), 0.5 * error(noisy))
    assert.isBelow(error(denoised.slice(0, 784)), 0.3 * error(noisy), "a clean image stays nearly as it is")
  })

  it("digits-features finds the digit that looks alike", async () => {
    const all = digits()
    const out = await run(featuresModel(), { image: f32(all.flatMap((digit) => [...digit.pixels]), [all.length, 1, 28, 28]) })
    const flat = values(out["embedding"])
    const rows = all.map((_, i) => flat.slice(i * 64, i * 64 + 64))
    const dot = (a: ReadonlyArray<number>, b: ReadonlyArray<number>) => a.reduce((sum, value, i) => sum + value * b[i]!, 0)
    rows.forEach((row) => assert.closeTo(dot(row, row), 1, 1e-3))
    const right = rows.filter((row, i) => {
      const best = rows.map((other, j) => (i === j ? -2 : dot(row, other)))
      return all[best.indexOf(Math.max(...best))]!.label === all[i]!.label
    }).length
    assert.isAtLeast(right, 80, "of 100 nearest neighbours, so many show the same digit")
  })

  it("ranking-batch scores every candidate, items apart", async () => {
    const next = onnx.seededUniform(2)
    const item = () => Array.from({ length: 32 * 48 }, () => next())
    const [a, b] = [item(), item()]
    const both = values((await run(rankingModel(), { candidates: f32([...a, ...b], [2, 32, 48]) }))["scores"])
    const alone = values((await run(rankingModel(), { candidates: f32(b, [1, 32, 48]) }))["scores"])
    assert.lengthOf(both, 64)
    alone.forEach((score, i) => assert.closeTo(score, both[32 + i]!, 1e-5))
    assert.isAbove(new Set(alone.map((score) => score.toFixed(3))).size, 10)
  })
})
