import { assert, describe, it } from "@effect/vitest"
import * as Either from "effect/Either"
import * as fc from "fast-check"
import { unsafeGletId, unsafeGpuId, unsafeModelName } from "../../src/core/Ids.js"
import type { Plan } from "../../src/core/Plan.js"
import { emptyPlan, gletsOf } from "../../src/core/Plan.js"
import { planPicture } from "../../src/scheduler/PlanPicture.js"
import { orion } from "../../src/scheduler/planners/Orion.js"
import { problems } from "./problems.js"

/** Elements by name with their attributes; fails where tags do not nest, or text has a bare `<` or `&`. */
const elements = (svg: string): ReadonlyArray<{ readonly name: string; readonly attributes: ReadonlyMap<string, string> }> => {
  const found: Array<{ readonly name: string; readonly attributes: ReadonlyMap<string, string> }> = []
  const open: Array<string> = []
  let at = 0
  for (const match of svg.matchAll(/<(\/?)([a-z]+)((?: [a-zA-Z-]+="[^"<]*")*)(\/?)>/g)) {
    assert.notMatch(svg.slice(at, match.index), /<|>|&(?!(?:lt|gt|amp|quot);)/)
    at = match.index + match[0].length
    const [, closes, name, attributes, isEmpty] = match
    if (closes === "/") assert.strictEqual(open.pop(), name)
    else {
      found.push({ name: name!, attributes: new Map([...attributes!.matchAll(/ ([a-zA-Z-]+)="([^"]*)"/g)].map(([, key, value]) => [key!, value!])) })
      if (isEmpty === "") open.push(name!)
    }
  }
  assert.deepStrictEqual(open, [])
  assert.strictEqual(svg.slice(at).trim(), "")
  return found
}

const planOf = (model: string, bestEffort: string): Plan => ({
  ...emptyPlan,
  planner: "p",
  gpus: [
    {
      gpu: unsafeGpuId("g:0"), type: "g",
      glets: [{
        id: unsafeGletId("g:0/0"), sharePct: 40, priority: 0, dutyMs: 20,
        assignments: [{ model: unsafeModelName(model), batch: 4, rateRps: 100, latencyMs: 5, worstMs: 25, slackMs: 5, capacityRps: 200 }],
        bestEffort: [{ model: unsafeModelName(bestEffort), batch: 2, blockingMs: 3 }]
      }]
    },
    { gpu: unsafeGpuId("g:1"), type: "g", glets: [] }
  ]
})

describe("planPicture", () => {
  it("draws a glet as wide as its share, its model as full as its duty cycle", () => {
    const svg = planPicture(planOf("resnet50", "embed"))
    const boxes = elements(svg).filter(({ name }) => name === "rect").map(({ attributes }) => ({
      width: Number(attributes.get("width")), isDashed: attributes.has("stroke-dasharray")
    }))
    // Background, model, its busy part, best effort, what is free.
    const [, model, busy, fill, free] = boxes
    assert.strictEqual(boxes.length, 5)
    assert.closeTo(free!.width / model!.width, 60 / 40, 0.01)
    assert.closeTo(busy!.width / model!.width, 5 / 20, 0.01)
    assert.deepStrictEqual([model!.isDashed, fill!.isDashed], [false, true])
    for (const text of ["resnet50 ×4", "embed ×2", "40 %, 20.0 ms", "60 % free", "1 GPU without glets", "p: 1 of 2 GPUs"]) assert.include(svg, text)
  })

  it("is well-formed whatever the names are", () => {
    fc.assert(fc.property(fc.string({ unit: "binary", minLength: 1, maxLength: 40 }), (name) => {
      elements(planPicture(planOf(name, `${name}<&">`), name))
    }), { numRuns: 50 })
    assert.include(planPicture(planOf("a<b>&\"\u0001", "x")), "a&lt;b&gt;&amp;&quot;\ufffd")
  })

  it("shows every glet, and equal plans as equal bytes", () => {
    let drawn = 0
    fc.assert(fc.property(problems({ whenShort: "degrade", maxModels: 5, maxGpus: 3 }), (problem) => {
      const made = orion.plan(problem)
      if (Either.isLeft(made)) return
      const svg = planPicture(made.right)
      assert.strictEqual(planPicture(structuredClone(made.right)), svg)
      const works = gletsOf(made.right).flatMap(({ glet }) => [...glet.assignments, ...glet.bestEffort])
      assert.strictEqual(elements(svg).filter(({ name }) => name === "g").length, works.length)
      drawn += works.length
    }), { numRuns: 60 })
    assert.isAbove(drawn, 0)
  })

  it("is bounded", () => {
    const [first] = planOf("m", "n").gpus
    const many: Plan = { ...emptyPlan, gpus: Array.from({ length: 1000 }, (_, i) => ({ ...first!, gpu: unsafeGpuId(`g:${i}`) })) }
    const svg = planPicture(many)
    assert.include(svg, "936 GPUs more with glets")
    assert.isBelow(svg.length, 80_000)
  })
})
