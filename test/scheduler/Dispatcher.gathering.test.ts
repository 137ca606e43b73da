/** When latency-critical requests wait for others while best-effort work that gives way has the GPU. */
import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { unsafeGletId } from "../../src/core/Ids.js"
import type { Model } from "../../src/core/Model.js"
import { openGate } from "../../src/scheduler/BestEffortGate.js"
import { defaultDelayBoundOptions } from "../../src/scheduler/DelayBound.js"
import type { DispatchedBatch } from "../../src/scheduler/DispatchedBatch.js"
import { Dispatcher } from "../../src/scheduler/Dispatcher.js"
import type { ModelRoute } from "../../src/scheduler/GletRoutes.js"
import { done, glet, linear, makeModel, request, route } from "./harness.js"

const ignore = (): void => {}
const fixed = (fraction: number) => ({ ...defaultDelayBoundOptions, smallest: fraction, largest: fraction, first: fraction, controlEvery: Infinity })
const idle = makeModel("idle", { serviceClass: "best-effort" })
const exact = { typicalRatio: 1 } as const

interface Arrival {
  readonly atMs: number
  readonly model: number
}
interface Scene {
  readonly models: ReadonlyArray<{ readonly model: Model; readonly latencyMs: Float64Array }>
  /** By latency-critical glet: the models on it. */
  readonly glets: ReadonlyArray<ReadonlyArray<number>>
  readonly fraction?: number
  readonly gather?: boolean
  /** How best-effort work lies over them; absent: there is none. */
  readonly over?: "gives way" | "runs to its end" | "has nothing to do"
}

const open = ({ fraction = 1, gather = true, glets, models, over = "gives way" }: Scene): Dispatcher => {
  const dispatcher = new Dispatcher({ answerMs: 0, overheadMs: 0, gate: openGate, gather, delayBound: fixed(fraction) })
  for (const { model } of models) dispatcher.setModel(model)
  dispatcher.setModel(idle)
  const background: ModelRoute = route(idle, linear(1e6, 0, 16), {
    ...exact, ...(over === "runs to its end" ? {} : { preemptMs: 0.1 }),
    intrudes: glets.map((_, i) => ({ glet: unsafeGletId(`gpu/${i}`), perMs: 0.5, givesWay: true as const, besidePerMs: 0 }))
  })
  dispatcher.setRoutes([
    ...glets.map((on, i) => glet(`gpu/${i}`, on.map((at) => route(models[at]!.model, models[at]!.latencyMs, { ...exact, fraction: 1 / on.length })))),
    glet("gpu/over", [background])
  ])
  for (const id of [...glets.map((_, i) => `gpu/${i}`), "gpu/over"]) dispatcher.gletReady(unsafeGletId(id), 1)
  if (over !== "has nothing to do") {
    dispatcher.offer(0, request(idle), ignore)
    // It never ends.
    assert.strictEqual(dispatcher.pull(0, unsafeGletId("gpu/over"))?.model.name, "idle")
  }
  return dispatcher
}

interface Ran {
  readonly batch: DispatchedBatch
  readonly startMs: number
  readonly endMs: number
}

/** Serial glets that take what is predicted, and timers that are exact. Answers the batches, and what became of each request. */
const play = (scene: Scene, arrivals: ReadonlyArray<Arrival>) => {
  const dispatcher = open(scene)
  const ran: Array<Ran> = []
  const running = new Map<string, Ran>()
  const kept = arrivals.map(() => false)
  let now = 0
  const start = (batch: DispatchedBatch): void => {
    const entry = { batch, startMs: now, endMs: now + batch.route.profiledMs(batch.items) }
    ran.push(entry)
    running.set(batch.glet.id, entry)
  }
  const all = (pull: () => DispatchedBatch | undefined): void => {
    for (let batch = pull(); batch !== undefined; batch = pull()) start(batch)
  }
  let next = 0
  for (;;) {
    let at = Math.min(dispatcher.nextGatheredMs, arrivals[next]?.atMs ?? Infinity, dispatcher.nextWakeMs(now) + 1e-6)
    for (const { endMs } of running.values()) at = Math.min(at, endMs)
    if (at === Infinity) break
    now = Math.max(now, at)
    for (const [id, { batch, endMs, startMs }] of [...running]) {
      if (endMs > now) continue
      running.delete(id)
      dispatcher.batchEnded(now, batch, done(endMs - startMs))
      all(() => dispatcher.pull(now, batch.glet.id))
    }
    for (; next < arrivals.length && arrivals[next]!.atMs <= now; next++) {
      const index = next
      const { model } = scene.models[arrivals[next]!.model]!
      dispatcher.offer(now, request(model), (end) => kept[index] = end.ok)
      all(() => dispatcher.pullModel(now, model.name))
    }
    all(() => dispatcher.pullGathered(now))
    dispatcher.sweep(now)
    for (const ticket of dispatcher.ended.splice(0)) ticket.onEnd(ticket.end!)
  }
  return { ran, kept }
}

const m = makeModel("m", { sloMs: 100, maxBatch: 8 })
const one: Scene = { models: [{ model: m, latencyMs: linear(10, 1, 8) }], glets: [[0]] }
const every = (gapMs: number, count: number): ReadonlyArray<Arrival> => Array.from({ length: count }, (_, i) => ({ atMs: i * gapMs, model: 0 }))

/** Models whose batches save time, their SLOs a few executions long, on one glet; arrivals of up to a second. */
const drawn = fc.record({
  models: fc.array(fc.record({
    fixedMs: fc.double({ min: 0.5, max: 8, noNaN: true }), itemMs: fc.double({ min: 0.05, max: 2, noNaN: true }),
    maxBatch: fc.integer({ min: 1, max: 16 }), executions: fc.double({ min: 2, max: 20, noNaN: true })
  }), { minLength: 1, maxLength: 3 }),
  fraction: fc.double({ min: 0.01, max: 1, noNaN: true }),
  gaps: fc.array(fc.tuple(fc.double({ min: 0, max: 25, noNaN: true }), fc.nat(2)), { minLength: 1, maxLength: 60 })
}).map(({ fraction, gaps, models }) => {
  let atMs = 0
  const scene: Scene = {
    fraction, glets: [models.map((_, i) => i)],
    models: models.map(({ executions, fixedMs, itemMs, maxBatch }, i) => ({
      model: makeModel(`m${i}`, { maxBatch, sloMs: executions * (fixedMs + itemMs) }), latencyMs: linear(fixedMs, itemMs, maxBatch)
    }))
  }
  return { scene, arrivals: gaps.map(([gapMs, model]): Arrival => ({ atMs: atMs += gapMs, model: model % models.length })) }
})

const shape = ({ ran }: ReturnType<typeof play>) => ran.map(({ batch, endMs, startMs }) => [batch.model.name, batch.glet.id, batch.items, startMs, endMs])

describe("gathering", () => {
  it("waits for a full batch, as long as the deadline leaves time for it and a margin", () => {
    const full = play(one, every(2, 8))
    assert.deepStrictEqual(full.ran.map(({ batch, startMs }) => [batch.items, startMs]), [[8, 14]], "full with the last of them")
    const some = play(one, every(30, 3))
    // At 60 ms there are three: they and one more take 14 ms, and 20 of 100 ms are kept free.
    assert.deepStrictEqual(some.ran.map(({ batch, startMs }) => [batch.items, startMs]), [[3, 66]])
    assert.deepStrictEqual(some.kept, [true, true, true])
  })

  it("waits no longer than the bound on delays", () => {
    const { ran } = play({ ...one, fraction: 0.25 }, every(10, 6))
    assert.deepStrictEqual(ran.map(({ batch, startMs }) => [batch.items, startMs]), [[3, 25], [3, 55]])
  })

  it("waits for nothing where a larger batch saves no time, or none is allowed", () => {
    for (const latencyMs of [linear(0, 5, 8), linear(0.1, 5, 8)]) {
      const { ran } = play({ ...one, models: [{ model: m, latencyMs }] }, every(20, 4))
      assert.deepStrictEqual(ran.map(({ startMs }) => startMs), [0, 20, 40, 60])
    }
    const single = makeModel("m", { sloMs: 100, maxBatch: 1 })
    assert.deepStrictEqual(play({ ...one, models: [{ model: single, latencyMs: linear(10, 1, 1) }] }, every(20, 4)).ran.map(({ startMs }) => startMs), [0, 20, 40, 60])
  })

  it("lets requests of several priorities start at once: the first in order need not be the most urgent", () => {
    const dispatcher = open(one)
    dispatcher.offer(0, request(m), ignore)
    assert.isUndefined(dispatcher.pullModel(0, m.name))
    dispatcher.offer(1, request(m, { priority: 200, timeoutMs: 30 }), ignore)
    assert.strictEqual(dispatcher.pullModel(1, m.name)?.items, 2)
  })

  it("takes the glet whose other models leave it most, and another one where that is taken", () => {
    const other = makeModel("other", { sloMs: 100, maxBatch: 8 })
    const scene: Scene = { models: [...one.models, { model: other, latencyMs: linear(10, 1, 8) }], glets: [[0, 1], [0]] }
    // The second glet is m's alone; other keeps the first one busy for two thirds of its time.
    const { ran } = play(scene, Array.from({ length: 300 }, (_, i) => ({ atMs: 2 * i, model: i % 5 === 0 ? 0 : 1 })))
    const late = ran.filter(({ batch, startMs }) => batch.model === m && startMs > 100)
    assert.isAbove(late.length, 3)
    for (const { batch } of late) assert.strictEqual(batch.glet.id, "gpu/1")
    const two = open(scene)
    two.offer(0, request(m), ignore)
    assert.isUndefined(two.pullModel(0, m.name))
    const untilMs = two.nextGatheredMs
    assert.isAbove(untilMs, 60)
    two.gletUnready(unsafeGletId("gpu/1"), Infinity)
    assert.strictEqual(two.pullGathered(untilMs)?.glet.id ?? two.pullGathered(two.nextGatheredMs)?.glet.id, "gpu/0")
  })

  it("changes nothing without best-effort work that gives way", () => {
    fc.assert(fc.property(drawn, fc.constantFrom("runs to its end" as const, "has nothing to do" as const), ({ arrivals, scene }, over) => {
      assert.deepStrictEqual(shape(play({ ...scene, over }, arrivals)), shape(play({ ...scene, over, gather: false }, arrivals)))
    }), { numRuns: 60 })
  })

  it("makes a model alone on its glets miss nothing that it would have kept by starting at once, and holds nothing beyond bound, deadline and largest batch", () => {
    let gathered = 0
    fc.assert(fc.property(drawn, fc.integer({ min: 1, max: 2 }), ({ arrivals, scene }, glets) => {
      const alone: Scene = { ...scene, models: [scene.models[0]!], glets: Array.from({ length: glets }, () => [0]) }
      const ofOne = arrivals.map((arrival) => ({ ...arrival, model: 0 }))
      const { model } = alone.models[0]!
      const held = play(alone, ofOne)
      const atOnce = play({ ...alone, gather: false }, ofOne)
      if (held.ran.length < atOnce.ran.length) gathered += 1
      if (atOnce.kept.every(Boolean)) assert.isTrue(held.kept.every(Boolean), "all would have been kept")
      const free = new Map<string, number>()
      for (const { batch, endMs, startMs } of held.ran) {
        const firstMs = Math.min(...batch.tickets.map(({ times }) => times.arrivedMs))
        const lastMs = Math.max(...batch.tickets.map(({ times }) => times.arrivedMs))
        // It waited for the glet, or for others as long as it may.
        const readyMs = Math.max(lastMs, Math.min(...alone.glets.map((_, i) => free.get(`gpu/${i}`) ?? 0)))
        if (batch.items === model.maxBatch) assert.isAtMost(startMs, readyMs + 0.06, "a full batch waits for nobody")
        assert.isAtMost(startMs, Math.max(readyMs, firstMs + scene.fraction! * model.sloMs!) + 0.06)
        free.set(batch.glet.id, endMs)
      }
    }), { numRuns: 150 })
    assert.isAbove(gathered, 20)
  })

  it("of models that share a glet hardly any request is missed that starting at once would have kept, and the glet has less to do", () => {
    let lost = 0
    let count = 0
    let heldMs = 0
    let atOnceMs = 0
    const busyMs = ({ ran }: ReturnType<typeof play>): number => ran.reduce((sum, { endMs, startMs }) => sum + endMs - startMs, 0)
    fc.assert(fc.property(drawn, ({ arrivals, scene }) => {
      const held = play(scene, arrivals)
      const atOnce = play({ ...scene, gather: false }, arrivals)
      if (!atOnce.kept.every(Boolean)) return
      count += arrivals.length
      lost += held.kept.filter((kept) => !kept).length
      heldMs += busyMs(held)
      atOnceMs += busyMs(atOnce)
    }), { numRuns: 150 })
    assert.isAbove(count, 200)
    assert.isAtMost(lost / count, 0.01)
    assert.isBelow(heldMs, 0.9 * atOnceMs)
  })
})
