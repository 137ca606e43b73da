import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { unsafeGletId } from "../../src/core/Ids.js"
import type { Model } from "../../src/core/Model.js"
import type { BestEffortGate } from "../../src/scheduler/BestEffortGate.js"
import { defaultGate, makeGate, openGate } from "../../src/scheduler/BestEffortGate.js"
import { defaultDelayBoundOptions } from "../../src/scheduler/DelayBound.js"
import type { DispatchedBatch } from "../../src/scheduler/DispatchedBatch.js"
import { Dispatcher } from "../../src/scheduler/Dispatcher.js"
import type { GletRoutes } from "../../src/scheduler/GletRoutes.js"
import { done, glet, linear, makeModel, random, request, route } from "./harness.js"

const g0 = unsafeGletId("gpu/0")
const g1 = unsafeGletId("gpu/1")
const ignore = (): void => {}
const fixed = (fraction: number) => ({ ...defaultDelayBoundOptions, smallest: fraction, largest: fraction, first: fraction })

interface Setup {
  readonly glets: ReadonlyArray<GletRoutes>
  readonly models: ReadonlyArray<Model>
  readonly gate?: BestEffortGate
  readonly fraction: number
  /** Requests of a model at given times, ascending. */
  readonly arrivals: ReadonlyArray<{ readonly atMs: number; readonly model: Model }>
  /** Best-effort requests that wait from the beginning. */
  readonly backlog: ReadonlyArray<{ readonly model: Model; readonly count: number }>
  readonly untilMs: number
}

interface Ran {
  readonly batch: DispatchedBatch
  readonly startMs: number
  readonly endMs: number
}

/** Serial glets whose batches take exactly what is predicted. Answers the batches. */
const play = (setup: Setup): { readonly ran: ReadonlyArray<Ran> } => {
  const dispatcher = new Dispatcher({ answerMs: 0, overheadMs: 0, maxQueued: 1e6, gate: setup.gate ?? defaultGate, delayBound: fixed(setup.fraction) })
  for (const model of setup.models) dispatcher.setModel(model)
  dispatcher.setRoutes(setup.glets)
  const ran: Array<Ran> = []
  const onGlet = new Map(setup.glets.map(({ id }) => [id, undefined as Ran | undefined]))
  for (const { id } of setup.glets) dispatcher.gletReady(id, 1)
  let now = 0
  const pump = (): void => {
    for (const [id, busy] of onGlet) {
      if (busy !== undefined) continue
      const batch = dispatcher.pull(now, id)
      if (batch === undefined) continue
      const entry = { batch, startMs: now, endMs: now + batch.route.profiledMs(batch.items) }
      ran.push(entry)
      onGlet.set(id, entry)
    }
  }
  for (const { count, model } of setup.backlog) for (let i = 0; i < count; i++) dispatcher.offer(now, request(model), ignore)
  let next = 0
  while (now < setup.untilMs) {
    pump()
    const arrival = setup.arrivals[next]
    let at = Math.min(now + 20, arrival?.atMs ?? Infinity)
    for (const busy of onGlet.values()) if (busy !== undefined) at = Math.min(at, busy.endMs)
    now = at
    for (const [id, busy] of onGlet) {
      if (busy === undefined || busy.endMs > now) continue
      onGlet.set(id, undefined)
      dispatcher.batchEnded(now, busy.batch, done(busy.endMs - busy.startMs))
    }
    while (next < setup.arrivals.length && setup.arrivals[next]!.atMs <= now) dispatcher.offer(now, request(setup.arrivals[next++]!.model), ignore)
    dispatcher.sweep(now)
  }
  return { ran }
}

const poisson = (model: Model, rateRps: number, untilMs: number, seed: number): Setup["arrivals"] => {
  const draw = random(seed)
  const arrivals: Array<{ readonly atMs: number; readonly model: Model }> = []
  for (let atMs = 0; ;) {
    atMs += (-Math.log(1 - draw()) * 1000) / rateRps
    if (atMs >= untilMs - 500) return arrivals
    arrivals.push({ atMs, model })
  }
}

const critical = makeModel("critical", { sloMs: 200, maxBatch: 64 })
const idle = makeModel("idle", { serviceClass: "best-effort", maxBatch: 16 })
const exactRoute = { typicalRatio: 1, slackMs: 0 }

describe("BestEffortGate", () => {
  it("no request of a latency-critical model waits for best-effort work longer than the bound", () => {
    fc.assert(fc.property(fc.record({
      seed: fc.integer(), rateRps: fc.integer({ min: 1, max: 150 }), executionMs: fc.double({ min: 2, max: 20, noNaN: true }),
      fraction: fc.constantFrom(0.02, 0.05, 0.1, 0.2), itemMs: fc.double({ min: 0.2, max: 5, noNaN: true })
    }), ({ executionMs, fraction, itemMs, rateRps, seed }) => {
      const glets = [glet("gpu/0", [
        route(critical, linear(executionMs, 0, 64), exactRoute), route(idle, linear(1, itemMs, 16), exactRoute)
      ])]
      const { ran } = play({
        glets, models: [critical, idle], fraction, gate: makeGate({ floor: 0 }), arrivals: poisson(critical, rateRps, 1500, seed),
        backlog: [{ model: idle, count: 8000 }], untilMs: 1500
      })
      const fill = ran.filter(({ batch }) => batch.model === idle)
      for (const { batch, startMs } of ran) {
        if (batch.model !== critical) continue
        for (const { times } of batch.tickets) {
          const waitedMs = fill.reduce((sum, each) => sum + Math.max(0, Math.min(startMs, each.endMs) - Math.max(times.arrivedMs, each.startMs)), 0)
          assert.isAtMost(waitedMs, fraction * critical.sloMs! + 1e-6)
        }
      }
      // Nor is it empty caution: what fits does run, whenever nothing else does.
      const busyMs = ran.reduce((sum, { endMs, startMs }) => sum + endMs - startMs, 0)
      if (1 + itemMs <= fraction * critical.sloMs!) assert.isAbove(busyMs, 1450)
    }))
  })

  it("keeps the sum of what best-effort batches on their way can delay within the bound of every glet of the GPU", () => {
    const other = makeModel("other", { serviceClass: "best-effort", maxBatch: 16 })
    const tight = makeModel("tight", { sloMs: 60, maxBatch: 64 })
    fc.assert(fc.property(fc.record({
      seed: fc.integer(), fraction: fc.constantFrom(0.05, 0.1, 0.3), perMs: fc.constantFrom(0.05, 0.3, 1), itemMs: fc.double({ min: 0.2, max: 4, noNaN: true })
    }), ({ fraction, itemMs, perMs, seed }) => {
      const beside = unsafeGletId("gpu/2")
      const glets = [
        glet("gpu/0", [route(critical, linear(3, 0, 64), exactRoute), route(other, linear(1, itemMs, 16), { ...exactRoute, intrudes: [{ glet: g1, perMs }] })]),
        glet("gpu/1", [route(tight, linear(4, 0, 64), exactRoute)]),
        glet("gpu/2", [route(idle, linear(2, itemMs, 16), { ...exactRoute, intrudes: [{ glet: g0, perMs }, { glet: g1, perMs }] })])
      ]
      const { ran } = play({
        glets, models: [critical, tight, idle, other], fraction, gate: makeGate({ floor: 0 }), untilMs: 2000,
        arrivals: [...poisson(critical, 60, 2000, seed), ...poisson(tight, 60, 2000, seed + 1)].sort((a, b) => a.atMs - b.atMs),
        backlog: [{ model: idle, count: 3000 }, { model: other, count: 3000 }]
      })
      const fill = ran.filter(({ batch }) => batch.model.serviceClass === "best-effort")
      for (const { startMs } of fill) {
        const onWay = fill.filter((each) => each.startMs <= startMs && each.endMs > startMs)
        const delay = (of: typeof g0): number => onWay.reduce((sum, { batch, endMs, startMs: from }) =>
          sum + (endMs - from) * (batch.glet.id === of ? 1 : of === g0 && batch.glet.id !== beside ? 0 : perMs), 0)
        assert.isAtMost(delay(g0), fraction * critical.sloMs! + 1e-6)
        assert.isAtMost(delay(g1), fraction * tight.sloMs! + 1e-6)
      }
      // A latency-critical batch that runs or waits keeps the glet for itself.
      for (const { batch, startMs } of fill) {
        if (batch.glet.id !== g0) continue
        assert.isFalse(ran.some((each) => each.batch.model === critical && each.startMs < startMs && each.endMs > startMs))
      }
    }))
  })

  it("several best-effort models get time by weight", () => {
    fc.assert(fc.property(fc.record({
      weights: fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 2, maxLength: 4 }), seed: fc.integer(), rateRps: fc.integer({ min: 0, max: 60 })
    }), ({ rateRps, seed, weights }) => {
      const draw = random(seed)
      const models = weights.map((weight, i) => makeModel(`m${i}`, { serviceClass: "best-effort", maxBatch: 8, weight }))
      const latencies = models.map(() => linear(1 + 3 * draw(), 0.2 + draw(), 8))
      const { ran } = play({
        glets: [glet("gpu/0", [route(critical, linear(3, 0, 64), exactRoute), ...models.map((model, i) => route(model, latencies[i]!, exactRoute))])],
        models: [critical, ...models], fraction: 0.2, untilMs: 1000, arrivals: rateRps === 0 ? [] : poisson(critical, rateRps, 1000, seed),
        backlog: models.map((model) => ({ model, count: 6000 }))
      })
      const servedMs = models.map((model) => ran.reduce((sum, { batch, endMs, startMs }) => (batch.model === model ? sum + endMs - startMs : sum), 0))
      const longestMs = latencies.map((table) => table[8]!)
      // Start-time fair queueing: two backlogged models are never further apart than a batch of each.
      for (let i = 1; i < models.length; i++) {
        assert.isAtMost(Math.abs(servedMs[i]! / weights[i]! - servedMs[0]! / weights[0]!), longestMs[i]! / weights[i]! + longestMs[0]! / weights[0]! + 1e-6)
      }
    }))
  })

  it("a model that comes back takes its turn, and not what it left to the others", () => {
    const models = [1, 2].map((i) => makeModel(`m${i}`, { serviceClass: "best-effort", maxBatch: 1 }))
    const [first, second] = models as [Model, Model]
    const late = Array.from({ length: 500 }, () => ({ atMs: 1000, model: second }))
    const { ran } = play({
      glets: [glet("gpu/0", models.map((model) => route(model, linear(4, 1, 1), exactRoute)))], models, fraction: 0.2, untilMs: 2000,
      arrivals: late, backlog: [{ model: first, count: 2000 }]
    })
    const after = ran.filter(({ startMs }) => startMs >= 1000)
    assert.closeTo(after.filter(({ batch }) => batch.model === first).length / after.length, 0.5, 0.02)
  })

  it("is never starved for ever: latency-critical work that always waits leaves it the floor, where the plan has room for it", () => {
    fc.assert(fc.property(fc.record({
      floor: fc.constantFrom(0.01, 0.05, 0.2), itemMs: fc.double({ min: 0.5, max: 4, noNaN: true }), seed: fc.integer()
    }), ({ floor, itemMs, seed }) => {
      const busy = makeModel("busy", { sloMs: 400, maxBatch: 4 })
      const setup = (slackMs: number) => ({
        glets: [glet("gpu/0", [
          route(busy, linear(8, 2, 4), { ...exactRoute, planBatch: 4 }), route(idle, linear(1, itemMs, 16), { ...exactRoute, slackMs })
        ])],
        // Twice what the glet can do.
        models: [busy, idle], fraction: 1e-6, gate: makeGate({ floor }), arrivals: poisson(busy, 500, 6000, seed), backlog: [{ model: idle, count: 10_000 }], untilMs: 5500
      })
      const served = (slackMs: number): number => play(setup(slackMs)).ran.reduce((sum, { batch, endMs, startMs }) => (batch.model === idle ? sum + endMs - startMs : sum), 0)
      const longestMs = 1 + itemMs
      const servedMs = served(longestMs)
      // Waits end with the batch that runs, and grow to the time of the batch over the floor.
      assert.isAtLeast(servedMs, (5500 / (longestMs / floor + longestMs + 16) - 1) * longestMs)
      assert.isAtMost(servedMs, 5500 * floor + 2 * longestMs)
      // Nor does the floor break what the plan promised.
      assert.strictEqual(served(0.9 * longestMs), 0)
    }), { numRuns: 20 })
  })

  it("asks nothing where nothing latency-critical is on the GPU", () => {
    const { ran } = play({
      glets: [glet("gpu/0", [route(idle, linear(50, 10, 16), { ...exactRoute, slackMs: Infinity })])], models: [idle], fraction: 0.001,
      arrivals: [], backlog: [{ model: idle, count: 64 }], untilMs: 1000
    })
    assert.deepStrictEqual(ran.map(({ batch }) => batch.items), [16, 16, 16, 16])
  })

  it("beside a batch that runs on another glet starts only what leaves its deadlines, and all that is complementary", () => {
    const routes = (perMs: number) => [
      glet("gpu/0", [route(critical, linear(180, 0, 64), exactRoute)]), glet("gpu/1", [route(idle, linear(30, 10, 16), { ...exactRoute, intrudes: [{ glet: g0, perMs }] })])
    ]
    const started = (perMs: number, gate = makeGate({ floor: 0 })): ReadonlyArray<number> => {
      const { ran } = play({
        glets: routes(perMs), models: [critical, idle], fraction: 0.5, gate, arrivals: [{ atMs: 1, model: critical }], untilMs: 250,
        backlog: [{ model: idle, count: perMs === 0 ? 40 : 0 }]
      })
      return ran.map(({ startMs }) => startMs)
    }
    assert.deepStrictEqual(started(0), [0, 1, 190])
    // 19 ms are left to the critical batch; the smallest best-effort one takes 40 and delays it by half of them.
    const dispatcher = new Dispatcher({ answerMs: 0, overheadMs: 0, gate: makeGate({ floor: 0 }), delayBound: fixed(0.5) })
    for (const model of [critical, idle]) dispatcher.setModel(model)
    dispatcher.setRoutes(routes(0.5))
    for (const id of [g0, g1]) dispatcher.gletReady(id, 1)
    dispatcher.offer(0, request(critical), ignore)
    const running = dispatcher.pull(0, g0)!
    dispatcher.offer(1, request(idle), ignore)
    assert.isUndefined(dispatcher.pull(1, g1))
    assert.deepStrictEqual(dispatcher.view.besideOf(g0), [g1], "who is to be asked again when the batch ends")
    assert.isBelow(dispatcher.nextWakeMs(1), 100, "and at the latest soon")
    dispatcher.batchEnded(180, running, done(180))
    assert.isDefined(dispatcher.pull(180, g1))
  })

  it("an overlay starts while the others have nothing to do, within their bound, and beside them only where it hardly holds them up", () => {
    fc.assert(fc.property(fc.record({
      seed: fc.integer(), rateRps: fc.integer({ min: 5, max: 120 }), perMs: fc.constantFrom(0.1, 0.5), givesWay: fc.boolean(), itemMs: fc.double({ min: 0.2, max: 3, noNaN: true })
    }), ({ givesWay, itemMs, perMs, rateRps, seed }) => {
      const fraction = 0.1
      const { ran } = play({
        glets: [
          glet("gpu/0", [route(critical, linear(6, 0, 64), exactRoute)]),
          glet("gpu/1", [route(idle, linear(1, itemMs, 16), { ...exactRoute, intrudes: [{ glet: g0, perMs, ...(givesWay ? { givesWay: true as const } : {}) }] })])
        ],
        models: [critical, idle], fraction, gate: makeGate({ floor: 0 }), untilMs: 1500, arrivals: poisson(critical, rateRps, 1500, seed), backlog: [{ model: idle, count: 8000 }]
      })
      const fill = ran.filter(({ batch }) => batch.model === idle)
      for (const { batch, startMs } of fill) {
        assert.isAtMost(perMs * batch.route.profiledMs(batch.items), fraction * critical.sloMs! + 1e-6)
        const isBeside = ran.some((each) => each.batch.model === critical && each.startMs < startMs && each.endMs > startMs)
        if (givesWay) assert.isFalse(isBeside)
      }
      // What is allowed runs: all of the time beside, or what the others leave.
      const busyMs = (of: typeof ran): number => of.reduce((sum, { endMs, startMs }) => sum + endMs - startMs, 0)
      const others = ran.filter(({ batch }) => batch.model === critical)
      assert.isAbove(busyMs(fill), 1450 - (givesWay ? busyMs(others) : 0))
    }))
  })

  it("what gives way starts at any time, however long, where that takes little of the others' objectives; what it does beside them stays within their bound", () => {
    fc.assert(fc.property(fc.record({
      preemptPart: fc.double({ min: 0.001, max: 0.3, noNaN: true }), boundMs: fc.double({ min: 0.05, max: 30, noNaN: true }), besidePerMs: fc.constantFrom(0, 0.2), depth: fc.integer({ min: 1, max: 3 }),
      isBusy: fc.boolean()
    }), ({ besidePerMs, boundMs, depth, isBusy, preemptPart }) => {
      const preemptMs = preemptPart * critical.sloMs!
      const isBearable = preemptPart <= 1 / 8
      // Without giving way it costs half of what it takes, and waits for the others.
      const perMs = isBearable ? besidePerMs : 0.5
      fc.pre(Math.abs(50 * perMs * depth - boundMs) > 1e-6 && Math.abs(50 * perMs - boundMs) > 1e-6 && Math.abs(100 * perMs - boundMs) > 1e-6)
      const dispatcher = new Dispatcher({ answerMs: 0, overheadMs: 0, gate: makeGate({ floor: 0 }), delayBound: fixed(boundMs / critical.sloMs!) })
      for (const model of [critical, idle]) dispatcher.setModel(model)
      // 50 ms a batch: far more than the bound.
      dispatcher.setRoutes([
        glet("gpu/0", [route(critical, linear(6, 0, 64), exactRoute)]),
        glet("gpu/1", [route(idle, linear(50, 0, 16), { ...exactRoute, preemptMs, intrudes: [{ glet: g0, perMs: 0.5, givesWay: true, besidePerMs }] })])
      ])
      dispatcher.gletReady(g0, 1)
      dispatcher.gletReady(g1, depth)
      if (isBusy) {
        dispatcher.offer(0, request(critical), ignore)
        assert.isDefined(dispatcher.pull(0, g0))
      }
      for (let i = 0; i < 200; i++) dispatcher.offer(0, request(idle), ignore)
      const pullAll = (): Array<DispatchedBatch> => {
        const batches: Array<DispatchedBatch> = []
        for (let batch = dispatcher.pull(0, g1); batch !== undefined; batch = dispatcher.pull(0, g1)) batches.push(batch)
        return batches
      }
      const mayStart = isBearable || !isBusy
      const fitting = perMs === 0 ? depth : Math.min(depth, Math.floor(boundMs / (50 * perMs)))
      for (let round = 0; round < 3; round++) {
        const batches = pullAll()
        assert.isAtMost(batches.length, mayStart ? fitting : 0)
        if (perMs === 0) assert.strictEqual(batches.length, depth)
        for (const batch of batches) dispatcher.batchEnded(0, batch, done(50))
      }
    }))
  })

  it("the open gate is what it says", () => {
    const { ran } = play({
      glets: [glet("gpu/0", [route(critical, linear(3, 0, 64), exactRoute), route(idle, linear(50, 10, 16), exactRoute)])], models: [critical, idle], fraction: 0.001,
      gate: openGate, arrivals: [], backlog: [{ model: idle, count: 32 }], untilMs: 1000
    })
    assert.deepStrictEqual(ran.map(({ batch }) => batch.items), [16, 16], "210 ms at once, whoever may come")
  })
})
