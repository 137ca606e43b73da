/** What LeNet answers to an image that is grey all over: one request of which examples and clients need no digits. */
import { assert } from "@effect/vitest"
import { fileURLToPath } from "node:url"
import * as ort from "onnxruntime-node"

/** Compares with what onnxruntime-node answers here. */
export const assertLogitsOfGrey = async (found: ReadonlyArray<number>): Promise<void> => {
  const session = await ort.InferenceSession.create(fileURLToPath(new URL("../../resource/demo/lenet-digits.onnx", import.meta.url)), { intraOpNumThreads: 1 })
  const answer = await session.run({ input: new ort.Tensor("float32", new Float32Array(784).fill(0.5), [1, 1, 28, 28]) })
  const logits = [...answer["logits"]!.data as Float32Array]
  await session.release()
  assert.strictEqual(found.length, logits.length)
  const largest = Math.max(...logits.map(Math.abs))
  found.forEach((value, i) => assert.closeTo(value, logits[i]!, 1e-3 * largest, `logit ${i}`))
}
