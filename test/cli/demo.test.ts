import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import * as fs from "node:fs"
import * as ort from "onnxruntime-node"
import { commandHere } from "../../src/cli/internal/commandHere.js"
import { renderResult, summaryOf } from "../../src/cli/demo/demoReport.js"
import { argmax, Digits, lenetInput, resizeBilinear } from "../../src/cli/demo/digits.js"
import { lenetLogit, lenetProblem } from "../../src/cli/demo/lenetLogits.js"
import { resourcePath } from "../../src/cli/internal/packageFiles.js"

const digits = Schema.decodeUnknownSync(Schema.parseJson(Digits))(fs.readFileSync(resourcePath("demo", "digits-test.json"), "utf8"))

// Made by PyTorch from the first eight images; see resource/demo.
const reference = fs.readFileSync(new URL("../fixtures/lenet-digits-first8-logits.csv", import.meta.url), "utf8")
  .trim().split("\n").map((line) => line.split(",").map(Number))

describe("digits", () => {
  it("a bilinear resize keeps constants and gradients, and repeats the border", () => {
    assert.deepStrictEqual([...resizeBilinear([3, 3, 3, 3], 2, 5)], new Array(25).fill(3))
    // Centres of the doubled row lie at -0.25, 0.25, 0.75, 1.25 of the original.
    assert.deepStrictEqual([...resizeBilinear([0, 4, 0, 4], 2, 4)].slice(0, 4), [0, 1, 3, 4])
    const ramp = Array.from({ length: 64 }, (_, i) => i % 8)
    const resized = resizeBilinear(ramp, 8, 28)
    for (let x = 2; x < 26; x++) assert.closeTo(resized[28 * 13 + x]!, ((x + 0.5) * 8) / 28 - 0.5, 1e-6)
  })

  it("LeNet gives the reference logits on the resized images, and reads at least 99 % of all right", async () => {
    const session = await ort.InferenceSession.create(resourcePath("demo", "lenet-digits.onnx"))
    const count = digits.images.length
    const input = new Float32Array(count * 784)
    digits.images.forEach((image, i) => input.set(lenetInput(image), i * 784))
    const { logits } = await session.run({ input: new ort.Tensor("float32", input, [count, 1, 28, 28]) })
    const values = logits!.data as Float32Array
    assert.strictEqual(reference.length, 8)
    reference.forEach((row, i) => row.forEach((value, j) => assert.closeTo(values[i * 10 + j]!, value, 2e-4, `image ${i}, class ${j}`)))
    const rows = digits.images.map((_, i) => values.subarray(10 * i, 10 * i + 10))
    rows.forEach((row, i) => row.forEach((value, j) => assert.closeTo(lenetLogit(i, j), value, 2e-3, `digit ${i}, logit ${j}`)))
    // What only looks right is not: another digit's answer, also of the same label, half an answer, one without the last layer's biases.
    rows.forEach((row, i) => {
      assert.isUndefined(lenetProblem(i, row))
      const others = rows.filter((other, j) => j !== i && lenetProblem(i, other) === undefined)
      assert.isEmpty(others, `of digit ${i}`)
      assert.isDefined(lenetProblem(i, row.subarray(0, 9)))
      assert.isDefined(lenetProblem(i, row.map((value) => 0.9 * value)))
      assert.isDefined(lenetProblem(i, row.map((value, j) => (j === 9 ? NaN : value))))
    })
    const right = digits.labels.filter((label, i) => argmax([...values.subarray(i * 10, i * 10 + 10)]) === label).length
    assert.isAtLeast(right / count, 0.99)
  })
})

describe("what to do next", () => {
  it("is given as it works where the demo was run", () => {
    assert.deepStrictEqual([{ npm_command: "run" }, { npm_command: "run-script" }, { npm_command: "exec" }, {}].map(commandHere), [
      "npm run -s glet --", "npm run -s glet --", "npx glet", "glet"
    ])
    const latencyCritical = { count: 1, meanMs: 1, p50Ms: 1, p90Ms: 1, p95Ms: 1, p99Ms: 1, p999Ms: 1, maxMs: 1 }
    const result = { kind: "result" as const, streams: [], right: 1, checked: 1, wrongNumbers: 0, latencyCritical, sendLagP99Ms: 0 }
    assert.include(renderResult(result, summaryOf(result, 1, "orion"), false, "npx glet"), "\n  npx glet serve --models DIR")
  })
})
