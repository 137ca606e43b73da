/** Whatever happens, every request ends exactly once. */
import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import type { DispatchedBatch } from "../../src/scheduler/DispatchedBatch.js"
import type { Dispatcher } from "../../src/scheduler/Dispatcher.js"
import { exact, exited, failed, g0, g1, ignore } from "./exactDispatcher.js"
import { done, glet, linear, makeModel, request, route } from "./harness.js"

describe("Dispatcher", () => {
  it("ends every request exactly once, whatever happens", () => {
    const action = fc.oneof(
      { weight: 6, arbitrary: fc.record({ kind: fc.constant("offer" as const), model: fc.nat(2), items: fc.integer({ min: 1, max: 4 }), timeoutMs: fc.option(fc.integer({ min: 1, max: 200 }), { nil: undefined }), priority: fc.nat(3), length: fc.nat(2) }) },
      { weight: 4, arbitrary: fc.record({ kind: fc.constant("pull" as const), glet: fc.nat(1) }) },
      { weight: 4, arbitrary: fc.record({ kind: fc.constant("end" as const), which: fc.nat(3), how: fc.nat(9) }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant("cancel" as const), which: fc.nat(50) }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant("lose" as const), glet: fc.nat(1), forMs: fc.nat(100) }) },
      { weight: 2, arbitrary: fc.record({ kind: fc.constant("ready" as const), glet: fc.nat(1) }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant("routes" as const), mask: fc.nat(63) }) },
      { weight: 3, arbitrary: fc.record({ kind: fc.constant("pass" as const), ms: fc.nat(30) }) }
    )
    fc.assert(fc.property(fc.array(action, { maxLength: 120 }), (actions) => {
      const models = [makeModel("a", { sloMs: 60, maxBatch: 4 }), makeModel("b", { sloMs: 200, maxBatch: 4 }), makeModel("c", { serviceClass: "best-effort", maxBatch: 4 })]
      const glets = [g0, g1]
      const routes = (mask: number) => glets.map((id, i) =>
        glet(id, models.flatMap((model, j) => ((mask >> (3 * i + j)) & 1 ? [route(model, linear(5 + 3 * i, 1, 4), { planBatch: 2, slackMs: 30, intrudes: [{ glet: glets[1 - i]!, perMs: 0.3 }] })] : []))))
      const dispatcher = exact(models, routes(63), { maxQueued: 20 })
      const running: Array<DispatchedBatch> = []
      const offered: Array<ReturnType<Dispatcher["offer"]>> = []
      let now = 0
      for (const step of actions) {
        if (step.kind === "offer") {
          const { items, length, priority, timeoutMs } = step
          offered.push(dispatcher.offer(now, request(models[step.model]!, {
            items, priority, bindings: length === 0 ? [] : [length], ...(timeoutMs === undefined ? {} : { timeoutMs })
          }), ignore))
        } else if (step.kind === "pull") {
          const batch = dispatcher.pull(now, glets[step.glet]!)
          if (batch !== undefined) {
            assert.isAtMost(batch.items, 4)
            assert.strictEqual(new Set(batch.entries.map((entry) => entry.bindings.join())).size, 1)
            running.push(batch)
          }
        } else if (step.kind === "end") {
          const [batch] = running.splice(step.which % Math.max(1, running.length), 1)
          if (batch !== undefined) dispatcher.batchEnded(now, batch, step.how === 0 ? exited(batch.glet.id) : step.how === 1 ? failed : done(8))
        } else if (step.kind === "cancel") {
          const ticket = offered[step.which]
          if (ticket !== undefined) dispatcher.cancel(now, ticket)
        } else if (step.kind === "lose") {
          dispatcher.gletLost(now, glets[step.glet]!, now + step.forMs)
        } else if (step.kind === "ready") {
          dispatcher.gletReady(glets[step.glet]!, 2)
        } else if (step.kind === "routes") {
          dispatcher.setRoutes(routes(step.mask))
          for (const id of glets) dispatcher.gletReady(id, 2)
        } else {
          now += step.ms
          dispatcher.sweep(now)
        }
      }
      dispatcher.setRoutes(routes(63))
      for (const id of glets) dispatcher.gletReady(id, 2)
      for (let round = 0; round < 1000 && dispatcher.view.pending > 0; round++) {
        now += 5
        dispatcher.sweep(now)
        for (const batch of running.splice(0)) dispatcher.batchEnded(now, batch, done(5))
        for (const id of glets) {
          const batch = dispatcher.pull(now, id)
          if (batch !== undefined) running.push(batch)
        }
      }
      assert.strictEqual(dispatcher.view.pending, 0)
      assert.strictEqual(dispatcher.ended.length, offered.length)
      assert.strictEqual(new Set(dispatcher.ended).size, offered.length)
      assert.strictEqual(dispatcher.nextWakeMs(now), Infinity)
    }), { numRuns: 300 })
  })
})
