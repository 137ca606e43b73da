import { assert, describe, it } from "@effect/vitest"
import * as Either from "effect/Either"
import { unsafeModelName } from "../../../src/core/Ids.js"
import { caseOptions, problemOfCase } from "../../../src/scheduler/original/CasePlans.js"
import type { PlanningCase } from "../../../src/scheduler/original/Cases.js"
import { originalProblem } from "../../../src/scheduler/original/OriginalProblem.js"
import { preferredPart, rate99Rps, residualBatch, saturatedBatch } from "../../../src/scheduler/original/Rates.js"
import { resource, tableMs } from "./sources.js"

const { latency } = resource()
const at = (model: string, sharePct: number, batch: number, gpuType = "small") => ({ gpuType, model: unsafeModelName(model), sharePct, batch })
const overhead224 = (batch: number): number => 1.9 * 0.2 * batch

describe("OriginalLatencyModel", () => {
  it("takes measured latencies as they are, with the overhead of assembling", () => {
    assert.approximately(latency.latencyMs(at("resnet50", 40, 8)), tableMs("resnet50", 40, 8) + overhead224(8), 1e-9)
    assert.approximately(latency.latencyMs(at("lenet5", 40, 8)), tableMs("lenet1", 40, 8) + 0.4, 1e-9)
    assert.approximately(latency.latencyMs(at("bert", 40, 8)), tableMs("bert", 40, 8) + 1, 1e-9)
    assert.approximately(latency.latencyMs(at("ssd-mobilenetv1", 40, 8)), tableMs("ssd-mobilenetv1", 40, 8) + 2.5 * 1.6, 1e-9)
  })

  it("interpolates others between the smallest and the largest part, as batch 32 lies between theirs", () => {
    // Of this table's linear latencies the interpolation is exact.
    for (const part of [20, 50, 100]) {
      for (const batch of [3, 5, 20, 31]) assert.approximately(latency.tableMs(at("vgg16", part, batch)), tableMs("vgg16", part, batch), 1e-3)
    }
  })

  it("knows nothing beyond its tables", () => {
    for (const run of [at("vgg16", 30, 1), at("vgg16", 20, 33), at("vgg16", 20, 0), at("vgg16", 20, 1.5), at("nobody", 20, 1), at("vgg16", 20, 1, "large")]) {
      assert.strictEqual(latency.latencyMs(run), Infinity)
    }
    assert.strictEqual(latency.memoryBytes("small", unsafeModelName("nobody")), Infinity)
    assert.strictEqual(latency.slowdown(at("vgg16", 20, 1), [[at("nobody", 80, 1)]]), Infinity)
  })

  it("slows down by the worst neighbour, never up", () => {
    const own = at("vgg16", 40, 3)
    const [small, large] = [at("bert", 60, 2), at("bert", 60, 32)]
    assert.strictEqual(latency.slowdown(own, []), 1)
    assert.isAbove(latency.rawInterference(own, large), latency.rawInterference(own, small))
    const alpha = Math.max(1, latency.rawInterference(own, large))
    assert.isAbove(alpha, 1)
    const expected = latency.tableMs(own) * alpha + overhead224(3)
    assert.approximately(latency.slowdown(own, [[small, large]]) * latency.latencyMs(own), expected, 1e-9)
  })
})

describe("rates", () => {
  it("plans for the 99th percentile of Poisson arrivals, for every rate", () => {
    assert.deepEqual([0, -1, NaN, 50, 45, 85, 550.5, 605].map(rate99Rps), [0, 0, 0, 68, 62, 108, 605, 665])
    let before = 0
    for (let rate = 0.05; rate < 540; rate *= 1.02) {
      const planned = rate99Rps(rate)
      assert.isAtLeast(planned, rate)
      assert.isAtLeast(planned, before)
      before = planned
    }
  })

  it("finds the largest batches", () => {
    const ms = (batch: number) => 1 + batch
    assert.strictEqual(saturatedBatch(ms, 22), 10)
    assert.strictEqual(saturatedBatch(ms, 1000), 31)
    assert.strictEqual(saturatedBatch(ms, 1), 1)
    // 100 items/s: a batch of b takes 10 b to come together and 1 + b to run.
    assert.strictEqual(residualBatch(ms, 100, 100), 9)
    assert.strictEqual(residualBatch(ms, 11, 100), 0)
    assert.strictEqual(residualBatch(ms, 1e9, 2000), 0)
  })

  it("prefers the part after the steepest gain, unless all gain little", () => {
    const of = (values: ReadonlyArray<number>) => preferredPart([20, 40, 50], (part) => values[[20, 40, 50].indexOf(part)]!)
    assert.strictEqual(of([100, 200, 300]), 50)
    assert.strictEqual(of([100, 300, 320]), 40)
    assert.strictEqual(of([100, 103, 105]), 20)
    assert.strictEqual(of([0, 10, 10]), 40)
  })
})

describe("problems", () => {
  const tasks = [{ model: unsafeModelName("bert"), rateRps: 10, sloMs: 50 }]
  it("offers the measured parts and the memory of the device, or of the case", () => {
    const gpus: PlanningCase["gpus"] = [{ type: "small", count: 2 }]
    const problem = Either.getOrThrow(originalProblem({ resource: resource(), gpus, tasks, options: caseOptions }))
    assert.deepEqual(problem.gpus.map(({ id, memoryBytes, sharesPct }) => [String(id), memoryBytes, sharesPct.length]), [["small:0", 11000e6, 6], ["small:1", 11000e6, 6]])
    const other = Either.getOrThrow(problemOfCase(resource(), { setId: "a", gpus, memoryBytes: 5e9, tasks }, 1, caseOptions))
    assert.deepEqual(other.gpus.map(({ memoryBytes }) => memoryBytes), [5e9])
  })
  it("names types and shares that are not there", () => {
    const of = (type: string, sharesPct: ReadonlyArray<number>) =>
      Either.merge(Either.map(originalProblem({ resource: resource(), gpus: [{ type, count: 1 }], sharesPct, tasks, options: caseOptions }), () => new Error("accepted"))).message
    assert.match(of("large", [20]), /no device is described for GPU type "large"; .* has small/)
    assert.match(of("small", [30]), /none of the shares 30 % was measured on small/)
  })
})
