import { assert, describe, it } from "@effect/vitest"
import * as Either from "effect/Either"
import * as fc from "fast-check"
import type { Plan } from "../../src/core/Plan.js"
import { encodePlan, gletsOf, gpusUsed } from "../../src/core/Plan.js"
import type { PlanProblem } from "../../src/core/PlanProblem.js"
import { validatePlan } from "../../src/core/ValidatePlan.js"
import { fewestBound } from "../../src/scheduler/bounds/FewestBound.js"
import { fewestGpus } from "../../src/scheduler/FewestGpus.js"
import { caseLine } from "../../src/scheduler/original/CasePlans.js"
import { parseModelList, writeModelList } from "../../src/scheduler/original/ModelList.js"
import { elastic, elasticInt } from "../../src/scheduler/planners/Elastic.js"
import { greedy } from "../../src/scheduler/planners/Greedy.js"
import { orion } from "../../src/scheduler/planners/Orion.js"
import { staticPartition } from "../../src/scheduler/planners/Static.js"
import { timeShare } from "../../src/scheduler/planners/TimeShare.js"
import type { ModelSpec } from "./problems.js"
import { bestEffortOf, demandOf, gpusOf, latencyOf, mb, problemOf, problems } from "./problems.js"

const family = [timeShare, greedy, elastic, elasticInt]

const spec = (name: string, fixedMs: number, itemMs: number, overrides: Partial<ModelSpec> = {}): ModelSpec => ({
  name, fixedMs, itemMs, usefulPct: 100, largestBatch: 32, memoryBytes: 100 * mb, ...overrides
})
const planOf = (planner: typeof elastic, problem: PlanProblem): Plan => {
  const plan = Either.getOrThrow(planner.plan(problem))
  assert.deepStrictEqual(validatePlan(plan, problem), [])
  return plan
}
const works = (plan: Plan) => gletsOf(plan).map(({ glet }) => [glet.sharePct, glet.assignments.map(({ model }) => model as string).sort()])

for (const planner of family) {
  describe(planner.name, () => {
    it("answers a plan that the judge accepts, or the models at fault", () => {
      let plans = 0
      fc.assert(fc.property(problems(), (problem) => {
        const answer = planner.plan(problem)
        if (Either.isLeft(answer)) {
          for (const { detail, model } of answer.left.culprits) {
            assert.isTrue(problem.demands.some((demand) => demand.model === model))
            assert.isAbove(detail.length, 0)
          }
          return
        }
        plans++
        assert.deepStrictEqual(validatePlan(answer.right, problem), [])
        for (const { glets } of answer.right.gpus) assert.isAtMost(glets.length, planner === timeShare ? 1 : 2)
      }), { numRuns: 150 })
      assert.isAbove(plans, 50)
    })

    it("gives the same bytes for the same problem", () => {
      fc.assert(fc.property(problems(), (problem) => {
        const bytes = () => Either.match(planner.plan(problem), { onLeft: (error) => error.message, onRight: encodePlan })
        assert.strictEqual(bytes(), bytes())
      }), { numRuns: 40 })
    })

    it("plans every rate, however small, and in full", () => {
      const latency = latencyOf([spec("m", 1, 1)])
      for (const rate of [0, 1e-3, 0.1, 1, 4, 14, 15, 16, 100, 1000, 10_000]) {
        const plan = planOf(planner, problemOf(gpusOf(40), [demandOf("m", rate, 50)], latency, { dutyRule: "strict" }))
        const carried = gletsOf(plan).flatMap(({ glet }) => glet.assignments).reduce((sum, { rateRps }) => sum + rateRps, 0)
        assert.isAbove(gpusUsed(plan), 0)
        assert.approximately(carried, rate, 1e-6 * (1 + rate))
      }
    })

    it("counts the memory of every model", () => {
      const specs = ["a", "b", "c"].map((name) => spec(name, 1, 1, { memoryBytes: 8_000 * mb }))
      const demands = specs.map(({ name }) => demandOf(name, 5, 500))
      const answer = planner.plan(problemOf(gpusOf(1), demands, latencyOf(specs)))
      assert.isTrue(Either.isLeft(answer))
      assert.strictEqual(gpusUsed(planOf(planner, problemOf(gpusOf(3), demands, latencyOf(specs)))), 3)
    })

    it("plans for given GPUs what fits, and says what does not", () => {
      const specs = [spec("a", 1, 1), spec("b", 1, 1)]
      const demands = [demandOf("a", 3_000, 50), demandOf("b", 3_000, 50), demandOf("slow", 1, 50), bestEffortOf("a-batch")]
      const latency = latencyOf([...specs, spec("slow", 100, 1), spec("a-batch", 1, 1)])
      const plan = planOf(planner, problemOf(gpusOf(2), demands, latency, { whenShort: "degrade" }))
      const short = new Map<string, number>(plan.shortfalls.map(({ model, plannedRps }) => [model, plannedRps]))
      assert.sameMembers([...short.keys()], ["a", "b", "slow", "a-batch"])
      assert.strictEqual(short.get("slow"), 0)
      assert.isTrue(short.get("a")! > 300 && short.get("a")! < 3_000)
      assert.isTrue(Either.isLeft(planner.plan(problemOf(gpusOf(2), demands, latency))))
    })

    it("always answers a plan where the GPUs are given", () => {
      fc.assert(fc.property(problems({ whenShort: "degrade", maxModels: 12, maxGpus: 2 }), (problem) => {
        const plan = planOf(planner, problem)
        const placed = new Set(gletsOf(plan).flatMap(({ glet }) => glet.assignments.map(({ model }) => model)))
        for (const { model } of problem.demands) assert.isTrue(placed.has(model) || plan.shortfalls.some((short) => short.model === model && short.plannedRps === 0))
      }), { numRuns: 80 })
    })

    it("refuses what is invalid, and plans nothing for nothing", () => {
      const latency = latencyOf([spec("m", 1, 1)])
      const bad = planner.plan(problemOf(gpusOf(1), [demandOf("m", NaN, 10)], latency))
      assert.isTrue(Either.isLeft(bad) && bad.left.culprits[0].reason === "invalid")
      assert.deepStrictEqual(gletsOf(planOf(planner, problemOf(gpusOf(1), [], latency))), [])
      assert.isTrue(Either.isLeft(planner.plan(problemOf([], [demandOf("m", 1, 10)], latency))))
    })
  })
}

describe("the family's differences", () => {
  const [small, large] = [spec("small", 0.5, 0.2), spec("large", 1, 1)]
  it("cut or do not cut a GPU", () => {
    const problem = problemOf(gpusOf(2, { sharesPct: [20, 40, 50, 60, 80, 100] }), [demandOf("small", 100, 30), demandOf("large", 100, 60)], latencyOf([small, large]))
    assert.deepStrictEqual(works(planOf(timeShare, problem)), [[100, ["small"]], [100, ["large"]]])
    assert.deepStrictEqual(works(planOf(greedy, problem)), [[20, ["small"]], [20, ["large"]]])
    const one = { ...problem, gpus: gpusOf(1, { sharesPct: [20, 40, 50, 60, 80, 100] }) }
    assert.deepStrictEqual(works(planOf(timeShare, one)), [[100, ["large", "small"]]])
    for (const planner of [greedy, elastic, elasticInt]) assert.strictEqual(gletsOf(planOf(planner, one)).length, 2)
  })

  it("share a glet, or do not", () => {
    const specs = ["a", "b", "c", "d"].map((name) => spec(name, 0.5, 0.2))
    const problem = problemOf(gpusOf(1), specs.map(({ name }) => demandOf(name, 20, 60)), latencyOf(specs))
    for (const planner of [elastic, elasticInt]) assert.strictEqual(gletsOf(planOf(planner, problem)).length, 2)
    assert.isTrue(Either.isLeft(greedy.plan(problem)))
    assert.isTrue(Either.isLeft(elasticInt.plan({ ...problem, options: { ...problem.options, maxModelsPerGlet: 1 } })))
  })

  it("see interference, or refuse what it breaks", () => {
    const tight = [spec("a", 1, 1), spec("b", 1, 1)]
    const demands = tight.map(({ name }) => demandOf(name, 150, 13))
    const asked = (slowdownPerNeighbour: number, gpus: number, interference = true) =>
      problemOf(gpusOf(gpus, { sharesPct: [50, 100] }), demands, latencyOf(tight, { slowdownPerNeighbour }), { interference, maxModelsPerGlet: 1 })
    assert.strictEqual(gpusUsed(planOf(elastic, asked(0, 1))), 1)
    const refused = elastic.plan(asked(40, 1))
    assert.isTrue(Either.isLeft(refused) && /leaves out of account/.test(refused.left.message))
    assert.strictEqual(gpusUsed(planOf(elastic, asked(40, 1, false))), 1)
    assert.isTrue(Either.isLeft(elasticInt.plan(asked(40, 1))))
    assert.strictEqual(gpusUsed(planOf(elasticInt, asked(40, 2))), 2)
  })

  it("tries every first cut when asked to", () => {
    fc.assert(fc.property(problems({ whenShort: "fail", maxModels: 4, maxGpus: 2 }), (problem) => {
      const full = { ...problem, options: { ...problem.options, fullSearch: true } }
      const answer = elasticInt.plan(full)
      if (Either.isRight(answer)) assert.deepStrictEqual(validatePlan(answer.right, full), [])
    }), { numRuns: 60 })
  })
})

describe("static", () => {
  const specs = [spec("bert", 1, 1), spec("vgg16", 1, 1)]
  const problem = problemOf(gpusOf(2), [demandOf("bert", 100, 60), demandOf("vgg16", 50, 90)], latencyOf(specs))
  const list = (text: string) => ({ ...problem, options: { ...problem.options, fixedGlets: Either.getOrThrow(parseModelList({ file: "ModelList.txt", text })) } })

  it("runs a partition as given, and splits a rate in proportion to what its glets carry", () => {
    const plan = planOf(staticPartition, list("0,50,0,bert,1,20\n0,50,1,vgg16,2,30\n1,100,0,bert,3,20\n"))
    assert.deepStrictEqual(gletsOf(plan).map(({ glet }) => [glet.sharePct, glet.dutyMs, ...glet.assignments.flatMap(({ batch, model, rateRps }) => [model, batch, rateRps])]), [
      [50, 20, "bert", 1, 25], [50, 30, "vgg16", 2, 50], [100, 20, "bert", 3, 75]
    ])
  })

  it("runs what the other planners wrote", () => {
    for (const planner of family) {
      const before = planOf(planner, problem)
      const text = writeModelList(before)
      const after = planOf(staticPartition, list(text))
      assert.strictEqual(writeModelList(after), text)
      assert.deepStrictEqual(works(planOf({ ...staticPartition, plan: (asked) => staticPartition.plan(asked, before) }, problem)), works(before))
    }
  })

  it("refuses what cannot run, with the reason", () => {
    const says = (text: string): string => Either.match(staticPartition.plan(list(text)), { onLeft: (error) => error.message, onRight: () => "planned" })
    assert.match(says("0,50,0,bert,3,20\n"), /"vgg16" has no glet in the partition/)
    assert.match(says("0,50,0,bert,1,20\n0,50,1,vgg16,2,30\n"), /"bert" asks for 100 items\/s, the partition carries 50/)
    assert.match(says("0,50,0,bert,32,200\n0,50,1,vgg16,2,30\n"), /"bert" on .*: worst case/)
    assert.match(says("7,50,0,bert,3,20\n0,50,1,vgg16,2,30\n"), /stands on GPU 7 of the partition, there are 2/)
    assert.match(says("0,33,0,bert,3,20\n0,50,1,vgg16,2,30\n"), /share 33 % is not one of/)
    assert.match(Either.match(staticPartition.plan(problem), { onLeft: (error) => error.message, onRight: () => "planned" }), /needs a partition/)
    const wrong = staticPartition.plan({ ...problem, options: { ...problem.options, fixedGlets: [{ gpu: 0, sharePct: 50, dutyMs: 0, works: [{ model: problem.demands[0]!.model, batch: 1 }] }] } })
    assert.isTrue(Either.isLeft(wrong) && wrong.left.culprits[0].reason === "invalid")
  })

  it("carries what it can where the GPUs are given", () => {
    const asked = list("0,50,0,bert,1,20\n0,50,1,vgg16,2,30\n")
    const plan = planOf(staticPartition, { ...asked, options: { ...asked.options, whenShort: "degrade" } })
    assert.deepStrictEqual(plan.shortfalls.map(({ model, plannedRps }) => [model as string, plannedRps]), [["bert", 50]])
  })
})

describe("fewestGpus", () => {
  it("finds a number at which a planner's plan holds, at least the bound and at most what one more would allow", () => {
    fc.assert(fc.property(problems({ whenShort: "fail", maxModels: 4, maxGpus: 1 }), (problem) => {
      for (const planner of [...family, orion]) {
        const found = fewestGpus(planner, problem, "test", 6)
        if (found.plan === undefined) {
          assert.strictEqual(found.gpus, undefined)
          continue
        }
        assert.strictEqual(found.gpus, gpusUsed(found.plan))
        assert.isAtLeast(found.gpus!, found.lowerBound)
        const asked = { ...problem, gpus: gpusOf(found.plan.gpus.length, { ...problem.gpus[0]! }).map((gpu, i) => ({ ...gpu, id: found.plan!.gpus[i]!.gpu })) }
        assert.deepStrictEqual(validatePlan(found.plan, asked), [])
      }
    }), { numRuns: 60 })
  })

  it("knows types that are not there, models that cannot run, and limits", () => {
    const latency = latencyOf([spec("m", 1, 1)])
    const problem = problemOf(gpusOf(1), [demandOf("m", 5_000, 50)], latency)
    assert.strictEqual(fewestGpus(elastic, problem, "other").gpus, undefined)
    assert.isAbove(fewestGpus(elastic, problem, "test").gpus!, 4)
    assert.strictEqual(fewestGpus(elastic, problem, "test", 2).gpus, undefined)
    const hopeless = problemOf(gpusOf(1), [demandOf("m", 1, 1)], latency)
    assert.strictEqual(fewestBound(hopeless, { isUnlimited: true }).gpus, Infinity)
    const line = caseLine("set", "elastic", fewestGpus(elastic, hopeless, "test"), 1)
    assert.deepEqual([line.min_gpus, line.lower_bound, line.valid, line.gap, line.plan], [null, null, false, null, null])
  })

  it("becomes a line of JSON with one entry per GPU in use", () => {
    const problem = problemOf(gpusOf(1), [demandOf("m", 1_500, 50)], latencyOf([spec("m", 1, 1)]))
    const line = caseLine("set", "elastic-int", fewestGpus(elasticInt, problem, "test"), 1.5)
    assert.strictEqual(line.min_gpus, line.plan!.length)
    assert.approximately(line.plan!.flatMap(({ glets }) => glets.flatMap(({ assignments }) => assignments)).reduce((sum, { rate }) => sum + rate, 0), 1_500, 1e-3)
    assert.approximately(line.gap!, (line.min_gpus! - line.lower_bound!) / line.lower_bound!, 1e-12)
  })
})
