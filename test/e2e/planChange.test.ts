/** Plans that change while requests come: no request fails because of a new plan. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { call } from "../support/http.js"
import { identity, identityModel, makeModel } from "../support/onnx.js"
import { profileOf, tempFolder, writeFiles } from "./support/folder.js"
import { startLoad, tally } from "./support/load.js"
import { cpuStack, emulatedStack, eventually } from "./support/stack.js"

const echoBy = (producer: string): Uint8Array =>
  makeModel({
    inputs: [{ name: "x", shape: ["batch", 4] }], outputs: [{ name: "y", shape: ["batch", 4] }], nodes: [identity("x", "y")], producer
  })

const post = (port: number, path: string) => Effect.promise(() => call(port, { path, body: "{}" }))

describe("a new plan under load", () => {
  it.scopedLive("models come, are replaced and go over the repository API, and no request fails", () =>
    Effect.gen(function*() {
      const directory = yield* tempFolder({ "steady.onnx": identityModel(4), "changing.onnx": identityModel(4) })
      const { arena, port, status } = yield* cpuStack({
        directory, cores: 2, models: { steady: { sloMs: 20_000, rateRps: 40 }, changing: { sloMs: 20_000, rateRps: 40 }, coming: { sloMs: 20_000 } }
      })
      const first = (yield* status).plan.generation
      const load = startLoad(port, ["steady", "changing"].map((model) => ({ model, rateRps: 40, width: 4, echoes: true })))
      yield* Effect.sleep(300)
      writeFiles(directory, { "coming.onnx": identityModel(8) })
      assert.strictEqual((yield* post(port, "/v2/repository/models/coming/load")).status, 200)
      const coming = startLoad(port, [{ model: "coming", rateRps: 40, width: 8, echoes: true }])
      // Other bytes under the same name and signature: the old glets serve until the new ones do.
      for (const producer of ["second", "third"]) {
        writeFiles(directory, { "changing.onnx": echoBy(producer) })
        assert.strictEqual((yield* post(port, "/v2/repository/models/changing/load")).status, 200)
      }
      const arrived = yield* Effect.promise(coming.stop)
      assert.isAbove(arrived.length, 0)
      assert.isTrue(arrived.every(({ own, status }) => status === 200 && own), tally(arrived))
      assert.strictEqual((yield* post(port, "/v2/repository/models/coming/unload")).status, 200)
      assert.include([404, 503], (yield* Effect.promise(() => call(port, { path: "/v2/models/coming/infer", body: "{}" }))).status)
      yield* Effect.sleep(200)
      const outcomes = yield* Effect.promise(load.stop)
      assert.strictEqual(outcomes.length, load.sent())
      assert.isTrue(outcomes.every(({ own, status }) => status === 200 && own), tally(outcomes))
      const { glets, models, plan } = yield* status
      assert.isAtLeast(plan.generation, first + 2)
      assert.deepStrictEqual(models.map(({ model }) => model).sort(), ["changing", "steady"])
      for (const model of models) assert.strictEqual(model.failed + model.dropped.reduce((sum, { count }) => sum + count, 0), 0)
      assert.isTrue(glets.every(({ state }) => state === "ready"))
      assert.strictEqual(arena.usedBytes(), 0)
    }), 180_000)

  it.scopedLive("a step in the rate is planned for once it is seen, and no request fails", () =>
    Effect.gen(function*() {
      const file = identityModel(4)
      const directory = yield* tempFolder({ "m.onnx": file })
      const { metrics, port, status } = yield* emulatedStack({
        directory, profile: profileOf({ m: { file, itemMs: 20 } }), gpus: 2, models: { m: { sloMs: 3000, rateRps: 5, maxBatch: 16 } }
      })
      const before = yield* status
      const capacityRps = before.models[0]!.plannedRps
      const rateRps = 1.5 * capacityRps
      const load = startLoad(port, [{ model: "m", rateRps, width: 4, echoes: false }])
      yield* eventually("the step is seen", status, ({ models }) => models[0]!.rateRps > capacityRps)
      yield* eventually("a plan for it", status, ({ plan }) => plan.generation > before.plan.generation)
      yield* eventually("enough is planned", status, ({ models }) => models[0]!.plannedRps > rateRps)
      yield* Effect.sleep(500)
      const outcomes = yield* Effect.promise(load.stop)
      assert.isTrue(outcomes.every(({ status }) => status === 200), tally(outcomes))
      // A further plan may come between the two readings.
      yield* eventually("metrics and status tell the same plan", Effect.all([metrics, status]), ([samples, { plan }]) =>
        samples.get("glet_plan_generation") === plan.generation)
    }), 180_000)
})
