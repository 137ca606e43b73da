/** The trained LeNet of the demo as a contract model, wherever its files come from: each request holds other digits, the answer must name them. */
import { assert } from "@effect/vitest"
import { unsafeModelName } from "../../src/core/Ids.js"
import type { Model } from "../../src/core/Model.js"
import { lenetProblem } from "../../src/cli/demo/lenetLogits.js"
import type { ContractModel } from "./requests.js"

/** `resource/demo/digits-test.json` */
export interface Digits {
  readonly labels: ReadonlyArray<number>
  /** 8x8 each, 0 to 16. */
  readonly images: ReadonlyArray<ReadonlyArray<number> | ReadonlyArray<ReadonlyArray<number>>>
}

/** Bilinear from 8x8 to 28x28, corners not aligned: what the network was trained on. */
const enlarge = (image: ReadonlyArray<number>): Float32Array => {
  const out = new Float32Array(28 * 28)
  const source = (i: number) => {
    const at = Math.min(7, Math.max(0, ((i + 0.5) * 8) / 28 - 0.5))
    const low = Math.min(6, Math.floor(at))
    return { low, part: at - low }
  }
  for (let y = 0; y < 28; y++) {
    const row = source(y)
    for (let x = 0; x < 28; x++) {
      const column = source(x)
      const pixel = (dy: number, dx: number) => image[8 * (row.low + dy) + column.low + dx]! / 16
      const upper = pixel(0, 0) * (1 - column.part) + pixel(0, 1) * column.part
      const lower = pixel(1, 0) * (1 - column.part) + pixel(1, 1) * column.part
      out[28 * y + x] = upper * (1 - row.part) + lower * row.part
    }
  }
  return out
}

/** Digits as the network's inputs, with their labels. */
export interface LenetDigits {
  readonly labels: ReadonlyArray<number>
  readonly images: ReadonlyArray<Float32Array>
}
export const enlargeAll = ({ images, labels }: Digits): LenetDigits => ({ labels, images: images.map((image) => enlarge(image.flat())) })

/** LeNet, version 1, latency-critical. */
export const lenetAt = (path: string, weightBytes: number): Model => ({
  name: unsafeModelName("lenet"),
  version: 1,
  path,
  signature: {
    inputs: [{ name: "input", datatype: "FP32", shape: ["batch", 1, 28, 28] }],
    outputs: [{ name: "logits", datatype: "FP32", shape: ["batch", 10] }],
    batchSymbol: "batch"
  },
  maxBatch: 16,
  serviceClass: "latency-critical",
  sloMs: 50,
  expectedRateRps: 100,
  weightBytes
})

const floats = (bytes: Uint8Array): Float32Array => new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4)
/** Digits that the network itself takes for others (by index): 99.4 % of 500 are right. */
const misread = new Map([[114, 2], [214, 8], [249, 3]])

/** LeNet with its digits. Request `seed` holds the digits `seed`, `seed + 1`, … */
export const lenetContract = (model: Model, digits: () => LenetDigits): ContractModel => ({
  model,
  fill: ({ inputs, items, seed }) => {
    const { images } = digits()
    const input = floats(inputs[0]!)
    for (let i = 0; i < items; i++) input.set(images[(seed + i) % images.length]!, i * 784)
  },
  check: ({ items, seed }, outputs) => {
    const { labels } = digits()
    const logits = floats(outputs[0]!)
    assert.strictEqual(logits.length, 10 * items)
    for (let i = 0; i < items; i++) {
      const digit = (seed + i) % labels.length
      const row = logits.subarray(10 * i, 10 * i + 10)
      assert.strictEqual(row.indexOf(Math.max(...row)), misread.get(digit) ?? labels[digit], `digit ${digit}, item ${i} of ${items}`)
      assert.isUndefined(lenetProblem(digit, row), `item ${i} of ${items}`)
    }
  }
})
