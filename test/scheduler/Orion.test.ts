import { assert, describe, it } from "@effect/vitest"
import * as Either from "effect/Either"
import * as fc from "fast-check"
import type { Plan } from "../../src/core/Plan.js"
import { encodePlan, gletsOf, gpusUsed } from "../../src/core/Plan.js"
import type { PlanProblem } from "../../src/core/PlanProblem.js"
import { validatePlan } from "../../src/core/ValidatePlan.js"
import type { GletDraft } from "../../src/scheduler/internal/gletSolver.js"
import { makePlanTables } from "../../src/scheduler/internal/planTables.js"
import { tightenGlets } from "../../src/scheduler/internal/spareCapacity.js"
import { orion } from "../../src/scheduler/planners/Orion.js"
import type { ModelSpec } from "./problems.js"
import { bestEffortOf, cpuOf, demandOf, gpuOf, gpusOf, latencyOf, mb, problemOf, problems } from "./problems.js"

const runs = { numRuns: 50 }
const patience = 120_000

const planOf = (problem: PlanProblem, current?: Plan): Plan => {
  const plan = Either.getOrThrow(orion.plan(problem, current))
  assert.deepStrictEqual(validatePlan(plan, problem), [])
  return plan
}

const spec = (name: string, fixedMs: number, itemMs: number, overrides: Partial<ModelSpec> = {}): ModelSpec => ({
  name, fixedMs, itemMs, usefulPct: 100, largestBatch: 32, memoryBytes: 100 * mb, ...overrides
})

const carriedRps = (plan: Plan, model: string): number =>
  gletsOf(plan).flatMap(({ glet }) => glet.assignments).filter((work) => work.model === model).reduce((sum, work) => sum + work.rateRps, 0)
const capacityRps = (plan: Plan, model: string): number =>
  gletsOf(plan).flatMap(({ glet }) => glet.assignments).filter((work) => work.model === model).reduce((sum, work) => sum + work.capacityRps, 0)
const modelsOf = (plan: Plan): ReadonlySet<string> =>
  new Set(gletsOf(plan).flatMap(({ glet }) => [...glet.assignments, ...glet.bestEffort]).map((work) => work.model))

describe("orion on random problems", () => {
  it("answers a plan that the judge accepts, or the models at fault", () => {
    fc.assert(fc.property(problems(), (problem) => {
      const answer = orion.plan(problem)
      if (Either.isRight(answer)) {
        assert.deepStrictEqual(validatePlan(answer.right, problem), [])
        return
      }
      assert.strictEqual(problem.options.whenShort, "fail")
      assert.isAbove(answer.left.culprits.length, 0)
      for (const { model } of answer.left.culprits) assert.isTrue(problem.demands.some((demand) => demand.model === model))
    }), runs)
  }, patience)

  it("gives every latency-critical model a glet or a shortfall, and every best-effort model too", () => {
    fc.assert(fc.property(problems({ whenShort: "degrade" }), (problem) => {
      const plan = planOf(problem)
      const placed = modelsOf(plan)
      for (const { model } of problem.demands) {
        assert.isTrue(placed.has(model) || plan.shortfalls.some((short) => short.model === model && short.plannedRps === 0), model)
      }
    }), runs)
  }, patience)

  it("leaves whole GPUs to best-effort models, with room for the others to grow, and loads them wherever else they get something done", () => {
    const specs = [spec("a", 1, 0.2), spec("b", 2, 0.5), spec("fill", 1, 0.5)]
    const problem = problemOf(gpusOf(6), [demandOf("a", 600, 60), demandOf("b", 300, 90), bestEffortOf("fill")], latencyOf(specs), { whenShort: "degrade" })
    const plan = planOf(problem)
    const critical = plan.gpus.filter(({ glets }) => glets.some(({ assignments }) => assignments.length > 0))
    assert.isAtMost(critical.length, 3)
    assert.isAtLeast(plan.headroom ?? 0, 2.5)
    for (const { glets } of plan.gpus) for (const { bestEffort } of glets) assert.deepStrictEqual(bestEffort.map(({ model }) => model as string), ["fill"])
    // Without them the room is for growth.
    const without = planOf({ ...problem, demands: problem.demands.slice(0, 2) })
    assert.isAbove(without.headroom ?? 0, 3)
  })

  it("lays best-effort work over the latency-critical glets where that is asked for, which are as without it", () => {
    let laid = 0
    fc.assert(fc.property(problems({ whenShort: "degrade" }), fc.integer({ min: 1, max: 100 }), (problem, overlayPct) => {
      const plan = planOf({ ...problem, options: { ...problem.options, overlayPct } })
      assert.deepStrictEqual(validatePlan(plan, problem), [])
      const placed = modelsOf(plan)
      for (const { model } of problem.demands) assert.isTrue(placed.has(model) || plan.shortfalls.some((short) => short.model === model), model)
      for (const { glets } of plan.gpus) {
        const overlays = glets.filter(({ overlay }) => overlay === true)
        laid += overlays.length
        assert.isAtMost(overlays.length, 1)
        const ground = glets.filter(({ overlay }) => overlay !== true)
        if (ground.some(({ assignments }) => assignments.length > 0)) for (const { bestEffort } of ground) assert.deepStrictEqual(bestEffort, [])
        for (const { priority, sharePct } of overlays) {
          assert.strictEqual(priority, 1)
          assert.isAtMost(sharePct, overlayPct)
        }
      }
    }), { numRuns: 30 })
    assert.isAbove(laid, 2)
  }, patience)

  it("lays best-effort work over the others by default where it gives way, on all of the GPU over a single glet", () => {
    let laid = 0
    fc.assert(fc.property(problems({ whenShort: "degrade" }), fc.boolean(), (drawn, givesWay) => {
      const problem: PlanProblem = { ...drawn, gpus: drawn.gpus.map((gpu) => (givesWay ? { ...gpu, preemptMs: 0.1 } : gpu)) }
      const plan = planOf(problem)
      assert.deepStrictEqual(validatePlan(plan, problem), [])
      for (const { glets } of plan.gpus) {
        const overlays = glets.filter(({ overlay }) => overlay === true)
        laid += overlays.length
        assert.isAtMost(overlays.length, givesWay && glets.some(({ assignments }) => assignments.length > 0) ? 1 : 0)
        for (const { sharePct } of overlays) if (glets.length === 2) assert.strictEqual(sharePct, problem.gpus[0]!.sharesPct.at(-1))
      }
    }), { numRuns: 30 })
    assert.isAbove(laid, 2)
  }, patience)

  it("joins the glets of latency-critical work under best-effort work that gives way, also those that were deployed before it came", () => {
    // A batch of best-effort work is too long to run between latency-critical ones.
    const specs = [spec("a", 1, 0.2), spec("b", 1, 0.2), spec("fill", 60, 2)]
    const latency = latencyOf(specs)
    const critical = [demandOf("a", 60, 40), demandOf("b", 60, 40)]
    const gpus = gpusOf(1).map((gpu) => ({ ...gpu, preemptMs: 0.1 }))
    const before = planOf(problemOf(gpus, critical, latency, { whenShort: "degrade" }))
    const problem = problemOf(gpus, [...critical, bestEffortOf("fill")], latency, { whenShort: "degrade" })
    for (const current of [undefined, before]) {
      const plan = Either.getOrThrow(orion.plan(problem, current))
      assert.deepStrictEqual(validatePlan(plan, problem), [])
      const ground = plan.gpus[0]!.glets.filter(({ overlay }) => overlay !== true)
      const overlay = plan.gpus[0]!.glets.find((glet) => glet.overlay === true)
      assert.deepStrictEqual(ground.map(({ sharePct }) => sharePct), [100])
      assert.strictEqual(overlay?.sharePct, 100)
      // And it stays so.
      const again = Either.getOrThrow(orion.plan(problem, plan))
      assert.deepStrictEqual(again.gpus.map(({ glets }) => glets.map(({ sharePct }) => sharePct)), plan.gpus.map(({ glets }) => glets.map(({ sharePct }) => sharePct)))
    }
  }, patience)

  it("always answers a plan where the GPUs are given, however crowded they are", () => {
    fc.assert(fc.property(problems({ whenShort: "degrade", maxModels: 40, maxGpus: 1 }), (problem) => {
      const plan = planOf(problem)
      const asked = problem.demands.filter((demand) => demand.serviceClass === "latency-critical")
      for (const { model, rateRps } of asked) {
        const short = plan.shortfalls.find((one) => one.model === model)
        assert.approximately(carriedRps(plan, model), short?.plannedRps ?? rateRps, 1e-6 * (1 + rateRps))
      }
    }), { numRuns: 12 })
  }, patience)

  it("gives the same bytes for the same problem", () => {
    fc.assert(fc.property(problems(), (problem) => {
      const bytes = () => Either.match(orion.plan(problem), { onLeft: (error) => error.message, onRight: encodePlan })
      assert.strictEqual(bytes(), bytes())
    }), { numRuns: 30 })
  }, patience)

  it("fits on more GPUs what fits on fewer, with no more of them", () => {
    fc.assert(fc.property(problems({ whenShort: "fail" }), fc.integer({ min: 1, max: 3 }), (problem, more) => {
      const answer = orion.plan(problem)
      if (Either.isLeft(answer)) return
      const [gpu] = problem.gpus
      const gpus = gpusOf(problem.gpus.length + more, { sharesPct: gpu!.sharesPct, units: gpu!.units })
      const bigger = planOf({ ...problem, gpus })
      assert.isAtMost(gpusUsed(bigger), gpusUsed(answer.right))
    }), { numRuns: 40 })
  }, patience)

  it("never uses fewer GPUs than its bound says are needed", () => {
    fc.assert(fc.property(problems({ whenShort: "fail" }), (problem) => {
      const answer = orion.plan(problem)
      if (Either.isRight(answer)) assert.isAtMost(answer.right.lowerBound ?? Infinity, gpusUsed(answer.right))
    }), runs)
  }, patience)

  it("offers a nearest SLO and a nearest rate that are really possible", () => {
    let offers = 0
    fc.assert(fc.property(problems({ whenShort: "fail", maxModels: 4, maxGpus: 2 }), (problem) => {
      const answer = orion.plan(problem)
      if (Either.isRight(answer)) return
      for (const { model, nearestRateRps, nearestSloMs } of answer.left.culprits) {
        const demand = problem.demands.find((one) => one.model === model)!
        // Alone the model must be possible with what is offered; its memory is a matter of its own.
        const alone = (change: { readonly sloMs?: number; readonly rateRps?: number }) =>
          Either.isRight(orion.plan({ ...problem, demands: [{ ...demand, ...change }] }))
        if (nearestRateRps !== undefined) {
          offers++
          assert.isBelow(nearestRateRps, demand.rateRps)
          assert.isTrue(alone({ rateRps: nearestRateRps }))
        }
        if (nearestSloMs !== undefined) {
          assert.isAbove(nearestSloMs, demand.sloMs)
          const left = orion.plan({ ...problem, demands: [{ ...demand, sloMs: nearestSloMs, rateRps: 0 }] })
          if (Either.isLeft(left)) assert.strictEqual(left.left.culprits[0].reason, "memory")
        }
      }
    }), runs)
    assert.isAbove(offers, 0)
  }, patience)
})

describe("orion on the CPU", () => {
  const specs = [spec("lenet", 0.2, 0.05), spec("mobile", 2, 3), spec("resnet", 4, 8), spec("batchy", 5, 10)]
  const demands = [demandOf("lenet", 400, 20), demandOf("mobile", 20, 60), demandOf("resnet", 8, 150), bestEffortOf("batchy")]

  for (const cores of [1, 2, 4]) {
    it(`serves three latency-critical models and a best-effort one on ${cores} core(s)`, () => {
      // One core runs one batch at a time: whoever waits, waits for all others.
      const asked = cores === 1 ? demands.map((demand) => ({ ...demand, rateRps: demand.rateRps / 4, sloMs: demand.sloMs * 3 })) : demands
      const plan = planOf(problemOf([cpuOf(cores)], asked, latencyOf(specs), { whenShort: "degrade" }))
      assert.deepStrictEqual(plan.shortfalls, [])
      assert.strictEqual(modelsOf(plan).size, 4)
      if (cores === 1) assert.strictEqual(gletsOf(plan).length, 1)
    })
  }

  it("uses the whole of a GPU that is given", () => {
    const plan = planOf(problemOf([cpuOf(2)], demands.slice(0, 3), latencyOf(specs), { whenShort: "degrade" }))
    assert.strictEqual(gletsOf(plan).reduce((sum, { glet }) => sum + glet.sharePct, 0), 100)
    for (const { model, rateRps } of demands.slice(0, 3)) assert.isAbove(capacityRps(plan, model), 1.5 * rateRps)
  })

  it("plans the largest part that fits when the load is too much, and says so", () => {
    const heavy = [demandOf("mobile", 2_000, 60), demandOf("resnet", 800, 150)]
    const plan = planOf(problemOf([cpuOf(2)], heavy, latencyOf(specs), { whenShort: "degrade" }))
    assert.deepStrictEqual(plan.shortfalls.map(({ model }) => model as string), ["mobile", "resnet"])
    for (const { askedRps, model, plannedRps } of plan.shortfalls) {
      assert.isAbove(plannedRps, 0)
      assert.isBelow(plannedRps, askedRps)
      assert.approximately(carriedRps(plan, model), plannedRps, 1e-6 * plannedRps)
    }
    const failed = orion.plan(problemOf([cpuOf(2)], heavy, latencyOf(specs)))
    assert.isTrue(Either.isLeft(failed))
  })

  it("gives a model without any load a place, and one that cannot keep its SLO a reason", () => {
    const asked = [demandOf("lenet", 0, 20), demandOf("resnet", 5, 10), demandOf("mobile", 5, 60), demandOf("unmeasured", 5, 60)]
    const plan = planOf(problemOf([cpuOf(2)], asked, latencyOf(specs), { whenShort: "degrade" }))
    assert.sameMembers([...modelsOf(plan)], ["lenet", "mobile"])
    assert.sameMembers(plan.shortfalls.map(({ model }) => model as string), ["resnet", "unmeasured"])
    assert.isTrue(plan.shortfalls.every((short) => short.plannedRps === 0 && short.reason.length > 0))
  })

  it("keeps the SLOs of a glet that lends its slack", () => {
    const plan = planOf(problemOf([cpuOf(1)], [demandOf("lenet", 100, 60), bestEffortOf("batchy")], latencyOf(specs), { whenShort: "degrade" }))
    const [placed] = gletsOf(plan)
    const [work] = placed!.glet.bestEffort
    assert.isDefined(work)
    assert.isAbove(work!.batch, 1)
    assert.isAtLeast(placed!.glet.assignments[0]!.worstMs, work!.blockingMs)
  })
})

describe("orion where not all models have a place", () => {
  const whole = gpuOf(0, { sharesPct: [100], units: 1 })

  it("places the model with requests before one that nobody asks for, and says that the other has no place", () => {
    const problem = problemOf(
      [whole],
      [demandOf("busy", 316, 0.69, 1), bestEffortOf("later", 1), demandOf("idle", 0, 27, 64)],
      latencyOf([spec("busy", 0.24, 0.01, { largestBatch: 1 }), spec("later", 0.24, 0.01, { largestBatch: 1 }), spec("idle", 9.5, 0.25, { largestBatch: 4 })]),
      { whenShort: "degrade", maxModelsPerGlet: 1 }
    )
    const plan = planOf(problem)
    assert.deepStrictEqual([...modelsOf(plan)], ["busy"])
    assert.deepStrictEqual(plan.shortfalls.map(({ model }) => String(model)), ["later", "idle"])
  })

  it("keeps best-effort models on glets that become one", () => {
    const gpu = gpuOf(0)
    const tables = makePlanTables(problemOf([gpu], [demandOf("a", 1, 100), demandOf("b", 1, 100), bestEffortOf("c")], latencyOf(["a", "b", "c"].map((name) => spec(name, 1, 0.1)))))
    const glet = (demand: number): GletDraft => ({ sharePct: 50, works: [{ demand, rateRps: 1 }], bestEffort: [{ demand: 2, batch: demand + 1 }], factor: 1 })
    const { glets } = tightenGlets(tables, { gpu, glets: [glet(0), glet(1)] })
    assert.deepStrictEqual(glets.map(({ bestEffort, works }) => [works.map(({ demand }) => demand), bestEffort]), [[[0, 1], [{ demand: 2, batch: 1 }]]])
  })
})

describe("orion on GPUs", () => {
  it("spreads a rate that no single glet carries", () => {
    const plan = planOf(problemOf(gpusOf(3), [demandOf("m", 1_800, 50)], latencyOf([spec("m", 1, 1)])))
    assert.isAbove(gpusUsed(plan), 1)
    assert.approximately(carriedRps(plan, "m"), 1_800, 1e-3)
  })

  it("puts small models together on one GPU", () => {
    const names = Array.from({ length: 12 }, (_, i) => `m${i}`)
    const problem = problemOf(gpusOf(8), names.map((name) => demandOf(name, 20, 100)), latencyOf(names.map((name) => spec(name, 1, 1))))
    assert.strictEqual(gpusUsed(planOf(problem)), 1)
  })

  it("takes all GPUs when they are given and only the needed ones else", () => {
    const latency = latencyOf([spec("m", 1, 1)])
    assert.strictEqual(gpusUsed(planOf(problemOf(gpusOf(2), [demandOf("m", 500, 50)], latency))), 1)
    assert.strictEqual(gpusUsed(planOf(problemOf(gpusOf(2), [demandOf("m", 500, 50)], latency, { whenShort: "degrade" }))), 2)
  })

  it("serves each model on GPUs it was measured on", () => {
    const one = latencyOf([spec("a", 1, 1)])
    const other = latencyOf([spec("b", 1, 1)])
    const latency = {
      ...one,
      latencyMs: (run: Parameters<typeof one.latencyMs>[0]) => (run.gpuType === "test" ? one : other).latencyMs(run),
      memoryBytes: (type: string, model: Parameters<typeof one.memoryBytes>[1]) => (type === "test" ? one : other).memoryBytes(type, model)
    }
    const gpus = [gpusOf(1)[0]!, { ...gpusOf(2)[1]!, type: "other" }]
    const plan = planOf(problemOf(gpus, [demandOf("a", 10, 50), demandOf("b", 10, 50)], latency))
    assert.deepStrictEqual(plan.gpus.map((gpu) => [...new Set(gpu.glets.flatMap((glet) => glet.assignments.map((work) => work.model as string)))]), [["a"], ["b"]])
  })

  it("keeps what is deployed when rates change a little", () => {
    const names = Array.from({ length: 10 }, (_, i) => `m${i}`)
    const latency = latencyOf(names.map((name, i) => spec(name, 0.5 + 0.2 * i, 0.2 + 0.1 * i)))
    const demands = names.map((name, i) => demandOf(name, 40 + 10 * i, 40 + 20 * i))
    const problem = problemOf(gpusOf(2), demands, latency, { whenShort: "degrade" })
    const before = planOf(problem)
    const after = planOf({ ...problem, demands: demands.map((demand, i) => ({ ...demand, rateRps: demand.rateRps * (i % 2 === 0 ? 1.08 : 0.95) })) }, before)
    const shape = (plan: Plan) => plan.gpus.map((gpu) => gpu.glets.map((glet) => [glet.sharePct, glet.assignments.map((work) => work.model).sort()]))
    assert.deepStrictEqual(shape(after), shape(before))
  })

  it("names what is invalid", () => {
    const latency = latencyOf([spec("m", 1, 1)])
    for (const demand of [demandOf("m", NaN, 10), demandOf("m", -1, 10), demandOf("m", Infinity, 10), demandOf("m", 1, 0), demandOf("m", 1, NaN), demandOf("m", 1, 10, 0)]) {
      const answer = orion.plan(problemOf(gpusOf(1), [demand], latency, { whenShort: "degrade" }))
      assert.isTrue(Either.isLeft(answer) && answer.left.culprits[0].reason === "invalid")
    }
    const twice = orion.plan(problemOf(gpusOf(1), [demandOf("m", 1, 10), demandOf("m", 1, 10)], latency))
    assert.isTrue(Either.isLeft(twice) && twice.left.culprits[0].reason === "invalid")
  })

  it("plans nothing for nothing, and shortfalls without GPUs", () => {
    const latency = latencyOf([spec("m", 1, 1)])
    assert.deepStrictEqual(gletsOf(planOf(problemOf(gpusOf(2), [], latency))), [])
    const none = planOf(problemOf([], [demandOf("m", 1, 10)], latency, { whenShort: "degrade" }))
    assert.strictEqual(none.shortfalls.length, 1)
  })
})
