import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { unsafeGletId, unsafeModelName } from "../../src/core/Ids.js"
import type { Execution } from "../../src/core/LatencyModel.js"
import type { Plan } from "../../src/core/Plan.js"
import { emptyPlan } from "../../src/core/Plan.js"
import type { InterferenceView, InterferenceWatch, MeasuredGlet } from "../../src/scheduler/InterferenceWatch.js"
import { defaultInterferenceWatch, leastKept, makeInterferenceWatch, watchInterference } from "../../src/scheduler/InterferenceWatch.js"
import { learnedOffset, nothingLearned, withLearned, withLearnedOnce } from "../../src/scheduler/LearnedInterference.js"
import { effectOf, slowdownAmong } from "../../src/scheduler/internal/slowdowns.js"
import { gpuOf, latencyOf, mb } from "./problems.js"

const [a, b, c] = ["a", "b", "c"].map(unsafeModelName) as [ReturnType<typeof unsafeModelName>, ReturnType<typeof unsafeModelName>, ReturnType<typeof unsafeModelName>]
const latency = latencyOf([a, b, c].map((name) => ({ name, fixedMs: 2, itemMs: 0.5, usefulPct: 100, largestBatch: 16, memoryBytes: mb })), { slowdownPerNeighbour: 0.8 })
const gpu = gpuOf(0, { isolation: "green" })
const shares = new Map([[a, 50], [b, 30], [c, 20]])
const plan: Plan = {
  ...emptyPlan, generation: 1,
  gpus: [{
    gpu: gpu.id, type: gpu.type,
    glets: [...shares].map(([model, sharePct]) => ({
      id: unsafeGletId(`${gpu.id}/${model}`), sharePct, priority: 0, dutyMs: 10, bestEffort: [],
      assignments: [{ model, batch: 8, latencyMs: 5, capacityRps: 100, slackMs: 1 } as never]
    })) as never
  }]
}

/** What a look finds where model `a` really loses `loss` of its time beside neighbours on all the rest, of which each is busy for a part of the time. */
const lookAt = (loss: number, busy: readonly [number, number], sinceMs: number): ReadonlyArray<MeasuredGlet> => {
  const at = (model: typeof a): Execution => ({ gpuType: gpu.type, model, sharePct: shares.get(model)!, batch: 8 })
  const real = withLearned(latency, new Map([[gpu.type, new Map([[a, loss]])]]))
  const ratio = [b, c].reduce((sum, model, i) => sum + busy[i]! * (real.slowdown(at(a), [[at(model)]]) - 1), 1)
  const work = (model: typeof a, part: number, ratio: number): MeasuredGlet => ({
    glet: unsafeGletId(`${gpu.id}/${model}`), works: [{ model, bestEffort: false, executions: 50, ratio, busyMs: part * sinceMs }]
  })
  return [work(a, 0.5, ratio), work(b, busy[0], 1), work(c, busy[1], 1)]
}

const basis: InterferenceView["basis"] = { profiled: latency, learned: nothingLearned, problem: { gpus: [gpu] } }
const look = (watch: InterferenceWatch, view: Partial<InterferenceView>) =>
  watchInterference(watch, {
    nowMs: 0, measured: () => [], outcomes: () => ({ ended: 0, kept: 0 }), overasked: new Map(), plan, basis, plannedMs: -Infinity,
    holds: () => false, options: { ...defaultInterferenceWatch, noise: 0 }, ...view
  })

/** Looks at the same thing again and again. */
const lookOften = (loss: number, busy: readonly [number, number], times: number, view: Partial<InterferenceView> = {}) => {
  let seen = { watch: makeInterferenceWatch(0), reason: undefined as string | undefined }
  for (let i = 1; i <= times; i++) seen = look(seen.watch, { nowMs: 2000 * i, measured: () => lookAt(loss, busy, 2000), ...view })
  return seen
}
const learnedOf = ({ learned }: InterferenceWatch, model = a) => learnedOffset(learned, gpu.type, model)

describe("watchInterference", () => {
  const busy = fc.tuple(fc.double({ min: 0.3, max: 1, noNaN: true }), fc.double({ min: 0.3, max: 1, noNaN: true }))
  const loss = fc.double({ min: -0.4, max: 3.5, noNaN: true })

  it("finds what neighbours cost, however busy they are", () => {
    fc.assert(fc.property(loss, busy, (loss, busy) => {
      const { watch } = lookOften(loss, busy, 100)
      assert.closeTo(learnedOf(watch), loss, 0.1 + 0.1 * Math.abs(loss))
      // The others took what their profiles say; they share the GPU with a that is busy for half of the time.
      for (const model of [b, c]) assert.isAtMost(learnedOf(watch, model), 0)
    }))
  })

  it("does not put down to neighbours what the host adds to an execution of hundredths of a millisecond", () => {
    const options = defaultInterferenceWatch
    // Each execution takes 0.04 ms longer than in a profile, whatever runs beside it.
    const learnedWhere = (fixedMs: number): number => {
      const profiled = latencyOf([a, b, c].map((name) => ({ name, fixedMs, itemMs: 0, usefulPct: 100, largestBatch: 16, memoryBytes: mb })), {})
      const ownMs = profiled.typicalMs({ gpuType: gpu.type, model: a, sharePct: 50, batch: 8 })
      const measured = lookAt(0, [1, 1], 2000).map(({ glet, works }) => ({ glet, works: works.map((work) => ({ ...work, ratio: (ownMs + 0.04) / ownMs })) }))
      return learnedOf(lookOften(0, [1, 1], 50, { measured: () => measured, basis: { ...basis, profiled }, options }).watch)
    }
    assert.strictEqual(learnedWhere(0.05), 0)
    assert.strictEqual(learnedWhere(2), 0)
    assert.isAbove(learnedOf(lookOften(0.8, [1, 1], 50, { options }).watch), 0.5)
  })

  it("stays within its bounds, and says nothing of few executions or of GPUs that nothing shares", () => {
    assert.strictEqual(learnedOf(lookOften(1000, [1, 1], 50).watch), defaultInterferenceWatch.largest)
    const few = (loss: number) => lookAt(loss, [1, 1], 2000).map(({ glet, works }) => ({ glet, works: works.map((work) => ({ ...work, executions: 4 })) }))
    assert.strictEqual(learnedOf(lookOften(2, [1, 1], 10, { measured: () => few(2) }).watch), 0)
    assert.strictEqual(learnedOf(lookOften(2, [1, 1], 10, { basis: { ...basis, problem: { gpus: [gpuOf(0, { isolation: "threads" })] } } }).watch), 0)
    assert.strictEqual(learnedOf(lookOften(2, [1, 1], 10, { measured: () => lookAt(2, [1, 1], 2000).map((one) => ({ ...one, works: one.works.map((work) => ({ ...work, ratio: NaN })) })) }).watch), 0)
  })

  it("forgets: what was learned fades where nothing is seen, and sooner under another plan", () => {
    const { watch } = lookOften(2, [1, 1], 100)
    assert.isAbove(learnedOf(watch), 1.8)
    const hourLater = look(watch, { nowMs: 3_800_000 }).watch
    assert.isBelow(learnedOf(hourLater), 0.2)
    let again = { watch }
    for (let i = 1; i <= 30; i++) again = look(again.watch, { nowMs: 200_000 + 2000 * i, measured: () => lookAt(0, [1, 1], 2000), plan: { ...plan, generation: 2 } })
    assert.isBelow(learnedOf(again.watch), 1)
  })

  it("asks for a plan only where objectives are missed, the plan does not hold, and it is old enough", () => {
    let ended = 0
    const missing = () => ({ ended: ended += 100, kept: 0 })
    const reason = (view: Partial<InterferenceView>): string | undefined => lookOften(2, [1, 1], 20, { outcomes: missing, ...view }).reason
    assert.match(reason({}) ?? "", /^interference: beside neighbours model "a" loses \d+ % of its time more than planned for$/)
    assert.isUndefined(reason({ outcomes: () => ({ ended: ended += 100, kept: ended }) }), "all in time")
    assert.isUndefined(reason({ holds: () => true }))
    assert.isUndefined(reason({ plannedMs: 39_000 }), "it was just made")
    const half = () => ({ ended: ended += 100, kept: 0.5 * ended })
    assert.isDefined(reason({ outcomes: half }))
    for (const model of [a, b]) {
      assert.isUndefined(reason({ outcomes: half, overasked: new Map([[model, 1.6]]) }), `1.6 times as much is asked of ${model} as the GPU carries`)
      assert.isDefined(reason({ outcomes: half, overasked: new Map([[model, 1.1]]) }), "a tenth too much does not explain half")
    }
    assert.isUndefined(reason({ basis: { ...basis, learned: new Map([[gpu.type, new Map([[a, 2]])]]) } }), "the plan knows")
  })

  it("says how much was kept of what the plan promised", () => {
    let ended = 0
    const most = () => ({ ended: ended += 100, kept: 0.9 * ended })
    assert.strictEqual(leastKept(makeInterferenceWatch(0)), 1)
    let looks = 0
    assert.strictEqual(leastKept(lookOften(0, [1, 1], 3, { outcomes: () => ({ ended: looks++ < 3 ? 0 : 1, kept: 0 }) }).watch), 1, "one late")
    assert.approximately(leastKept(lookOften(0, [1, 1], 20, { outcomes: most }).watch), 0.9, 1e-9)
    assert.strictEqual(leastKept(lookOften(0, [1, 1], 20, { outcomes: most, overasked: new Map([[a, 1.1]]) }).watch), 1)
  })

  it("looks no more often than asked", () => {
    const { watch } = look(makeInterferenceWatch(0), {
      nowMs: 1999, measured: () => {
        throw new Error("not yet")
      }
    })
    assert.strictEqual(watch.lookedMs, 0)
  })
})

describe("withLearned", () => {
  const executions = fc.record({ model: fc.constantFrom(a, b, c), sharePct: fc.integer({ min: 5, max: 95 }), batch: fc.integer({ min: 1, max: 16 }) })
    .map((some): Execution => ({ gpuType: gpu.type, ...some }))
  const learned = fc.tuple(fc.double({ min: -0.5, max: 4, noNaN: true }), fc.double({ min: -0.5, max: 4, noNaN: true }))
    .map(([one, other]) => new Map([[gpu.type, new Map([[a, one], [b, other]])]]))

  it("says the same asked and tabulated, never less than 1, and nothing new of what is not named", () => {
    fc.assert(fc.property(executions, fc.array(fc.array(executions, { minLength: 1, maxLength: 3 }), { maxLength: 3 }), learned, (own, groups, learned) => {
      const corrected = withLearned(latency, learned)
      const asked = corrected.slowdown(own, groups)
      const effects = [[own], ...groups].map((group) => group.map((execution) => effectOf(corrected, execution)))
      assert.closeTo(slowdownAmong(corrected, effects[0]![0]!, effects, 0), asked, 1e-9)
      assert.isAtLeast(asked, 1)
      if (own.model === c) assert.strictEqual(asked, latency.slowdown(own, groups))
    }))
  })

  it("is the same object for the same question, and the model itself where nothing was learned", () => {
    const once = withLearnedOnce()
    const learned = () => new Map([[gpu.type, new Map([[a, 0.5]])]])
    assert.strictEqual(once(latency, nothingLearned), latency)
    assert.strictEqual(once(latency, new Map([[gpu.type, new Map()]])), latency)
    assert.strictEqual(once(latency, learned()), once(latency, learned()))
    assert.notStrictEqual(once(latency, learned()), once(latency, new Map([[gpu.type, new Map([[a, 0.6]])]])))
  })
})
