/** Which batches a glet is given behind one that still runs: asked where requests arrive, where a glet looks for work, and of what it chose. */
import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { unsafeGletId } from "../../src/core/Ids.js"
import type { DispatchedBatch } from "../../src/scheduler/DispatchedBatch.js"
import { Dispatcher } from "../../src/scheduler/Dispatcher.js"
import { done, glet, linear, makeModel, request, route } from "./harness.js"

const g0 = unsafeGletId("gpu/0")
const g1 = unsafeGletId("gpu/1")
const glets = [g0, g1]
const planBatch = 3
const sloMs = [40, 90]
const models = [
  makeModel("a", { sloMs: sloMs[0]!, maxBatch: 6 }), makeModel("b", { sloMs: sloMs[1]!, maxBatch: 6 }),
  makeModel("fill", { serviceClass: "best-effort", maxBatch: 6 })
]
const latencies = [linear(4, 1, 6), linear(7, 2, 6), linear(3, 1, 6)]

/** Models by bits of `mask`, three for each glet; what is executed takes as long as predicted, so that predictions stay as they are. */
const makeDispatcher = (mask: number, depth: number): Dispatcher => {
  const dispatcher = new Dispatcher({ answerMs: 0, overheadMs: 0, maxQueued: 30 })
  for (const model of models) dispatcher.setModel(model)
  dispatcher.setRoutes(glets.map((id, i) =>
    glet(id, models.flatMap((model, j) => ((mask >> (3 * i + j)) & 1 ? [route(model, latencies[j]!, { planBatch, slackMs: 60, typicalRatio: 1 })] : [])))))
  for (const id of glets) dispatcher.gletReady(id, depth)
  return dispatcher
}

const actions = fc.array(fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant("offer" as const), model: fc.nat(2), items: fc.integer({ min: 1, max: 3 }), length: fc.nat(2) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("end" as const), which: fc.nat(3) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("pass" as const), ms: fc.nat(9) }) }
), { minLength: 30, maxLength: 100 })

describe("a batch behind one that runs", () => {
  it("is taken from a full queue, leaves other models' next requests their SLO, and is found as soon as the last of it arrives", () => {
    let behind = 0
    fc.assert(fc.property(fc.integer({ min: 1, max: 63 }), fc.integer({ min: 1, max: 3 }), actions, (mask, depth, steps) => {
      const dispatcher = makeDispatcher(mask, depth)
      const running: Array<DispatchedBatch> = []
      const offered: Array<ReturnType<Dispatcher["offer"]>> = []
      let nowMs = 0
      /** Items that wait, as one batch could take them. */
      const waiting = (): ReadonlyMap<string, number> => {
        const items = new Map<string, number>()
        for (const { heapIndex, request: { bindings, items: some, model } } of offered) {
          if (heapIndex >= 0) items.set(`${model} ${bindings.join()}`, (items.get(`${model} ${bindings.join()}`) ?? 0) + some)
        }
        return items
      }
      const note = (before: ReadonlyMap<string, number>, batch: DispatchedBatch): void => {
        const ahead = running.filter((other) => other.glet.id === batch.glet.id)
        running.push(batch)
        if (ahead.length === 0) return
        behind += 1
        assert.isAtMost(ahead.length + 1, depth)
        assert.isAtLeast(before.get(`${batch.model.name} ${batch.entries[0]!.bindings.join()}`) ?? 0, planBatch)
        const firstEndMs = ahead[0]!.pulledMs + ahead[0]!.typicalMs
        const i = glets.indexOf(batch.glet.id)
        sloMs.forEach((limitMs, j) => {
          if (((mask >> (3 * i + j)) & 1) === 0 || models[j] === batch.model) return
          // At the latest the first began when it was given.
          assert.isAtMost(Math.max(0, firstEndMs - nowMs) + latencies[j]![planBatch]!, limitMs, "another model's planned batch behind it")
        })
      }
      const pull = (next: () => DispatchedBatch | undefined): void => {
        for (;;) {
          const before = waiting()
          const batch = next()
          if (batch === undefined) return
          note(before, batch)
        }
      }
      const pump = (): void => glets.forEach((id) => pull(() => dispatcher.pull(nowMs, id)))
      for (const step of steps) {
        if (step.kind === "offer") {
          const model = models[step.model]!
          offered.push(dispatcher.offer(nowMs, request(model, { items: step.items, bindings: step.length === 0 ? [] : [step.length] }), () => {}))
          pull(() => dispatcher.pullModel(nowMs, model.name))
          // Where it took the last of a queue elsewhere, a full batch of another model may go that stood behind that; the glet's next end finds it.
          for (const id of glets) pull(() => {
            const missed = dispatcher.pull(nowMs, id)
            assert.notStrictEqual(missed?.model, model, "what an arrival allows of its model is found with it")
            return missed
          })
        } else if (step.kind === "end") {
          const [batch] = running.splice(0, 1)
          if (batch === undefined) continue
          nowMs = Math.max(nowMs, Math.min(...running.concat(batch).map(({ pulledMs, typicalMs }) => pulledMs + typicalMs)))
          dispatcher.batchEnded(nowMs, batch, done(batch.typicalMs))
          pump()
        } else {
          nowMs += step.ms
          dispatcher.sweep(nowMs)
          pump()
        }
      }
    }), { numRuns: 300 })
    assert.isAbove(behind, 100)
  })
})
