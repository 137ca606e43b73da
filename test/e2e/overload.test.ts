/** Twice the load that a GPU can carry. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { identityModel } from "../support/onnx.js"
import { profileOf, tempFolder } from "./support/folder.js"
import type { Outcome } from "./support/load.js"
import { startLoad, tally } from "./support/load.js"
import { emulatedStack } from "./support/stack.js"

const medianMs = (outcomes: ReadonlyArray<Outcome>): number => outcomes.map(({ latencyMs }) => latencyMs).sort((a, b) => a - b)[outcomes.length >> 1]!

describe("overload", () => {
  it.scopedLive("is refused at once and says when to come again; what is accepted keeps its objective; memory stays flat", () =>
    Effect.gen(function*() {
      const file = identityModel(4)
      const directory = yield* tempFolder({ "m.onnx": file })
      const sloMs = 1000
      // At best five glets of a fifth of the GPU, where batches of 4 take 480 ms: 42 items/s.
      const capacityRps = 42
      const { arena, metrics, port, status } = yield* emulatedStack({
        directory, profile: profileOf({ m: { file, itemMs: 100 } }), gpus: 1, models: { m: { sloMs, rateRps: 20, maxBatch: 4 } }
      })
      const load = startLoad(port, [{ model: "m", rateRps: 2 * capacityRps, width: 4, echoes: false }])
      let mostBytes = 0
      let mostWaiting = 0
      for (let look = 0; look < 40; look++) {
        yield* Effect.sleep(100)
        mostBytes = Math.max(mostBytes, arena.usedBytes())
        const { models: [model] } = yield* status
        mostWaiting = Math.max(mostWaiting, model!.queued + model!.inFlight)
      }
      const outcomes = yield* Effect.promise(load.stop)
      assert.strictEqual(outcomes.length, load.sent())
      const answered = outcomes.filter(({ status }) => status === 200)
      const refused = outcomes.filter(({ status }) => status === 429)
      assert.strictEqual(answered.length + refused.length, outcomes.length, tally(outcomes))
      for (const { reason, retryAfter } of refused) {
        assert.include(["deadline-unreachable", "expired"], reason)
        assert.match(retryAfter ?? "", /^[1-9]\d*$/)
      }
      // Half of what comes can be carried. Above it shows that the load was one; below it would be collapse.
      assert.isAbove(refused.length, outcomes.length / 4, tally(outcomes))
      assert.isAbove(answered.length, outcomes.length / 4, tally(outcomes))
      assert.isBelow(medianMs(refused), medianMs(answered) / 2, "refusals do not wait for the queue")
      const { models: [model] } = yield* status
      assert.isAtLeast(model!.withinSlo, 0.9 * model!.answered)
      assert.deepStrictEqual(
        model!.dropped.filter(({ count }) => count > 0).map(({ count, reason }) => [reason, count]).sort(),
        [...new Set(refused.map(({ reason }) => reason))].map((reason) => [reason, refused.filter((one) => one.reason === reason).length]).sort()
      )
      // What can be answered within the objective, and a little that is being written.
      assert.isBelow(mostWaiting, (3 * capacityRps * sloMs) / 1000)
      assert.isBelow(mostBytes, 256 * (mostWaiting + 32))
      assert.strictEqual(arena.usedBytes(), 0)
      assert.strictEqual((yield* metrics).get("glet_http_responses_total{status=\"429\"}"), refused.length)
    }), 180_000)
})
