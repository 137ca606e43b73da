/** What may be refused before it is read: exactly what `offer` would drop, and nothing else. */
import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import type { DispatchedBatch } from "../../src/scheduler/DispatchedBatch.js"
import { Dispatcher } from "../../src/scheduler/Dispatcher.js"
import { done, glet, linear, makeModel, request, route } from "./harness.js"

const ignore = (): void => {}
const models = [
  makeModel("tight", { sloMs: 40, maxBatch: 8 }),
  makeModel("loose", { sloMs: 200, maxBatch: 4 }),
  makeModel("filler", { serviceClass: "best-effort", maxBatch: 8 })
]
const glets = [
  glet("gpu/0", [route(models[0]!, linear(8, 1, 8), { fraction: 0.5 }), route(models[1]!, linear(10, 2, 4), { fraction: 0.5 })]),
  glet("gpu/1", [route(models[0]!, linear(12, 2, 8)), route(models[2]!, linear(5, 1, 8))])
]
const ids = glets.map(({ id }) => id)

type Step =
  | { readonly kind: "offer"; readonly model: number; readonly items: number; readonly timeoutMs: number | undefined; readonly priority: number | undefined }
  | { readonly kind: "wait"; readonly ms: number }
  | { readonly kind: "pull" | "end" | "lose" | "back"; readonly glet: number; readonly ms: number }
  | { readonly kind: "ask"; readonly model: number; readonly lagMs: number }

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 12, arbitrary: fc.record({
    kind: fc.constant("offer" as const), model: fc.nat(2), items: fc.integer({ min: 1, max: 4 }),
    timeoutMs: fc.option(fc.integer({ min: 1, max: 300 }), { nil: undefined, freq: 4 }),
    priority: fc.option(fc.constantFrom(1, 50, 200), { nil: undefined, freq: 4 })
  }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("wait" as const), ms: fc.double({ min: 0, max: 30, noNaN: true }) }) },
  { weight: 5, arbitrary: fc.record({ kind: fc.constantFrom("pull" as const, "end" as const), glet: fc.nat(1), ms: fc.double({ min: 1, max: 60, noNaN: true }) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom("lose" as const, "back" as const), glet: fc.nat(1), ms: fc.constantFrom(20, 1000) }) },
  { weight: 8, arbitrary: fc.record({ kind: fc.constant("ask" as const), model: fc.nat(2), lagMs: fc.constantFrom(0, 1, 15, 45) }) }
)

type Running = ReadonlyMap<string, Array<DispatchedBatch>>

const started = (maxQueued: number): { readonly dispatcher: Dispatcher; readonly running: Running } => {
  const dispatcher = new Dispatcher({ maxQueued, overheadMs: 0.2 })
  for (const model of models) dispatcher.setModel(model)
  dispatcher.setRoutes(glets)
  for (const id of ids) dispatcher.gletReady(id, 2)
  return { dispatcher, running: new Map(ids.map((id) => [id, []])) }
}

/** Does what a step says, but for what it asks; answers the time after it. */
const act = (dispatcher: Dispatcher, nowMs: number, running: Running, s: Exclude<Step, { readonly kind: "ask" }>): number => {
  if (s.kind === "offer") {
    dispatcher.offer(nowMs, request(models[s.model]!, {
      items: s.items, ...(s.timeoutMs === undefined ? {} : { timeoutMs: s.timeoutMs }), ...(s.priority === undefined ? {} : { priority: s.priority })
    }), ignore)
    return nowMs
  }
  if (s.kind === "wait") {
    dispatcher.sweep(nowMs + s.ms)
    return nowMs + s.ms
  }
  const id = ids[s.glet]!
  const batches = running.get(id)!
  if (s.kind === "pull") {
    const batch = dispatcher.pull(nowMs, id)
    if (batch !== undefined) batches.push(batch)
  } else if (s.kind === "end") {
    const batch = batches.shift()
    if (batch === undefined) return nowMs
    dispatcher.batchEnded(nowMs + s.ms, batch, done(s.ms))
    return nowMs + s.ms
  } else if (s.kind === "lose") {
    batches.length = 0
    dispatcher.gletLost(nowMs, id, nowMs + s.ms)
  } else {
    dispatcher.gletReady(id, 2)
  }
  return nowMs
}

describe("wouldRefuse", () => {
  it("drops what offer would drop, for the same reason and time; leaves idle glets alone; changes nothing", () => {
    let refused = 0
    let queued = 0
    fc.assert(fc.property(fc.array(step, { minLength: 20, maxLength: 120 }), fc.integer({ min: 3, max: 30 }), (steps, maxQueued) => {
      const { dispatcher, running } = started(maxQueued)
      const ready = new Set<string>(ids)
      let now = 0
      for (const s of steps) {
        if (s.kind === "ask") {
          const model = models[s.model]!
          const before = JSON.stringify(dispatcher.view.countersOf(model.name))
          const error = dispatcher.wouldRefuse(now, model.name, now - s.lagMs)
          assert.strictEqual(JSON.stringify(dispatcher.view.countersOf(model.name)), before)
          const { end } = dispatcher.offer(now, request(model, { arrivedAtMs: now - s.lagMs }), ignore)
          if (error === undefined) {
            queued++
            const isDropped = end !== undefined && !end.ok && end.error._tag === "RequestDropped"
            const servedBy = glets.filter((g) => g.models.some((r) => r.model === model))
            const isIdle = JSON.parse(before).queued === 0 && servedBy.some((g) => ready.has(g.id) && running.get(g.id)!.length === 0)
            assert.isTrue(!isDropped || isIdle, "offer dropped what should have been refused unread")
          } else {
            refused++
            assert.isTrue(end !== undefined && !end.ok && end.error === error, "offer did not drop it, or otherwise")
          }
        } else {
          if (s.kind === "lose") ready.delete(ids[s.glet]!)
          else if (s.kind === "back") ready.add(ids[s.glet]!)
          now = act(dispatcher, now, running, s)
        }
        dispatcher.ended.length = 0
      }
    }), { numRuns: 400 })
    assert.isAbove(refused, 300)
    assert.isAbove(queued, 300)
  })

  it("says nothing of unknown models, of draining ones, and of those that nothing serves", () => {
    const dispatcher = new Dispatcher({ maxQueued: 1 })
    const [model] = models
    assert.isUndefined(dispatcher.wouldRefuse(0, makeModel("x").name, 0))
    dispatcher.setModel(model!)
    assert.isUndefined(dispatcher.wouldRefuse(0, model!.name, 0), "503, not 429")
    dispatcher.setRoutes(glets)
    for (const id of ids) dispatcher.gletReady(id, 1)
    for (let i = 0; i < 3; i++) {
      dispatcher.offer(0, request(model!), ignore)
      for (const id of ids) dispatcher.pull(0, id)
    }
    assert.strictEqual(dispatcher.wouldRefuse(0, model!.name, 0)?.reason, "queue-full")
    dispatcher.drain()
    assert.isUndefined(dispatcher.wouldRefuse(0, model!.name, 0))
  })

  it("counts an unread request once, as the requests of its model usually are", () => {
    const dispatcher = new Dispatcher({ maxQueued: 1 })
    const [model] = models
    dispatcher.setModel(model!)
    dispatcher.setRoutes(glets)
    for (const id of ids) dispatcher.gletReady(id, 1)
    for (let i = 0; i < 1000; i++) {
      dispatcher.offer(0, request(model!, { items: 4 }), ignore)
      for (const id of ids) dispatcher.pull(0, id)
    }
    const before = dispatcher.view.countersOf(model!.name)!
    const droppedBefore = before.dropped["queue-full"]
    const error = dispatcher.wouldRefuse(0, model!.name, 0)!
    assert.strictEqual(dispatcher.refusedUnread(0, model!.name, error), model)
    const after = dispatcher.view.countersOf(model!.name)!
    assert.strictEqual(after.dropped["queue-full"], droppedBefore + 1)
    assert.approximately(after.arrivedItems - before.arrivedItems, 4, 1e-3)
    assert.strictEqual(before.arrivedTogether, 16_000)
    assert.approximately(after.arrivedTogether - before.arrivedTogether, 16, 1e-3)
  })
})

describe("admissionEdge", () => {
  it("says of older and younger requests what wouldRefuse says, and changes nothing", () => {
    let found = 0
    let asked = 0
    fc.assert(fc.property(fc.array(step, { minLength: 20, maxLength: 120 }), fc.integer({ min: 3, max: 30 }), (steps, maxQueued) => {
      const { dispatcher, running } = started(maxQueued)
      let now = 1000
      for (const s of steps) {
        if (s.kind === "ask") {
          const { name } = models[s.model]!
          const before = JSON.stringify(dispatcher.view.countersOf(name))
          const edge = dispatcher.admissionEdge(now, name)
          assert.strictEqual(JSON.stringify(dispatcher.view.countersOf(name)), before)
          asked++
          if (edge.arrivedMs === -Infinity) continue
          found++
          // What arrives now, or just at the edge: the two that decide.
          const arrivals = edge.arrivedMs === Infinity ? [now, now - s.lagMs] : [Math.min(now, edge.arrivedMs - 0.001)]
          for (const arrivedMs of arrivals) {
            const error = dispatcher.wouldRefuse(now, name, arrivedMs)
            assert.isDefined(error, `arrived ${now - arrivedMs} ms ago, the edge is at ${edge.arrivedMs - now}`)
            assert.strictEqual(error!.reason, edge.arrivedMs === Infinity ? "queue-full" : "deadline-unreachable")
          }
          if (edge.arrivedMs <= now) assert.isUndefined(dispatcher.wouldRefuse(now, name, now))
        } else {
          now = act(dispatcher, now, running, s)
        }
        dispatcher.ended.length = 0
      }
    }), { numRuns: 400 })
    assert.isAbove(found, asked / 3)
  })

  it("says nothing of models without an objective, without a glet, and while it drains", () => {
    const dispatcher = new Dispatcher({ maxQueued: 1 })
    const [tight, , filler] = models
    assert.strictEqual(dispatcher.admissionEdge(0, tight!.name).arrivedMs, -Infinity)
    for (const model of models) dispatcher.setModel(model)
    assert.strictEqual(dispatcher.admissionEdge(0, tight!.name).arrivedMs, -Infinity)
    dispatcher.setRoutes(glets)
    for (const id of ids) dispatcher.gletReady(id, 1)
    assert.strictEqual(dispatcher.admissionEdge(0, filler!.name).arrivedMs, -Infinity)
    for (let i = 0; i < 3; i++) {
      dispatcher.offer(0, request(tight!), ignore)
      for (const id of ids) dispatcher.pull(0, id)
    }
    assert.strictEqual(dispatcher.admissionEdge(0, tight!.name).arrivedMs, Infinity)
    dispatcher.drain()
    assert.strictEqual(dispatcher.admissionEdge(0, tight!.name).arrivedMs, -Infinity)
  })
})
