import { assert, describe, it } from "@effect/vitest"
import { unsafeGletId, unsafeGpuId, unsafeModelName } from "../../src/core/Ids.js"
import type { Plan, PlannedGlet } from "../../src/core/Plan.js"
import { emptyPlan } from "../../src/core/Plan.js"
import type { PlanOptions, PlanProblem } from "../../src/core/PlanProblem.js"
import type { ViolationKind } from "../../src/core/ValidatePlan.js"
import { validatePlan } from "../../src/core/ValidatePlan.js"
import { glet, planOf, problem, work } from "./support.js"

const kinds = (plan: Plan, of: PlanProblem = problem): ReadonlyArray<ViolationKind> =>
  [...new Set(validatePlan(plan, of).map((violation) => violation.kind))].sort()
const withOptions = (options: Partial<PlanOptions>): PlanProblem => ({ ...problem, options: { ...problem.options, ...options } })
const one = (overrides: Partial<PlannedGlet>): Plan => planOf([{ ...glet, ...overrides }])
const [a, b] = glet.assignments as [typeof glet.assignments[0] & object, typeof glet.assignments[0] & object]
const other = (id: string, sharePct: number): PlannedGlet => ({ ...glet, id: unsafeGletId(id), sharePct, assignments: [], bestEffort: [] })

describe("validatePlan", () => {
  it("accepts a plan that keeps every rule, up to their limits", () => {
    assert.deepStrictEqual(validatePlan(planOf([glet]), problem), [])
    // 10 + 4 + 3 of best-effort: a's SLO may be as short as 17 ms; one last bit less is a matter of rounding, a microsecond is not.
    const tight = (sloMs: number): PlanProblem => ({ ...problem, demands: problem.demands.map((demand, i) => (i === 0 ? { ...demand, sloMs } : demand)) })
    assert.deepStrictEqual(kinds(planOf([glet]), tight(17)), [])
    assert.deepStrictEqual(kinds(planOf([glet]), tight(16.999)), ["slo-missed"])
  })

  it("counts all latencies of the glet under the strict rule", () => {
    const tight = { ...problem, demands: problem.demands.map((demand, i) => (i === 0 ? { ...demand, sloMs: 19 } : demand)) }
    assert.deepStrictEqual(kinds(planOf([glet]), tight), [])
    assert.deepStrictEqual(kinds(planOf([glet], { dutyRule: "strict" }), tight), ["slo-missed"])
  })

  it("believes its own latencies, not the plan's", () => {
    assert.deepStrictEqual(kinds(one({ assignments: [{ ...a, latencyMs: 3.9 }, b] })), ["latency-understated"])
    assert.deepStrictEqual(kinds(one({ bestEffort: [{ ...glet.bestEffort[0]!, blockingMs: 2 }] })), ["latency-understated"])
    // Saying more than needed is no fault.
    assert.deepStrictEqual(kinds(one({ assignments: [{ ...a, latencyMs: 9 }, b] })), [])
  })

  it("applies head-room and interference", () => {
    assert.deepStrictEqual(kinds(planOf([glet]), withOptions({ latencyHeadroom: 1.01 })), ["latency-understated"])
    const beside = { ...other("gpu/1", 20), bestEffort: [] , assignments: [{ ...work("a", 1, 0, 100), model: unsafeModelName("a") }], dutyMs: 7.5 }
    const pair = planOf([{ ...glet, bestEffort: [] }, beside])
    assert.deepStrictEqual(kinds(pair), [])
    assert.include(kinds(pair, withOptions({ interference: true })), "latency-understated")
  })

  it("wants room in the cycle for all batches, and batches large enough for the rate", () => {
    assert.deepStrictEqual(kinds(one({ dutyMs: 6.9 })), ["duty-overrun"])
    assert.deepStrictEqual(kinds(one({ dutyMs: 20.1 })), ["capacity-short"])
    assert.deepStrictEqual(kinds(one({ dutyMs: 0 })), ["capacity-short", "duty-overrun"])
  })

  it("wants every demand carried in full, or declared short", () => {
    const half = one({ assignments: [{ ...a, rateRps: 60 }, b] })
    assert.deepStrictEqual(kinds(half), ["rate-unmet"])
    const short = { model: unsafeModelName("a"), askedRps: 100, plannedRps: 60, reason: "test" }
    assert.deepStrictEqual(kinds({ ...half, shortfalls: [short] }), [])
    assert.deepStrictEqual(kinds({ ...half, shortfalls: [{ ...short, plannedRps: 61 }] }), ["rate-unmet"])
    assert.deepStrictEqual(kinds(emptyPlan), ["rate-unmet"])
  })

  it("wants shares that are offered and fit", () => {
    assert.deepStrictEqual(kinds(one({ sharePct: 60 })), ["share-not-offered"])
    assert.deepStrictEqual(kinds(planOf([glet, other("gpu/1", 50)])), [])
    assert.deepStrictEqual(kinds(planOf([glet, other("gpu/1", 50), other("gpu/2", 20)])), ["shares-exceed-gpu"])
    assert.deepStrictEqual(kinds(planOf([glet, other("gpu/1", 20)]), { ...problem, gpus: [{ ...problem.gpus[0]!, units: 1 }] }), ["units-exceed-gpu"])
    assert.deepStrictEqual(kinds(planOf([glet, other("gpu/1", 20)]), withOptions({ maxGletsPerGpu: 1 })), ["too-many-glets"])
  })

  it("counts overlays by themselves, without latency-critical work on them and without what they do to the others", () => {
    const over = (id: string, sharePct: number): PlannedGlet => ({ ...other(id, sharePct), overlay: true, priority: 1 })
    assert.deepStrictEqual(kinds(planOf([glet, other("gpu/1", 50), over("gpu/2", 100)])), [])
    assert.deepStrictEqual(kinds(planOf([glet, other("gpu/1", 50), over("gpu/2", 100), over("gpu/3", 20)])), ["shares-exceed-gpu"])
    assert.deepStrictEqual(kinds(one({ overlay: true })), ["wrong-class"])
    const filled = { ...over("gpu/2", 100), bestEffort: glet.bestEffort }
    assert.deepStrictEqual(kinds(planOf([glet, { ...filled, bestEffort: filled.bestEffort.map((each) => ({ ...each, blockingMs: 1e6 })) }])), [])
  })

  it("wants memory for every glet and every copy", () => {
    const room = (memoryBytes: number): PlanProblem => ({ ...problem, gpus: [{ ...problem.gpus[0]!, memoryBytes }] })
    // A glet and three models: 3.5 GB of 90 %.
    assert.deepStrictEqual(kinds(planOf([glet]), room(3.9e9)), [])
    assert.deepStrictEqual(kinds(planOf([glet]), room(3.88e9)), ["memory-exceeded"])
    assert.deepStrictEqual(kinds(planOf([glet, other("gpu/1", 20)]), room(3.9e9)), ["memory-exceeded"])
  })

  it("knows the models, their classes and limits", () => {
    assert.deepStrictEqual(kinds(one({ assignments: [a, b, work("stranger", 1, 1, 3)] })), ["unknown-model"])
    assert.deepStrictEqual(kinds(one({ assignments: [a, b, work("fill", 1, 1, 3)], bestEffort: [] })), ["wrong-class"])
    assert.deepStrictEqual(kinds(one({ assignments: [a], bestEffort: [{ model: unsafeModelName("b"), batch: 1, blockingMs: 3 }] })), ["rate-unmet", "wrong-class"])
    assert.deepStrictEqual(kinds(one({ assignments: [{ ...a, rateRps: 50 }, { ...a, rateRps: 50 }, b] })), ["duplicate-model", "duty-overrun"])
    assert.deepStrictEqual(kinds(one({ dutyMs: 14, assignments: [work("a", 9, 100, 11), b] })), ["batch-too-large"])
    assert.deepStrictEqual(kinds(planOf([glet]), withOptions({ maxModelsPerGlet: 1 })), ["too-many-models"])
  })

  it("takes an unknown latency for a fault", () => {
    const unmeasured = { ...problem.demands[0]!, model: unsafeModelName("unmeasured") }
    const asked: PlanProblem = { ...problem, demands: [...problem.demands, { ...unmeasured, rateRps: 1 }] }
    assert.include(kinds(one({ assignments: [a, b, work("unmeasured", 1, 1, 3)] }), asked), "latency-unknown")
    const filler: PlanProblem = { ...problem, demands: [...problem.demands, { ...unmeasured, serviceClass: "best-effort" }] }
    const lent = [{ model: unmeasured.model, batch: 1, blockingMs: 1 }]
    assert.include(kinds(one({ bestEffort: lent }), filler), "latency-unknown")
  })

  it("knows the GPUs, and finds ids that stand twice", () => {
    const gpu = planOf([glet]).gpus[0]!
    assert.include(kinds(planOf([], { gpus: [{ ...gpu, gpu: unsafeGpuId("elsewhere") }] })), "unknown-gpu")
    assert.include(kinds(planOf([], { gpus: [{ ...gpu, type: "other" }] })), "unknown-gpu")
    assert.include(kinds(planOf([], { gpus: [gpu, { ...gpu, glets: [] }] })), "duplicate-gpu")
    assert.include(kinds(planOf([glet, other("gpu/0", 20)])), "duplicate-glet")
  })

  it("says where a rule is broken", () => {
    const [violation] = validatePlan(one({ dutyMs: 20.1 }), problem)
    assert.deepInclude(violation, { kind: "capacity-short", gpu: "gpu", glet: "gpu/0", model: "a" })
  })

  it("takes numbers that are none for broken rules", () => {
    assert.include(kinds(one({ dutyMs: NaN })), "slo-missed")
    assert.include(kinds(one({ assignments: [{ ...a, rateRps: NaN }, b] })), "rate-unmet")
  })
})
