/** A folder of many models that hardly anybody asks for, on a laptop. */
import { assert, describe, it } from "@effect/vitest"
import * as Either from "effect/Either"
import type { Gpu } from "../../src/core/Gpu.js"
import { unsafeGpuId, unsafeModelName } from "../../src/core/Ids.js"
import type { PlanProblem } from "../../src/core/PlanProblem.js"
import { onlinePlanOptions } from "../../src/core/PlanProblem.js"
import type { ModelProfile } from "../../src/core/Profile.js"
import { validatePlan } from "../../src/core/ValidatePlan.js"
import { orion } from "../../src/scheduler/planners/Orion.js"
import * as ProfileLatencyModel from "../../src/scheduler/ProfileLatencyModel.js"

const gpu: Gpu = { id: unsafeGpuId("cpu:0"), type: "cpu", isolation: "threads", units: 2, memoryBytes: 16e9, sharesPct: [50, 100] }

/** Single items take 0.3 to 5 ms on both cores. */
const problemOf = (count: number): PlanProblem => {
  const profiles = Array.from({ length: count }, (_, i): ModelProfile => ({
    model: unsafeModelName(`m${i}`), memoryBytes: 5e6, loadMs: 10, workloadType: { compute: 0.5, memory: 0.4, other: 0.1 },
    points: gpu.sharesPct.flatMap((sharePct) => [1, 2, 4, 8].map((batch) => {
      const ms = ((0.3 * 10 ** (1.2 * ((i * 7) % count) / count)) * (0.5 + 0.5 * batch)) / Math.sqrt(sharePct / 100)
      return { sharePct, batch, meanMs: ms, p50Ms: ms, p90Ms: ms, p99Ms: 1.2 * ms, count: 100 }
    })) as unknown as ModelProfile["points"]
  }))
  return {
    gpus: [gpu],
    demands: profiles.map(({ model }, i) => ({ model, serviceClass: "latency-critical", rateRps: i % 2, sloMs: 100, maxBatch: 8 })),
    latency: ProfileLatencyModel.makeFor(new Map([["cpu", new Map(profiles.map((profile) => [profile.model, profile]))]]), [gpu]),
    options: onlinePlanOptions
  }
}

describe("many models on two cores", () => {
  for (const count of [17, 40]) {
    it(`${count} of them all have a place`, () => {
      const problem = problemOf(count)
      const plan = Either.getOrThrow(orion.plan(problem))
      assert.deepStrictEqual(validatePlan(plan, problem), [])
      assert.deepStrictEqual(plan.shortfalls, [])
      assert.strictEqual(new Set(plan.gpus.flatMap(({ glets }) => glets.flatMap(({ assignments }) => assignments.map(({ model }) => model)))).size, count)
    })
  }
})
