import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import type { EventKind } from "../../src/simulator/internal/eventQueue.js"
import { EventQueue } from "../../src/simulator/internal/eventQueue.js"

describe("EventQueue", () => {
  it("gives events by time, those of one time in the order they were added, like a stable sort", () => {
    fc.assert(fc.property(
      // Few times, so that many are equal; adding and taking in any order.
      fc.array(fc.oneof(fc.integer({ min: 0, max: 20 }), fc.constant(-1)), { maxLength: 400 }),
      (steps) => {
        const queue = new EventQueue()
        const expected: Array<{ readonly time: number; readonly subject: number }> = []
        const take = () => {
          const first = expected.reduce((best, event, i) => (event.time < expected[best]!.time ? i : best), 0)
          if (expected.length === 0) return assert.isFalse(queue.next())
          assert.isTrue(queue.next())
          const [event] = expected.splice(first, 1)
          assert.deepStrictEqual({ time: queue.timeMs, subject: queue.subject, kind: queue.kind }, { ...event!, kind: (event!.subject % 5) as EventKind })
        }
        steps.forEach((time, subject) => {
          if (time < 0) return take()
          queue.add(time, (subject % 5) as EventKind, subject)
          expected.push({ time, subject })
        })
        while (expected.length > 0) take()
        assert.strictEqual(queue.size, 0)
      }
    ), { numRuns: 200 })
  })
})
