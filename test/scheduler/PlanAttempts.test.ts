import { assert, describe, it } from "@effect/vitest"
import * as Either from "effect/Either"
import { emptyPlan } from "../../src/core/Plan.js"
import type { PlanAttempt } from "../../src/scheduler/PlanAttempts.js"
import { planLeavingTime } from "../../src/scheduler/PlanAttempts.js"
import { demandsOf } from "../../src/scheduler/PlanSuccession.js"
import { overlapAllowanceMs } from "../../src/scheduler/OverlapAllowance.js"
import { makeModel } from "./harness.js"

const model = makeModel("a", { sloMs: 8 })
const demands = demandsOf([model], () => 100)
/** What single items need; what else is asked for is room for requests of several. */
const needed = new Map([[model.name, 110]])
/** Whole, where the problem's leaves half a millisecond of it free. */
const objectives = new Map([[model.name, 8.5]])
/** A plan that carries so much of what was asked for; undefined: there is none. */
const attempt = (part: number | undefined): PlanAttempt => ({
  basis: { problem: { demands }, needed, objectives } as never,
  plan: part === undefined
    ? Either.left({ detail: "no room", culprits: [] })
    : Either.right({
      ...emptyPlan,
      gpus: [{ gpu: "g", type: "t", glets: [{ id: "g/0", assignments: [{ model: model.name, capacityRps: part * 110 }] }] }] as never
    })
})

/** What was asked for, and which attempt was taken. */
const run = (wayMs: number, parts: ReadonlyArray<number | undefined>) => {
  const search = planLeavingTime(wayMs)
  const asked: Array<number> = []
  const made = parts.map(attempt)
  let step = search.next()
  while (step.done !== true) {
    asked.push(step.value.wayMs)
    assert.strictEqual(step.value.part, 0)
    step = search.next(made[asked.length - 1]!)
  }
  const { basis } = step.value
  return { asked, taken: made.findIndex((attempt) => attempt.basis === basis) }
}

describe("plans that leave time for the way", () => {
  it("are made once where they carry all that single items need, however much room for larger requests was asked for, or there is no time to leave", () => {
    assert.isAbove(demands[0]!.rateRps, 2 * 110)
    assert.deepStrictEqual(run(0.5, [1]), { asked: [0.5], taken: 0 })
    assert.deepStrictEqual(run(0, [0.3]), { asked: [0], taken: 0 })
    assert.deepStrictEqual(run(0, [undefined]), { asked: [0], taken: 0 })
  })

  it("are made again without it where they carry less, and the one that carries more is taken", () => {
    assert.deepStrictEqual(run(0.5, [0.6, 1]), { asked: [0.5, 0], taken: 1 })
    assert.deepStrictEqual(run(0.5, [0.6, 0.6]), { asked: [0.5, 0], taken: 0 })
    assert.deepStrictEqual(run(0.5, [undefined, 0.2]), { asked: [0.5, 0], taken: 1 })
    // What is said of no plan at all is said of the whole objectives.
    assert.deepStrictEqual(run(0.5, [undefined, undefined]), { asked: [0.5, 0], taken: 1 })
  })

  it("are not made again where the way is hardly a part of any objective, unless one carries nothing of a model", () => {
    const long = new Map([[model.name, 8.1]])
    const made = (part: number | undefined): PlanAttempt => ({ ...attempt(part), basis: { ...attempt(part).basis, objectives: long } })
    const asked = (first: PlanAttempt): number => {
      const search = planLeavingTime(0.1)
      search.next()
      return search.next(first).done === true ? 1 : 2
    }
    assert.deepStrictEqual([made(0.6), made(0), made(undefined), attempt(0.6)].map(asked), [1, 2, 2, 2])
  })

  it("say of what they leave short what is so with the whole objectives", () => {
    const short = (reason: string): PlanAttempt => ({
      basis: { problem: { demands }, needed, objectives } as never, plan: Either.right({ ...emptyPlan, shortfalls: [{ model: model.name, askedRps: 100, plannedRps: 0, reason }] })
    })
    const search = planLeavingTime(2)
    search.next()
    search.next(short("has an SLO of 6 ms"))
    const taken = search.next(short("has an SLO of 8 ms"))
    assert.isTrue(taken.done)
    assert.deepStrictEqual((taken.value as PlanAttempt).plan, short("has an SLO of 8 ms").plan)
  })

  it("are asked for objectives that are shorter by it, by a quarter at most, at the same rates", () => {
    const shorter = (wayMs: number, part = 0) => demandsOf([model], () => 100, { allowance: { wayMs: () => wayMs, part } })[0]!
    assert.deepStrictEqual([0, 0.5, 2, 5].map((wayMs) => shorter(wayMs).sloMs), [8, 7.5, 6, 6])
    assert.deepStrictEqual([0, 0.5, 5].map((wayMs) => shorter(wayMs, 0.5).sloMs), [4, 4, 4])
    assert.strictEqual(shorter(2, 0.1).sloMs, 6)
    assert.strictEqual(shorter(0.5).rateRps, demands[0]!.rateRps)
    assert.strictEqual(demandsOf([makeModel("b")], () => 1, { allowance: { wayMs: () => 3, part: 0.5 } })[0]!.sloMs, Infinity)
  })
})

describe("plans for requests of several items", () => {
  /** Carries so much of what items one by one need, where four come at once and twice as much is asked for. */
  const carrying = (part: number | undefined): PlanAttempt => {
    const { basis, plan } = attempt(part)
    return { plan, basis: { ...basis, asked: new Map([...needed].map(([name, rate]) => [name, 2 * rate])), problem: { demands: demands.map((each) => ({ ...each, itemsPerRequest: 4 })) } } as never }
  }
  const search = (...attempts: ReadonlyArray<PlanAttempt>) => {
    const search = planLeavingTime(0.5)
    const bursts: Array<boolean | undefined> = []
    let step = search.next()
    while (step.done !== true) {
      bursts.push(step.value.bursts)
      step = search.next(attempts[bursts.length - 1]!)
    }
    return { bursts, taken: attempts.indexOf(step.value) }
  }

  it("are made for items one by one where there is no room for their bursts, if there is for those", () => {
    assert.deepStrictEqual(search(carrying(2)), { bursts: [undefined], taken: 0 })
    assert.deepStrictEqual(search(carrying(1.2), carrying(1)), { bursts: [undefined, false], taken: 1 })
    assert.deepStrictEqual(search(carrying(1.2), carrying(0.9)), { bursts: [undefined, false], taken: 0 })
    assert.deepStrictEqual(search(carrying(0.6), carrying(0.9), carrying(0.8)), { bursts: [undefined, false, undefined], taken: 2 })
  })
})

describe("plans that leave half or a quarter of objectives free", () => {
  /** Under which all rates could grow so many times. */
  const growing = (headroom: number | undefined, serviceClass = "latency-critical"): PlanAttempt => ({
    basis: { problem: { demands: [...demands, { ...demands[0]!, serviceClass }] }, needed } as never,
    plan: Either.right({ ...(attempt(1).plan as Either.Right<never, PlanAttempt["plan"] extends Either.Either<infer A, unknown> ? A : never>).right, ...(headroom === undefined ? {} : { objective: "headroom", headroom }) })
  })
  /** What was left of objectives, and which attempt was taken. */
  const search = (...attempts: ReadonlyArray<PlanAttempt>) => {
    const search = planLeavingTime(0.5)
    const parts: Array<number> = []
    let step = search.next()
    while (step.done !== true) {
      if (step.value.part > 0) assert.strictEqual(step.value.wayMs, 0.5)
      parts.push(step.value.part)
      step = search.next(attempts[parts.length - 1]!)
    }
    const { basis } = step.value
    return { parts, taken: attempts.findIndex((attempt) => attempt.basis === basis) }
  }

  /** Of what all models need a plan made for head-room carries so much, for less than all of it. */
  const short = (part: number, serviceClass = "latency-critical", isAssumed = true): PlanAttempt => {
    const { basis, plan } = attempt(part)
    return {
      basis: { ...basis, problem: { demands: [...demands, { ...demands[0]!, serviceClass }], latency: { interference: { isAssumed } } } },
      plan: Either.map(plan, (each) => ({ ...each, objective: "headroom", headroom: part }))
    } as never
  }

  it("are taken where all fits so too", () => {
    assert.deepStrictEqual(search(growing(1), growing(1)), { parts: [0, 0.5], taken: 1 })
    assert.deepStrictEqual(search(growing(9), growing(0.99), growing(1.2)), { parts: [0, 0.5, 0.25], taken: 2 })
    assert.deepStrictEqual(search(growing(9), attempt(undefined), growing(0.99)), { parts: [0, 0.5, 0.25], taken: 0 })
  })

  it("close and open no glets of a deployed plan that carries all and misses nothing", () => {
    const on = (glet: string): PlanAttempt => {
      const { basis, plan } = growing(2)
      return { basis, plan: Either.map(plan, (each) => ({ ...each, gpus: each.gpus.map((gpu) => ({ ...gpu, glets: gpu.glets.map((one) => ({ ...one, id: glet, bestEffort: [] })) })) as never })) }
    }
    const deployed = { ...Either.getOrThrow(on("g/0").plan), generation: 1, planner: "another" }
    const taken = (kept: number, ...attempts: ReadonlyArray<PlanAttempt>): number => {
      const search = planLeavingTime(0.5, deployed, kept)
      let step = search.next()
      for (let i = 0; step.done !== true; i++) step = search.next(attempts[i]!)
      const { basis } = step.value
      return attempts.findIndex((attempt) => attempt.basis === basis)
    }
    assert.strictEqual(taken(1, on("g/0"), on("g/1"), on("g/2")), 0)
    assert.strictEqual(taken(1, on("g/0"), on("g/1"), on("g/0")), 2, "it is there already")
    assert.strictEqual(taken(0.9, on("g/0"), on("g/1"), on("g/0")), 1, "objectives are missed")
    assert.strictEqual(taken(1, on("g/3"), on("g/1"), on("g/0")), 1, "glets open and close anyway")
  })

  it("are taken where not all fits either way, if they carry nearly as much", () => {
    assert.deepStrictEqual(search(short(0.8), short(0.8), short(0.765)), { parts: [0, 0, 0.5], taken: 2 })
    assert.deepStrictEqual(search(short(0.8), short(0.8), short(0.75), short(0.79)), { parts: [0, 0, 0.5, 0.25], taken: 3 })
    // The first leaves time for the way, the second not even that.
    assert.deepStrictEqual(search(short(0.8), short(0.81), short(0.76), short(0.76)), { parts: [0, 0, 0.5, 0.25], taken: 0 })
    assert.deepStrictEqual(search(short(0.75), short(0.81), short(0.76), short(0.76)), { parts: [0, 0, 0.5, 0.25], taken: 1 })
    assert.deepStrictEqual(search(short(0.8), short(0.8), attempt(undefined), short(0.7)), { parts: [0, 0, 0.5, 0.25], taken: 0 })
  })

  it("carry as much as others where what glets do to each other is known", () => {
    const known = (part: number): PlanAttempt => short(part, "latency-critical", false)
    assert.deepStrictEqual(search(known(0.8), known(0.8), known(0.78), known(0.79)), { parts: [0, 0, 0.5, 0.25], taken: 3 })
  })

  it("are not made where nothing fits, or there is something else to do with what is left", () => {
    for (const first of [growing(undefined), growing(9, "best-effort")]) assert.deepStrictEqual(search(first), { parts: [0], taken: 0 })
    for (const [first, second] of [[attempt(0), attempt(0)], [short(0.9, "best-effort"), short(0.9, "best-effort")]] as const) {
      assert.deepStrictEqual(search(first, second), { parts: [0, 0], taken: 0 })
    }
  })
})

describe("the allowance for copies", () => {
  const gpus = [{ type: "t", sharesPct: [50, 100] }] as never
  const latency = { latencyMs: ({ batch, sharePct }: { readonly batch: number; readonly sharePct: number }) => (100 * batch) / sharePct, overlapMs: (_: string, __: unknown, batch: number) => 0.1 * batch } as never

  it("is that of the largest batch that the objective allows on the whole GPU", () => {
    const of = (sloMs: number, maxBatch = 32) => overlapAllowanceMs(latency, gpus, makeModel("a", { maxBatch, sloMs }))
    assert.approximately(of(Infinity), 3.2, 1e-12)
    assert.approximately(of(20), 0.8, 1e-12)
    assert.approximately(of(20, 4), 0.4, 1e-12)
    assert.strictEqual(of(1), 0)
    assert.strictEqual(overlapAllowanceMs({ latencyMs: () => 1 } as never, gpus, makeModel("a")), 0)
  })
})
