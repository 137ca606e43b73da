import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as fc from "fast-check"
import { parseJsonText, plainValue } from "../../../src/server/repository/internal/jsonText.js"
import { defaultSettings, parseSettings, readSettings, resolveSettings } from "../../../src/server/repository/ModelSettings.js"
import { folderOf } from "./folder.js"

const bad = (text: string): string => Either.getOrThrow(Either.flip(parseSettings("glet.json", text))).message
const models = (text: string) => Either.getOrThrow(parseSettings("glet.json", text)).models
const inModels = (entry: string) => `{"apiVersion": "glet/v1alpha1",\n "models": {"a": ${entry}, "b": {"sloMs": 5}}}`

describe("glet.json", () => {
  it("says SLO, class, rate and largest batch by model", () => {
    const read = models(inModels("{\"class\": \"best-effort\", \"maxBatch\": 8, \"rateRps\": 2.5, \"weight\": 3}"))
    assert.deepEqual(Either.getOrThrow(read.get("a")!), { serviceClass: "best-effort", maxBatch: 8, rateRps: 2.5, weight: 3 })
    assert.deepEqual(Either.getOrThrow(read.get("b")!), { sloMs: 5 })
  })

  it.each([
    ["{", "glet.json:1:2: expected a key in double quotes, found the end of the file"],
    ["{\"models\": {}}", "glet.json:1:1: apiVersion: is missing"],
    ["{\"apiVersion\": \"glet/v2\", \"models\": {}}", "glet.json:1:2: apiVersion: Expected \"glet/v1alpha1\", actual \"glet/v2\""],
    ["{\"apiVersion\": \"glet/v1alpha1\", \"models\": {},\n \"model\": 1}", "glet.json:2:2: model: unknown field; did you mean \"models\"?"],
    ["{\"apiVersion\": \"glet/v1alpha1\", \"models\": 4}", "models: Expected"]
  ])("%j says %j", (text, message) => assert.include(bad(text), message))

  it.each([
    ["{\"sloms\": 4}", "glet.json:2:19: models.a.sloms: unknown field; did you mean \"sloMs\"?"],
    ["{\"sloMs\": 0}", "glet.json:2:19: models.a.sloMs: Expected a positive number, actual 0"],
    ["{\"class\": \"fast\"}", "models.a.class: Expected \"latency-critical\""],
    ["{\"maxBatch\": 1.5}", "models.a.maxBatch: Expected an integer, actual 1.5"],
    ["{\"rateRps\": \"5\"}", "models.a.rateRps: Expected number, actual \"5\""],
    ["7", "models.a: Expected"]
  ])("a mistake in one model's entry is that model's: %j", (entry, message) => {
    const read = models(inModels(entry))
    assert.include(Either.getOrThrow(Either.flip(read.get("a")!)).message, message)
    assert.deepEqual(Either.getOrThrow(read.get("b")!), { sloMs: 5 })
  })

  it.scoped("need not be there", () =>
    Effect.gen(function*() {
      const directory = yield* folderOf({})
      assert.strictEqual((yield* readSettings(directory)).models.size, 0)
    }))

  it("JSON means what it means elsewhere", () => {
    fc.assert(fc.property(fc.json({ maxDepth: 4 }), (text) => assert.deepEqual(plainValue(parseJsonText(text)), JSON.parse(text))), { numRuns: 500, seed: 4 })
  })
})

describe("resolveSettings", () => {
  it("the first layer that speaks of a field decides it", () => {
    const resolved = resolveSettings([{ sloMs: 20 }, { sloMs: 30, rateRps: 7 }, { maxBatch: 4, rateRps: 9 }], defaultSettings)
    assert.deepEqual(resolved, { serviceClass: "latency-critical", sloMs: 20, sloIsDefault: false, expectedRateRps: 7, maxBatch: 4 })
  })

  it("best-effort models have no SLO, others have the default one", () => {
    assert.deepEqual(resolveSettings([{ serviceClass: "best-effort" }, { sloMs: 5, weight: 2 }], defaultSettings), {
      weight: 2,
      serviceClass: "best-effort", sloIsDefault: false, expectedRateRps: 1, maxBatch: undefined
    })
    assert.deepEqual(resolveSettings([], { ...defaultSettings, sloMs: 70 }), {
      serviceClass: "latency-critical", sloMs: 70, sloIsDefault: true, expectedRateRps: 1, maxBatch: undefined
    })
  })
})
