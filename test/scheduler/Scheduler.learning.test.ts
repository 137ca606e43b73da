/** The online service on a GPU whose glets disturb each other more than their profiles say. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { gletsOf } from "../../src/core/Plan.js"
import { defaultInterferenceWatch } from "../../src/scheduler/InterferenceWatch.js"
import { Scheduler } from "../../src/scheduler/Scheduler.js"
import { critical, load, observed, pass, register, withScheduler } from "./service.js"

const model = critical("one", { sloMs: 150, expectedRateRps: 2200, maxBatch: 16 })

/** Serves for `forMs`, then counts for a second: the part of requests in time, glets, and why plans were made. */
const serve = (learning: typeof defaultInterferenceWatch | undefined, forMs: number) => {
  let open = 0
  return withScheduler({
    isolation: "green",
    scheduler: { learning },
    executor: { latencyMs: ({ items }, { sharePct }) => (1 + 0.25 * items) * Math.sqrt(100 / sharePct) * (open > 1 ? 5 : 1) }
  }, Effect.gen(function*() {
    const scheduler = yield* Scheduler
    const reasons: Array<string> = []
    yield* observed({
      planDeployed: ({ plan, reason }) => {
        open = gletsOf(plan).length
        reasons.push(reason)
      }
    })
    yield* register(model)
    yield* load(model, 2200, forMs, 1)
    const { ends, within } = yield* load(model, 2200, 1000, 2)
    // What still runs ends.
    yield* pass(1000)
    return { kept: within / ends.length, glets: gletsOf(yield* scheduler.plan).length, reasons }
  }).pipe(Effect.scoped))
}

describe("Scheduler, beside costly neighbours", () => {
  it.live("learns what they cost and plans anew; without learning it goes on missing objectives", () =>
    Effect.gen(function*() {
      const deaf = yield* serve(undefined, 1000)
      assert.isAbove(deaf.glets, 1)
      assert.isBelow(deaf.kept, 0.9)
      const { glets, kept, reasons } = yield* serve({ ...defaultInterferenceWatch, lookMs: 200, minIntervalMs: 1000 }, 3000)
      assert.isTrue(reasons.some((reason) => reason.startsWith("interference: beside neighbours model \"one\" loses")), reasons.join("; "))
      assert.isBelow(glets, deaf.glets)
      assert.isAbove(kept, 0.99)
    }))
})
