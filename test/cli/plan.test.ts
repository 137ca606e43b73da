import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import * as path from "node:path"
import { decodePlan } from "../../src/core/Plan.js"
import * as Effect from "effect/Effect"
import type { Glet } from "./support/glet.js"
import { buildGlet, root } from "./support/glet.js"

let glet: Glet
beforeAll(async () => {
  glet = await buildGlet()
})
afterAll(() => glet.close())

const point = (sharePct: number, batch: number, latencyMs: number) => ({
  sharePct, batch, meanMs: latencyMs, p50Ms: latencyMs, p90Ms: latencyMs, p99Ms: latencyMs, count: 50
})
const profile = {
  apiVersion: "glet/v1alpha1", kind: "Profile", gpuType: "g", isolation: "mps", units: 100,
  models: [{ model: "a", memoryBytes: 1e8, loadMs: 10, points: [50, 100].flatMap((share) => [1, 4, 8].map((batch) => point(share, batch, ((2 + batch) * 100) / share))) }]
}
const problem = (changes: { readonly rateRps?: number; readonly sloMs?: number } = {}) => ({
  apiVersion: "glet/v1alpha1", kind: "PlanProblem",
  gpus: [{ type: "g", count: 2, units: 100, memoryBytes: 1e10, sharesPct: [50, 100] }],
  models: [{ name: "a", sloMs: 60, rateRps: 100, maxBatch: 8, ...changes }],
  profiles: [profile]
})

describe("glet plan", () => {
  it("plans a problem: a table, or the plan itself", async () => {
    const text = await glet.run(["plan", "--problem", "-"], { input: JSON.stringify(problem()) })
    assert.strictEqual(text.code, 0, text.stderr)
    assert.match(text.stdout, /of 2 GPUs by orion/)
    const { code, stdout } = await glet.run(["plan", "--problem", "-", "--json"], { input: JSON.stringify(problem()) })
    assert.strictEqual(code, 0)
    const plan = await Effect.runPromise(decodePlan(stdout))
    const carried = plan.gpus.flatMap((gpu) => gpu.glets).flatMap((one) => one.assignments).reduce((sum, work) => sum + work.rateRps, 0)
    assert.isAtLeast(carried, 100 - 1e-6)
    // The same with the profile in a file beside the problem.
    fs.writeFileSync(path.join(glet.folder, "g.json"), JSON.stringify(profile))
    fs.writeFileSync(path.join(glet.folder, "problem.json"), JSON.stringify({ ...problem(), profiles: ["g.json"] }))
    const again = await glet.run(["plan", "--problem", path.join(glet.folder, "problem.json"), "--json"])
    assert.strictEqual(again.stdout, stdout)
  })

  it("plans the problem of its own help, by a profile that comes along", async () => {
    const { stdout: help } = await glet.run(["plan", "--help"])
    const example = /^A problem\n([^]*?^ {2}\}$)/m.exec(help)![1]!
    // As from the package's folder.
    fs.symlinkSync(path.join(root, "resource"), path.join(glet.folder, "resource"))
    const { code, stderr, stdout } = await glet.run(["plan", "--problem", "-", "--json"], { input: example })
    assert.strictEqual(code, 0, stderr)
    const plan = await Effect.runPromise(decodePlan(stdout))
    assert.deepStrictEqual(plan.shortfalls, [])
    const glets = plan.gpus.flatMap((gpu) => gpu.glets)
    assert.isTrue(glets.some(({ assignments }) => assignments.length > 0) && glets.some(({ bestEffort }) => bestEffort.length > 0))
  })

  it("where there is no plan: exit code 3 and the culprits; --degrade plans what fits", async () => {
    const input = JSON.stringify(problem({ sloMs: 3 }))
    const text = await glet.run(["plan", "--problem", "-"], { input })
    assert.strictEqual(text.code, 3)
    assert.strictEqual(text.stdout, "")
    assert.match(text.stderr, /^a: /m)
    const json = await glet.run(["plan", "--problem", "-", "--json"], { input })
    assert.strictEqual(json.code, 3)
    const answer = JSON.parse(json.stdout) as { readonly kind: string; readonly culprits: ReadonlyArray<{ readonly model: string }> }
    assert.strictEqual(answer.kind, "Infeasible")
    assert.deepStrictEqual(answer.culprits.map((culprit) => culprit.model), ["a"])
    const busy = await glet.run(["plan", "--problem", "-", "--degrade"], { input: JSON.stringify(problem({ rateRps: 1e6 })) })
    assert.strictEqual(busy.code, 0, busy.stderr)
    assert.match(busy.stdout, /short: a: .* of 1000000/)
  })

  it("searches as long as the problem or the flag says", async () => {
    const asked = (effort: string | undefined, ...flags: ReadonlyArray<string>) =>
      glet.run(["plan", "--problem", "-", "--json", ...flags], { input: JSON.stringify({ ...problem(), options: effort === undefined ? {} : { effort } }) })
    const [quick, flagged, wrong, wrongFlag] = await Promise.all([asked("quick"), asked(undefined, "--effort", "quick"), asked("huge"), asked(undefined, "--effort", "huge")])
    assert.strictEqual(quick.code, 0, quick.stderr)
    assert.strictEqual(flagged.stdout, quick.stdout)
    assert.strictEqual(wrong.code, 1)
    assert.match(wrong.stderr, /options\.effort: Expected/)
    assert.strictEqual(wrongFlag.code, 2)
    assert.match(wrongFlag.stderr, /effort.*quick/s)
  })

  it("a wrong problem names file and field", async () => {
    const cases: ReadonlyArray<readonly [unknown, RegExp]> = [
      ["{", /is not JSON/],
      [{ ...problem(), gpus: [] }, /gpus/],
      [{ ...problem(), gpus: [{ type: "g" }] }, /gpus\[0\]\.units: is missing/],
      [{ ...problem(), models: [{ name: "a" }] }, /models\[0\]\.sloMs.*is missing/],
      [{ ...problem(), models: [{ name: "a", sloMs: 1 }, { name: "a", sloMs: 1 }] }, /"a" stands twice/],
      [{ ...problem(), extra: 1 }, /extra/],
      [{ ...problem(), profiles: ["/no/such.json"] }, /profile \/no\/such\.json cannot be read/]
    ]
    for (const [value, expected] of cases) {
      const { code, stderr, stdout } = await glet.run(["plan", "--problem", "-"], { input: typeof value === "string" ? value : JSON.stringify(value) })
      assert.strictEqual(code, 1, stderr)
      assert.strictEqual(stdout, "")
      assert.match(stderr, expected)
      assert.strictEqual(stderr.trimEnd().split("\n").length, 1, stderr)
    }
  })
})
