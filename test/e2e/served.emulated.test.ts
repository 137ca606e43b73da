/** `glet serve --executor emulated`: a server for two GPUs that this machine does not have. */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as fs from "node:fs"
import * as path from "node:path"
import { gletsOf } from "../../src/core/Plan.js"
import type { Glet } from "../cli/support/glet.js"
import { buildGlet } from "../cli/support/glet.js"
import { identityModel } from "../support/onnx.js"
import { profileOf } from "./support/folder.js"
import { startLoad, tally } from "./support/load.js"
import { modelsOf, serve, stop } from "./support/served.js"
import { metricsAt, statusAt } from "./support/stack.js"

let glet: Glet
beforeAll(async () => {
  glet = await buildGlet()
})
afterAll(() => glet.close())

describe("glet serve on emulated GPUs", () => {
  it("cuts them into glets, keeps the objectives, and status shows what was predicted beside what is", async () => {
    const file = identityModel(4)
    const names = ["a", "b", "c", "d"]
    const profile = path.join(glet.folder, "unit.json")
    fs.writeFileSync(profile, JSON.stringify(profileOf(Object.fromEntries(names.map((name) => [name, { file, itemMs: 10 }])))))
    const models = modelsOf(glet, Object.fromEntries(names.map((name) => [`${name}.onnx`, file])))
    const served = await serve(glet, models, [
      "--executor", "emulated", "--emulate", profile, "--gpus", "2",
      // 40 items/s of 30 ms on a fifth of a GPU: more than one such glet can carry one by one, and an SLO that leaves little room for batches.
      ...names.flatMap((name) => ["--slo", `${name}=150`, "--rate", `${name}=40`, "--max-batch", `${name}=4`])
    ])
    assert.strictEqual(served.ready.modelsReady, 4)
    const { port } = served
    const load = startLoad(port, names.map((model) => ({ model, rateRps: 25, width: 4, echoes: false })))
    await new Promise((resolve) => setTimeout(resolve, 3000))
    const outcomes = await load.stop()
    assert.isTrue(outcomes.every(({ status }) => [200, 429].includes(status)), tally(outcomes))

    const status = await Effect.runPromise(statusAt(port))
    assert.strictEqual(status.executor, "emulated")
    assert.strictEqual(status.plan.gpus.length, 2)
    const used = status.plan.gpus.filter(({ glets }) => glets.length > 0)
    assert.isTrue(used.some(({ glets }) => glets.length > 1), "several glets on a GPU")
    for (const { glets } of status.plan.gpus) assert.isAtMost(glets.reduce((sum, { sharePct }) => sum + sharePct, 0), 100)
    assert.deepStrictEqual(status.plan.shortfalls, [])
    for (const model of status.models) {
      assert.isAtLeast(model.withinSlo, 0.9 * outcomes.filter(({ stream }) => stream.model === model.model).length, model.model)
      assert.isAtLeast(model.plannedRps, 40)
      assert.isAbove(model.rateRps, 10)
    }

    // Predicted is the 99th percentile of the batches that ran: most executions are shorter, and none is of another order.
    const works = status.glets.flatMap(({ assignments }) => assignments).filter(({ measured }) => measured.count > 5)
    assert.isNotEmpty(works)
    for (const { batch, meanBatch, measured, model, predictedMs } of works) {
      assert.isAtMost(measured.p50Ms, 1.15 * predictedMs, model)
      assert.isAbove(measured.p50Ms, predictedMs / 8, model)
      assert.isAtLeast(measured.p99Ms, measured.p50Ms)
      assert.isTrue(meanBatch >= 1 && meanBatch <= Math.max(batch, 4), String(meanBatch))
    }
    const busy = status.glets.filter(({ assignments }) => assignments.some(({ measured }) => measured.count > 5))
    for (const { busyRatio } of busy) assert.isTrue(busyRatio > 0 && busyRatio <= 1)
    const metrics = await Effect.runPromise(metricsAt(port))
    for (const { id, gpu, sharePct } of status.glets) {
      assert.strictEqual(metrics.get(`glet_share_ratio{gpu="${gpu}",glet="${id}"}`), sharePct / 100)
    }

    const text = (await glet.run(["status", "--server", served.ready.url])).stdout
    for (const { glet: planned } of gletsOf(status.plan)) assert.include(text, planned.id)
    assert.match(text, /predicted ms\s+p50 ms\s+p99 ms/)
    await stop(served)
  }, 180_000)
})
