import { assert, describe, it } from "@effect/vitest"
import * as Either from "effect/Either"
import * as fs from "node:fs"
import * as path from "node:path"
import type { SourceFile } from "../../src/scheduler/original/FormatError.js"
import { FormatError } from "../../src/scheduler/original/FormatError.js"
import { orion } from "../../src/scheduler/planners/Orion.js"
import { aliased, profileHardware } from "../../src/simulator/Hardware.js"
import { schemaFiles, schemaFolder } from "../../scripts/schemas.js"
import { parseScenario } from "../../src/simulator/ScenarioFile.js"
import { scenarioInput } from "../../src/simulator/ScenarioInput.js"
import type { Profile } from "../../src/core/Profile.js"
import { unsafeModelName } from "../../src/core/Ids.js"

const files = new Map([["rates.txt", "10\n# lunch\n0\n20\n"], ["times.txt", "1\n2\n5\n"], ["bad-rates.txt", "10\nfast\n"], ["bad-times.txt", "3\n2\n"]])
const read = (file: string): SourceFile => {
  const text = files.get(file)
  if (text === undefined) throw new FormatError({ file, line: 1, column: 1, problem: "there is no such file", hint: "" })
  return { file, text }
}
const parse = (text: string) => parseScenario({ file: "s.json", text }, read)

/** One field per line, so that places can be told. */
const scenario = (changes: Readonly<Record<string, unknown>> = {}): string =>
  JSON.stringify({
    apiVersion: "glet/v1alpha1", kind: "Scenario",
    models: [{ name: "a", sloMs: 50 }, { name: "b", sloMs: 80 }],
    loads: [{ model: "a", arrivals: { process: "poisson", rateRps: 10 } }],
    ...changes
  }, null, 1)

const load = (arrivals: unknown) => ({ loads: [{ model: "a", arrivals }] })
const steps = (list: ReadonlyArray<unknown>) => ({ applications: [{ name: "x", sloMs: 10, steps: list }] })

describe("ScenarioFile", () => {
  it("reads what is written, with defaults, and takes in the files it names", () => {
    const plain = Either.getOrThrow(parse(scenario()))
    assert.deepInclude(plain, { gpus: 4, durationMs: 30_000, warmUpMs: 2_000, failures: [] })
    assert.strictEqual(plain.models[0].maxBatch, 32)
    const rates = Either.getOrThrow(parse(scenario(load({ process: "gamma", cv: 2, ratesFile: "rates.txt", periodMs: 100 }))))
    assert.deepStrictEqual(rates.loads[0].arrivals, { process: "gamma", cv: 2, periodMs: 100, ratesRps: [10, 0, 20] })
    const trace = Either.getOrThrow(parse(scenario(load({ process: "trace", file: "times.txt", repeatMs: 6 }))))
    assert.deepStrictEqual(trace.loads[0].arrivals, { process: "trace", repeatMs: 6, timesMs: [1, 2, 5] })
  })

  it("what is wrong is told with file, line and column, and what to do", () => {
    const cases: ReadonlyArray<readonly [string, RegExp]> = [
      ["{", /^s\.json:1:2: .*;/],
      ["{\n \"a\": 1,\n \"a\": 2 }", /^s\.json:3:2: "a" stands twice/],
      [scenario({ kind: "Plan" }), /^s\.json:3:10: kind: /],
      [scenario({ models: [] }), /^s\.json:4:12: models/],
      [scenario({ models: [{ name: "a", sloMs: -1 }] }), /^s\.json:7:13: models\[0\]\.sloMs: /],
      [scenario({ models: [{ name: "a" }] }), /^s\.json:5:3: models\[0\]: the latency-critical model "a" has no sloMs/],
      [scenario({ models: [{ name: "a", sloMs: 1, class: "best-effort" }] }), /sloMs: the best-effort model "a" has an SLO/],
      [scenario({ models: [{ name: "a", sloMs: 1 }, { name: "a", sloMs: 1 }] }), /models\[1\]\.name: model "a" stands twice/],
      [scenario({ speed: 3 }), /speed/],
      [scenario({ loads: [{ model: "aa", arrivals: { process: "poisson", rateRps: 1 } }] }), /loads\[0\]\.model: there is no model "aa"; did you mean "a"\?/],
      [scenario({ loads: [{ arrivals: { process: "poisson", rateRps: 1 } }] }), /loads\[0\]: a load asks for one model or one application/],
      [scenario(load({ process: "poisson" })), /loads\[0\]\.arrivals: has no rate/],
      [scenario(load({ process: "poisson", rateRps: 1, ratesRps: [1] })), /has several rates/],
      [scenario(load({ process: "poisson", rateRps: 1, cv: 2 })), /arrivals\.cv: poisson arrivals have no cv/],
      [scenario(load({ process: "gamma", rateRps: 1 })), /gamma arrivals have no cv/],
      [scenario(load({ process: "weekly", rateRps: 1 })), /loads\[0\]\.arrivals/],
      [scenario(load({ process: "trace", timesMs: [2, 1] })), /timesMs\[1\]: stands after a later time/],
      [scenario(load({ process: "trace" })), /a trace has no times/],
      [scenario(load({ process: "poisson", ratesFile: "bad-rates.txt" })), /^bad-rates\.txt:2:1: "fast" is not a rate/],
      [scenario(load({ process: "trace", file: "bad-times.txt" })), /^bad-times\.txt:2:1: 2 ms stands after a later time/],
      [scenario(load({ process: "trace", file: "none.txt" })), /^none\.txt:1:1: there is no such file/],
      [scenario(steps([{ id: "1", model: "c" }])), /steps\[0\]\.model: there is no model "c"/],
      [scenario(steps([{ id: "1", model: "a", after: ["1"] }])), /after\[0\]: step "1" does not stand above/],
      [scenario(steps([{ id: "1", model: "a" }, { id: "1", model: "b" }])), /step "1" stands twice/],
      [scenario(steps([{ id: "one", model: "a" }, { id: "2", model: "b", after: ["two"] }])), /there is no step "two"/],
      [scenario({ failures: [{ atMs: 1, gpu: 4 }] }), /failures\[0\]\.gpu: there is no GPU 4; they are numbered from 0 to 3/]
    ]
    for (const [text, expected] of cases) {
      const answer = parse(text)
      if (Either.isRight(answer)) assert.fail(`accepted: ${text}`)
      assert.match(answer.left.message, expected)
      assert.strictEqual(answer.left.message.split("\n").length, 1)
    }
  })

  it("every scenario that comes along is right, and its models are in the profile that comes along", () => {
    const profile = JSON.parse(fs.readFileSync("resource/profiles/h200/mps.json", "utf8")) as Profile
    const hardware = profileHardware(profile)
    const names = fs.readdirSync("resource/scenarios").filter((file) => file.endsWith(".json"))
    assert.includeMembers(names, ["scen1.json", "scen2.json", "scen3.json", "scen4.json", "scen5.json", "game.json", "traffic.json", "diurnal.json", "bursty.json"])
    for (const file of names) {
      const scenario = Either.getOrThrow(parseScenario({ file, text: fs.readFileSync(`resource/scenarios/${file}`, "utf8") }, read))
      assert.isNotEmpty(scenario.description, file)
      const input = Either.getOrThrow(scenarioInput(scenario, hardware, { planner: orion, seed: 1 }))
      for (const model of input.models) {
        if (model.serviceClass === "latency-critical") assert.isAbove(model.expectedRateRps, 0, `${file} ${model.name}`)
      }
    }
  })

  it("the JSON Schemas that come along are those of the code", () => {
    for (const [file, text] of schemaFiles()) {
      assert.strictEqual(fs.readFileSync(path.join(schemaFolder, file), "utf8"), text, `${file}: run scripts/make-schemas.ts`)
    }
  })

  it("a model may be measured under another name; one that was not measured is named", () => {
    const profile = JSON.parse(fs.readFileSync("resource/profiles/h200/mps.json", "utf8")) as Profile
    const hardware = profileHardware(profile, undefined, 5)
    const named = aliased(hardware, (model) => (model === "mine" ? unsafeModelName("resnet50") : model))
    const at = (model: string) => ({ gpuType: "h200", model: unsafeModelName(model), sharePct: 45, batch: 8 })
    assert.strictEqual(named.latency.latencyMs(at("mine")), hardware.latency.latencyMs(at("resnet50")))
    assert.deepStrictEqual(named.distribution(at("mine")), hardware.distribution(at("resnet50")))
    assert.strictEqual(hardware.latency.latencyMs(at("mine")), Infinity)
    const answer = Either.flatMap(parse(scenario()), (read) => scenarioInput(read, hardware, { planner: orion, seed: 1 }))
    assert.isTrue(Either.isLeft(answer))
    if (Either.isLeft(answer)) assert.match(answer.left.message, /model "a" was not measured on h200; measured are bert, /)
  })
})
