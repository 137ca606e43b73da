/** Models with several glets, and glets with several models: who goes where, so that all of the GPUs' time serves somebody. */
import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { unsafeGletId } from "../../src/core/Ids.js"
import type { DispatchedBatch } from "../../src/scheduler/DispatchedBatch.js"
import { Dispatcher } from "../../src/scheduler/Dispatcher.js"
import { done, glet, linear, makeModel, request, route, simulate } from "./harness.js"

const exact = { answerMs: 0, overheadMs: 0 }

describe("a model on several glets", () => {
  it("has a batch go behind what runs only on the glet that would end it soonest, and finds the next one when that glet's turn is over", () => {
    const model = makeModel("m", { sloMs: 10_000, maxBatch: 4 })
    const glets = fc.array(fc.record({ baseMs: fc.integer({ min: 1, max: 60 }), itemMs: fc.integer({ min: 1, max: 9 }), startMs: fc.integer({ min: 0, max: 30 }) }), { minLength: 2, maxLength: 5 })
    fc.assert(fc.property(glets, (all) => {
      const dispatcher = new Dispatcher(exact)
      dispatcher.setModel(model)
      const ids = all.map((_, i) => unsafeGletId(`gpu/${i}`))
      dispatcher.setRoutes(all.map(({ baseMs, itemMs }, i) => glet(ids[i]!, [route(model, linear(baseMs, itemMs, 4), { typicalRatio: 1, planBatch: 4 })])))
      const offer = (nowMs: number): void => {
        for (let i = 0; i < 4; i++) dispatcher.offer(nowMs, request(model), () => {})
      }
      const freeMs = new Map<string, number>()
      const msOf = (i: number): number => all[i]!.baseMs + 4 * all[i]!.itemMs
      const running = new Map<string, DispatchedBatch>()
      // Each glet is ready, and has a batch, at a time of its own.
      for (const [i, { startMs }] of [...all.entries()].sort(([, a], [, b]) => a.startMs - b.startMs)) {
        dispatcher.gletReady(ids[i]!, 2)
        offer(startMs)
        const batch = dispatcher.pull(startMs, ids[i]!)!
        running.set(ids[i]!, batch)
        freeMs.set(ids[i]!, startMs + msOf(i))
      }
      const nowMs = Math.max(...all.map(({ startMs }) => startMs))
      const endOn = (i: number): number => Math.max(nowMs, freeMs.get(ids[i]!)!) + msOf(i)
      offer(nowMs)
      const behind = dispatcher.pullModel(nowMs, model.name)!
      const chosen = ids.indexOf(behind.glet.id)
      assert.isAtMost(endOn(chosen), Math.min(...ids.map((_, i) => endOn(i))), "the soonest end")
      // What ends there begins it; the end finds another glet for the next.
      offer(nowMs)
      const laterMs = Math.max(nowMs, freeMs.get(behind.glet.id)!)
      dispatcher.batchEnded(laterMs, running.get(behind.glet.id)!, done(msOf(chosen)))
      const next = dispatcher.pull(laterMs, behind.glet.id)!
      const ends = ids.map((_, i) => Math.max(laterMs, i === chosen ? laterMs + msOf(i) : freeMs.get(ids[i]!)!) + msOf(i))
      assert.isAtMost(ends[ids.indexOf(next.glet.id)]!, Math.min(...ends), "the soonest end of the next")
    }), { numRuns: 200 })
  })
})

describe("models that share a glet", () => {
  it("leave it to the one whose own glets are not enough", () => {
    // By milliseconds the short one is always the more urgent, and its small batches would take the shared glet although its own have time.
    const short = makeModel("short", { sloMs: 22, maxBatch: 12 })
    const long = makeModel("long", { sloMs: 62, maxBatch: 9 })
    const latencies = new Map([["gpu/0", linear(2, 0.6, 12)], ["gpu/1", linear(2, 0.6, 12)], ["gpu/2", linear(3.5, 0.9, 12)], ["gpu/3", linear(2, 1.1, 9)], ["short", linear(4, 0.8, 12)], ["long", linear(2, 1.1, 9)]])
    const latencyOf = (id: string, model: string): Float64Array => latencies.get(id) ?? latencies.get(model)!
    const own = (id: string, model: typeof short) => glet(id, [route(model, latencyOf(id, model.name), { typicalRatio: 1, planBatch: model.maxBatch })])
    const shared = glet("gpu/4", [
      route(short, latencyOf("gpu/4", "short"), { typicalRatio: 1, planBatch: 1, fraction: 0.34 }), route(long, latencyOf("gpu/4", "long"), { typicalRatio: 1, planBatch: 7, fraction: 0.66 })
    ])
    for (const [shortRps, longRps] of [[2800, 1150], [3000, 1100]] as const) {
      const dispatcher = new Dispatcher(exact)
      for (const model of [short, long]) dispatcher.setModel(model)
      dispatcher.setRoutes([own("gpu/0", short), own("gpu/1", short), own("gpu/2", short), own("gpu/3", long), shared])
      const { byModel } = simulate(dispatcher, {
        loads: [{ model: short, rateRps: shortRps }, { model: long, rateRps: longRps }], glets: ["gpu/0", "gpu/1", "gpu/2", "gpu/3", "gpu/4"], durationMs: 10_000, seed: 3,
        truthMs: (batch) => latencyOf(batch.glet.id, batch.model.name)[batch.items]!
      })
      for (const [name, { good, offered }] of byModel) assert.isAtLeast(good / offered, 0.99, `${name} at ${shortRps} and ${longRps}`)
    }
  })
})
