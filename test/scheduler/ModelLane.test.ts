/** The queues of a model whose inputs have free sizes: one for each set of bindings that somebody waits with. */
import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { defaultDispatcherOptions } from "../../src/scheduler/DispatcherOptions.js"
import { ModelLaneOf } from "../../src/scheduler/internal/modelLane.js"
import { makeModel } from "./harness.js"

interface Waiting {
  readonly request: { readonly bindings: ReadonlyArray<number> }
  readonly priority: number
  readonly deadlineMs: number
  readonly sloMs: number
  readonly seq: number
  readonly items: number
  heapIndex: number
}

describe("ModelLane", () => {
  it("has the queues of those that wait, whichever sizes come and go", () => {
    fc.assert(fc.property(fc.array(fc.record({ size: fc.nat(120), leaves: fc.boolean() }), { maxLength: 400 }), (steps) => {
      const lane = new ModelLaneOf<never, Waiting>(makeModel("a", { sloMs: 10 }), defaultDispatcherOptions.delayBound)
      const waiting: Array<Waiting> = []
      steps.forEach(({ leaves, size }, seq) => {
        if (leaves && waiting.length > 0) {
          const [ticket] = waiting.splice(size % waiting.length, 1)
          lane.dequeue(ticket!)
        } else {
          const ticket: Waiting = { request: { bindings: size === 0 ? [] : [size] }, priority: 100, deadlineMs: seq + 10, sloMs: 10, seq, items: 1, heapIndex: -1 }
          const queue = lane.enqueue(ticket)
          assert.strictEqual(queue.key, size === 0 ? "" : String(size))
          waiting.push(ticket)
        }
        const keys = new Map<string, number>()
        for (const { request: { bindings } } of waiting) keys.set(bindings.join(), (keys.get(bindings.join()) ?? 0) + 1)
        const queues = lane.queues.filter(({ heap, key }) => key !== "" || heap.length > 0)
        assert.deepStrictEqual(new Map(queues.map(({ heap, key }) => [key, heap.length]).sort() as Array<[string, number]>), new Map([...keys].sort()))
        assert.strictEqual(lane.queuedRequests, waiting.length)
        assert.sameMembers([...lane.queued()], waiting)
      })
    }))
  })
})
