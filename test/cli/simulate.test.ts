import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import * as path from "node:path"
import type { Glet } from "./support/glet.js"
import { buildGlet } from "./support/glet.js"

let glet: Glet
beforeAll(async () => {
  glet = await buildGlet()
})
afterAll(() => glet.close())

const short = ["--duration", "3", "--warm-up", "0.5"]

describe("glet simulate", () => {
  it("runs a scenario that comes along, without a GPU: a table, or JSON; the same seed, the same bytes", async () => {
    const text = await glet.run(["simulate", "scen1", ...short])
    assert.strictEqual(text.code, 0, text.stderr)
    assert.match(text.stdout, /^orion: .* of \d+ requests within their SLO/)
    assert.match(text.stdout, /googlenet +66\.0/)
    const json = await glet.run(["simulate", "game", ...short, "--json", "--planner", "time-share"])
    assert.strictEqual(json.code, 0, json.stderr)
    const report = JSON.parse(json.stdout) as { readonly kind: string; readonly applications: ReadonlyArray<{ readonly name: string; readonly sloKept: number }> }
    assert.strictEqual(report.kind, "SimulationReport")
    assert.deepStrictEqual(report.applications.map(({ name }) => name), ["game"])
    assert.isAbove(report.applications[0]!.sloKept, 0.5)
    const again = await glet.run(["simulate", "game", ...short, "--json", "--planner", "time-share"])
    assert.strictEqual(again.stdout, json.stdout)
  })

  it("draws, and keeps the timeline", async () => {
    const svg = path.join(glet.folder, "t.svg")
    const timeline = path.join(glet.folder, "t.json")
    const { code, stderr } = await glet.run(["simulate", "scen2", ...short, "--svg", svg, "--timeline", timeline, "--window", "1000-1100", "--preempt", "0.13"])
    assert.strictEqual(code, 0, stderr)
    assert.match(fs.readFileSync(svg, "utf8"), /^<svg .*<\/svg>\n$/s)
    const kept = JSON.parse(fs.readFileSync(timeline, "utf8")) as { readonly kind: string; readonly batches: { readonly list: ReadonlyArray<{ readonly startMs: number }> } }
    assert.strictEqual(kept.kind, "Timeline")
    assert.isNotEmpty(kept.batches.list)
    for (const { startMs } of kept.batches.list) assert.isTrue(startMs >= 1000 && startMs < 1100)
  })

  it("a scenario and a profile of one's own; --find-peak finds what a GPU can do", async () => {
    const points = [50, 100].flatMap((sharePct) => [1, 16].map((batch) => {
      const ms = (2 + batch / 2) * (100 / sharePct)
      return { sharePct, batch, meanMs: ms, p50Ms: ms, p90Ms: ms, p99Ms: ms, count: 50 }
    }))
    fs.writeFileSync(path.join(glet.folder, "p.json"), JSON.stringify({
      apiVersion: "glet/v1alpha1", kind: "Profile", gpuType: "g", isolation: "mps", units: 100, models: [{ model: "a", memoryBytes: 1e8, loadMs: 10, points }]
    }))
    fs.writeFileSync(path.join(glet.folder, "rates.txt"), "100\n200\n")
    const scenario = (arrivals: unknown) => JSON.stringify({
      apiVersion: "glet/v1alpha1", kind: "Scenario", gpus: 1, durationMs: 10_000, models: [{ name: "a", sloMs: 60, maxBatch: 16 }], loads: [{ model: "a", arrivals }]
    })
    fs.writeFileSync(path.join(glet.folder, "s.json"), scenario({ process: "poisson", ratesFile: "rates.txt", periodMs: 1000 }))
    const own = await glet.run(["simulate", path.join(glet.folder, "s.json"), "--profile", path.join(glet.folder, "p.json"), "--json"])
    assert.strictEqual(own.code, 0, own.stderr)
    assert.closeTo((JSON.parse(own.stdout) as { readonly total: { readonly offered: number } }).total.offered, 8 * 150, 150)

    fs.writeFileSync(path.join(glet.folder, "steady.json"), scenario({ process: "poisson", rateRps: 100 }))
    const peak = await glet.run(["simulate", path.join(glet.folder, "steady.json"), "--profile", path.join(glet.folder, "p.json"), "--find-peak", "--fixed-plan", "--replications", "2", "--json"])
    assert.strictEqual(peak.code, 0, peak.stderr)
    const found = JSON.parse(peak.stdout) as { readonly factor: number; readonly lowFactor: number; readonly highFactor: number; readonly peaks: ReadonlyArray<number> }
    // Batches of 16 in 10 ms on the whole GPU: 1,600/s at the very most.
    assert.isAbove(found.factor, 12)
    // One in a hundred may miss, and eight seconds are a small sample.
    assert.isBelow(found.factor, 16.6)
    assert.strictEqual(found.peaks.length, 2)
    assert.isAtMost(found.lowFactor, found.factor)
    assert.isAtLeast(found.highFactor, found.factor)
    assert.match(peak.stderr, /replication 2: /)
  })

  it("what is wrong is said in one line: names, places, options", async () => {
    fs.writeFileSync(path.join(glet.folder, "bad.json"), "{\n  \"apiVersion\": \"glet/v1alpha1\", \"kind\": \"Scenario\",\n  \"models\": [{ \"name\": \"a\", \"sloMs\": -1 }],\n  \"loads\": [{ \"model\": \"a\", \"arrivals\": { \"process\": \"poisson\", \"rateRps\": 1 } }]\n}")
    const cases: ReadonlyArray<readonly [ReadonlyArray<string>, number, RegExp]> = [
      [["scen9"], 2, /there is no scenario "scen9"; did you mean "scen\d"\?; known are .*traffic/],
      [["scen1", "--profile", "h20"], 2, /there is no profile "h20"; did you mean "h200"/],
      [["scen1", "--planner", "oriom"], 2, /no planner "oriom"/],
      [["scen1", "--window", "5"], 2, /--window "5" is not of the form FROM-TO/],
      [["scen1", "--json", "--svg", "-"], 2, /both write to stdout/],
      [["scen1", "--preempt", "soon"], 2, /--preempt "soon" is neither a time in ms nor off/],
      [["scen1", "--find-peak", "--svg", "x.svg"], 2, /--find-peak draws nothing/],
      [["scen1", "--gpu-type", "3080"], 2, /goes with --resource-dir/],
      [["no/such.json"], 1, /the scenario no\/such\.json cannot be read: it does not exist/],
      [[path.join(glet.folder, "bad.json")], 1, /bad\.json:3:38: models\[0\]\.sloMs/],
      [[], 2, /SCENARIO is missing/]
    ]
    for (const [args, expected, message] of cases) {
      const { code, stderr, stdout } = await glet.run(["simulate", ...args])
      assert.strictEqual(code, expected, stderr)
      assert.strictEqual(stdout, "")
      assert.match(stderr, message)
      assert.strictEqual(stderr.trimEnd().split("\n").length, 1, stderr)
    }
  })
})
