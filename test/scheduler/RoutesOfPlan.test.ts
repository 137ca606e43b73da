import { assert, describe, it } from "@effect/vitest"
import * as Either from "effect/Either"
import * as fc from "fast-check"
import { unsafeModelName } from "../../src/core/Ids.js"
import type { LatencyModel } from "../../src/core/LatencyModel.js"
import { emptyPlan } from "../../src/core/Plan.js"
import { orion } from "../../src/scheduler/planners/Orion.js"
import { succeedPlan } from "../../src/scheduler/PlanSuccession.js"
import { routesOfPlan } from "../../src/scheduler/RoutesOfPlan.js"
import { makeModel } from "./harness.js"
import { demandOf, gpuOf, problemOf } from "./problems.js"

const model = makeModel("m", { maxBatch: 32, sloMs: 200 })

/** The routes of one model alone on a whole GPU, whose batches take what `latencyMs` says. */
const routesFor = (latencyMs: (batch: number) => number, rateRps: number, typicalMs = latencyMs) => {
  const latency: LatencyModel = {
    latencyMs: ({ batch }) => (batch <= 32 ? latencyMs(batch) : Infinity),
    typicalMs: ({ batch }) => (batch <= 32 ? typicalMs(batch) : Infinity),
    slowdown: () => 1, memoryBytes: () => 1, gletMemoryBytes: () => 0
  }
  const problem = problemOf([gpuOf(0, { sharesPct: [100], units: 1 })], [demandOf("m", rateRps, 200, 32)], latency, { whenShort: "degrade" })
  const plan = Either.getOrThrow(succeedPlan({ planner: orion, problem, current: emptyPlan, nextGletNumber: 0 }))
  return routesOfPlan(plan, problem, new Map([[unsafeModelName("m"), model]])).flatMap(({ models }) => models)
}

describe("RoutesOfPlan", () => {
  it("no batch is formed beyond the one that carries most, unless the plan itself has it", () => {
    fc.assert(fc.property(
      fc.double({ min: 0.5, max: 20, noNaN: true }), fc.double({ min: 0.05, max: 2, noNaN: true }), fc.double({ min: 0, max: 0.2, noNaN: true }),
      fc.double({ min: 1, max: 500, noNaN: true }),
      (fixedMs, itemMs, bendMs, rateRps) => {
        // Beyond some batch each further item costs more than the one before.
        const latencyMs = (batch: number) => fixedMs + itemMs * batch + bendMs * batch * batch
        for (const { batchLimit, latencyMs: table, planBatch } of routesFor(latencyMs, rateRps)) {
          assert.isAtLeast(batchLimit, Math.min(planBatch, 32))
          const throughput = (batch: number) => batch / table[batch]!
          const best = Math.max(...Array.from({ length: batchLimit }, (_, i) => throughput(i + 1)))
          if (batchLimit > planBatch) assert.isAtLeast(throughput(batchLimit), 0.98 * best)
        }
      }
    ), { numRuns: 60 })
  })

  it("where throughput only grows the largest batch stays allowed", () => {
    const [route] = routesFor((batch) => 2 + 0.5 * batch, 100)
    assert.strictEqual(route!.batchLimit, 32)
    const [bent] = routesFor((batch) => 2 + (batch <= 9 ? 0.5 * batch : 4.5 + 2 * (batch - 9)), 100)
    assert.isAtMost(bent!.batchLimit, Math.max(9, bent!.planBatch))
  })

  it("a 99th percentile that was disturbed for all but small batches does not forbid the larger ones", () => {
    const typicalMs = (batch: number) => 0.2 + 0.02 * batch
    const [route] = routesFor((batch) => (batch <= 2 ? 1.2 : 8) * typicalMs(batch), 100, typicalMs)
    assert.isAtMost(route!.planBatch, 2)
    assert.strictEqual(route!.batchLimit, 32)
  })
})
