/** The suite of peaks, on replayed GPUs: every system serves, is loaded and stopped, and a file of results is gone on with. */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import * as path from "node:path"
import { identityModel } from "../support/onnx.js"
import type { Glet } from "./support/glet.js"
import { buildGlet, root } from "./support/glet.js"

let glet: Glet
beforeAll(async () => {
  glet = await buildGlet()
})
afterAll(() => glet.close())

interface Suite {
  readonly results: ReadonlyArray<{
    readonly scenario: string
    readonly system: string
    readonly error?: string
    readonly factor: number
    readonly trials: ReadonlyArray<{ readonly factor: number; readonly violation: number }>
    readonly glets: number
    readonly saturated?: { readonly goodputRps: number; readonly rawRps: number; readonly ratio: number }
  }>
}

describe("glet bench --gpu-suite", () => {
  it("finds peaks of ours and of a server for each model; what is measured is not measured again; what fails is told", async () => {
    const zoo = path.join(glet.folder, "zoo")
    fs.mkdirSync(zoo)
    const run = (systems: string) =>
      glet.run([
        "bench", "--gpu-suite", zoo, "--emulate", path.join(root, "resource", "profiles", "h200", "mps.json"), "--scenarios", "scen2", "--systems", systems,
        "--duration", "0.4", "--warm-up", "0.1", "--load-factor", "0.3", "--precision", "50", "--profiles", path.join(glet.folder, "profiles"), "--body", "shared", "--shared-memory-direct", "auto", "--output", path.join(glet.folder, "suite.jsonl"), "--json"
      ])
    const without = await run("orion")
    assert.strictEqual(without.code, 1)
    assert.include((JSON.parse(without.stdout) as Suite).results[0]!.error, "no model for densenet161, vgg16")

    for (const name of ["densenet161", "vgg16"]) fs.writeFileSync(path.join(zoo, `${name}.onnx`), identityModel(4))
    for (const systems of ["orion", "orion,mps"]) {
      const { code, stderr, stdout } = await run(systems)
      assert.strictEqual(code, 0, stderr)
      const { results } = JSON.parse(stdout) as Suite
      assert.deepStrictEqual(results.map(({ scenario, system }) => [scenario, system]), systems.split(",").map((system) => ["scen2", system]))
      for (const { factor, glets, saturated, system, trials } of results) {
        assert.isAtLeast(glets, 1)
        assert.isNotEmpty(trials)
        if (factor > 0 && saturated !== undefined) {
          assert.isAbove(saturated.rawRps, 0)
          // Beyond the peak a busy machine may answer nothing in time.
          assert.approximately(saturated.ratio, saturated.goodputRps / saturated.rawRps, 1e-3)
        }
        assert.strictEqual(saturated !== undefined, factor > 0 && system === "orion")
        assert.isTrue(factor === 0 || trials.some((trial) => trial.factor === factor && trial.violation <= 0.01))
      }
    }
    const lines = fs.readFileSync(path.join(glet.folder, "suite.jsonl"), "utf8").trim().split("\n").map((line) => JSON.parse(line) as Suite["results"][number])
    assert.deepStrictEqual(lines.map(({ error, system }) => [system, error !== undefined]), [["orion", true], ["orion", false], ["mps", false]])
  }, 120_000)
})
