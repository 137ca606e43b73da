/** The least valid plan and its problem, for the tests of the judge. */
import { unsafeGletId, unsafeGpuId, unsafeModelName } from "../../src/core/Ids.js"
import type { LatencyModel } from "../../src/core/LatencyModel.js"
import type { Assignment, Plan, PlannedGlet } from "../../src/core/Plan.js"
import type { PlanProblem } from "../../src/core/PlanProblem.js"
import { defaultPlanOptions } from "../../src/core/PlanProblem.js"

/** 2 ms plus 1 ms an item at half a GPU, half of that at a whole one; batches to 16. */
export const latency: LatencyModel = {
  latencyMs: ({ batch, model, sharePct }) => (batch > 16 || model === "unmeasured" ? Infinity : ((2 + batch) * 50) / sharePct),
  typicalMs: ({ batch, sharePct }) => ((1 + batch) * 50) / sharePct,
  slowdown: (_, neighbours) => 1 + 0.5 * neighbours.length,
  memoryBytes: () => 1e9,
  gletMemoryBytes: () => 0.5e9
}

export const problem: PlanProblem = {
  gpus: [{
    id: unsafeGpuId("gpu"), type: "t", isolation: "emulated", units: 10, memoryBytes: 10e9, sharesPct: [20, 50, 100]
  }],
  demands: [
    { model: unsafeModelName("a"), serviceClass: "latency-critical", rateRps: 100, sloMs: 30, maxBatch: 8 },
    { model: unsafeModelName("b"), serviceClass: "latency-critical", rateRps: 50, sloMs: 50, maxBatch: 8 },
    { model: unsafeModelName("fill"), serviceClass: "best-effort", rateRps: 0, sloMs: Infinity, maxBatch: 8 }
  ],
  latency,
  options: { ...defaultPlanOptions, latencyHeadroom: 1, interference: false }
}

export const work = (model: string, batch: number, rateRps: number, latencyMs: number): Assignment => ({
  model: unsafeModelName(model), batch, rateRps, latencyMs, worstMs: 0, slackMs: 0, capacityRps: 0
})

/** a with batch 2 (4 ms) and b with batch 1 (3 ms) in a cycle of 10 ms on half the GPU; fill blocks 3 ms. */
export const glet: PlannedGlet = {
  id: unsafeGletId("gpu/0"),
  sharePct: 50,
  priority: 0,
  dutyMs: 10,
  assignments: [work("a", 2, 100, 4), work("b", 1, 50, 3)],
  bestEffort: [{ model: unsafeModelName("fill"), batch: 1, blockingMs: 3 }]
}

export const planOf = (glets: ReadonlyArray<PlannedGlet>, overrides: Partial<Plan> = {}): Plan => ({
  apiVersion: "glet/v1alpha1",
  kind: "Plan",
  generation: 0,
  planner: "test",
  dutyRule: "cycle",
  gpus: [{ gpu: unsafeGpuId("gpu"), type: "t", glets }],
  shortfalls: [],
  ...overrides
})
