import { assert, describe, it } from "@effect/vitest"
import { simulate } from "../../src/simulator/Simulation.js"
import { timelinePicture } from "../../src/simulator/TimelinePicture.js"
import { inputOf, modelOf, name, open } from "./scenes.js"

const input = () =>
  inputOf([modelOf("a<b>&\"c\""), modelOf("m")], [open(name("m"), [200, 800], { periodMs: 2000 }), open(name("a<b>&\"c\""), [50])], {
    gpuCount: 2, failures: [{ atMs: 3000, gpu: 0, forMs: 500 }], window: { fromMs: 1000, toMs: 1200 }
  })

describe("TimelinePicture", () => {
  it("draws every batch of the window, plans and incidents; equal reports give equal bytes; names cannot break out", () => {
    const report = simulate(input())
    const picture = timelinePicture(report)
    assert.strictEqual(timelinePicture(simulate(input())), picture)
    const { list } = report.timeline.batches
    assert.isAbove(list.length, 10)
    for (const batch of list) assert.isTrue(batch.startMs >= 1000 && batch.startMs < 1200)
    assert.strictEqual(picture.match(/items, [\d.]+ ms from/g)?.length, list.length)
    assert.strictEqual(picture.match(/<circle/g)?.length, report.plans.length)
    assert.include(picture, "died")
    assert.notInclude(picture, "a<b>")
    // Well formed: every element that opens closes.
    const stack: Array<string> = []
    for (const [, close, tag, self] of picture.matchAll(/<(\/?)(\w+)[^<>]*?(\/?)>/g)) {
      if (close === "/") assert.strictEqual(stack.pop(), tag)
      else if (self !== "/") stack.push(tag!)
    }
    assert.deepStrictEqual(stack, [])
    assert.notMatch(picture, /NaN|Infinity|undefined/)
  })
})
