/** What is wrong with a problem is named, by file and field or by model; what cannot be planned exits 3 with what could be. */
import { assert, describe, it } from "@effect/vitest"
import { gletWithFiles } from "./support/gletWithFiles.js"
import { sched } from "./support/originalFiles.js"

const there = gletWithFiles()

const point = (sharePct: number, batch: number) => {
  const ms = ((2 + batch) * 100) / sharePct
  return { sharePct, batch, meanMs: ms, p50Ms: ms, p90Ms: ms, p99Ms: ms, count: 50 }
}
const model = (name: string, changes: Readonly<Record<string, unknown>> = {}) => ({ name, sloMs: 60, rateRps: 100, maxBatch: 8, ...changes })
const problem = (changes: Readonly<Record<string, unknown>> = {}): string =>
  JSON.stringify({
    apiVersion: "glet/v1alpha1", kind: "PlanProblem",
    gpus: [{ type: "g", count: 2, units: 100, memoryBytes: 1e10, sharesPct: [50, 100] }],
    models: [model("a")],
    profiles: [{
      apiVersion: "glet/v1alpha1", kind: "Profile", gpuType: "g", isolation: "mps", units: 100,
      models: ["a", "b", "c"].map((name) => ({ model: name, memoryBytes: 1e8, loadMs: 10, points: [50, 100].flatMap((share) => [1, 4, 8].map((batch) => point(share, batch))) }))
    }],
    ...changes
  })
const plan = (input: string, args: ReadonlyArray<string> = []) => there.glet.run(["plan", "--problem", "-", ...args], { input })

describe("bad input of glet plan", () => {
  it("a problem that says nothing sensible is refused with its field", async () => {
    const cases: ReadonlyArray<readonly [string, RegExp]> = [
      [problem({ models: [model("a", { rateRps: -1 })] }), /models\[0\]\.rateRps: Expected a non-negative number, actual -1/],
      [problem().replace("\"rateRps\":100", "\"rateRps\":1e999"), /models\[0\]\.rateRps: Expected a finite number, actual Infinity/],
      [problem().replace("\"sloMs\":60", "\"sloMs\":NaN"), /is not JSON/],
      [problem({ models: [model("a", { sloMs: 0 })] }), /models\[0\]\.sloMs: Expected a positive number, actual 0/],
      [problem({ models: [model("a", { maxBatch: 1.5 })] }), /models\[0\]\.maxBatch/],
      [problem({ models: [] }), /models/],
      [problem({ models: [model("a"), model("a")] }), /models: "a" stands twice/],
      [problem({ gpus: [{ type: "g", count: 1, units: 100, memoryBytes: 1e10, sharesPct: [120] }] }), /gpus\[0\]\.sharesPct\[0\]/],
      [problem({ gpus: [{ type: "g", count: 1, units: 100, memoryBytes: 1e10, sharesPct: [] }] }), /gpus\[0\]\.sharesPct/],
      [problem({ options: { latencyHeadroom: 0.5 } }), /options\.latencyHeadroom/]
    ]
    for (const [input, expected] of cases) {
      const { code, stderr, stdout } = await plan(input)
      assert.strictEqual(code, 1, stderr)
      assert.strictEqual(stdout, "")
      assert.match(stderr, expected)
      assert.strictEqual(stderr.trimEnd().split("\n").length, 1, stderr)
    }
  }, 120_000)

  it("models that cannot run are named, with exit code 3", async () => {
    const cases: ReadonlyArray<readonly [string, RegExp]> = [
      [problem({ models: [model("a"), model("zz")] }), /^zz: no-profile: was never measured on g at 50, 100 %/m],
      [problem({ gpus: [{ type: "g", count: 1, units: 100, memoryBytes: 1e10, sharesPct: [20, 40] }] }), /^a: no-profile: was never measured on g at 20, 40 %/m],
      [problem({ gpus: [{ type: "other", count: 1, units: 100, memoryBytes: 1e10, sharesPct: [50] }] }), /^a: no-profile: was never measured on other/m],
      [problem({ gpus: [{ type: "g", count: 1, units: 100, memoryBytes: 5e7, sharesPct: [50, 100] }] }), /^a: memory: needs \d+ MB/m]
    ]
    for (const [input, expected] of cases) {
      for (const planner of ["orion", "exact"]) {
        const { code, stderr, stdout } = await plan(input, ["--planner", planner])
        assert.strictEqual(code, 3, stderr)
        assert.strictEqual(stdout, "")
        assert.match(stderr, expected)
      }
    }
  }, 120_000)

  it("impossible SLOs and rates come with the nearest possible, model by model", async () => {
    const slos = await plan(problem({ models: [model("a", { sloMs: 3 }), model("b", { sloMs: 4 }), model("c")] }), ["--json"])
    assert.strictEqual(slos.code, 3, slos.stderr)
    const answer = JSON.parse(slos.stdout) as { readonly culprits: ReadonlyArray<{ readonly model: string; readonly nearestSloMs: number }> }
    assert.deepStrictEqual(answer.culprits.map((culprit) => culprit.model), ["a", "b"])
    const [a, b] = answer.culprits.map(({ nearestSloMs }) => nearestSloMs)
    assert.strictEqual((await plan(problem({ models: [model("a", { sloMs: a, rateRps: 1 }), model("b", { sloMs: b, rateRps: 1 })] }))).code, 0)
    for (const planner of ["orion", "elastic-int", "greedy"]) {
      const rates = [3000, 3000, 1500]
      // GPUs whose glets do not slow each other down: greedy does not reckon with that.
      const gpus = [{ type: "g", count: 2, units: 100, memoryBytes: 1e10, sharesPct: [50, 100], isolation: "duty" }]
      const input = (factor: number) => problem({ gpus, models: ["a", "b", "c"].map((name, i) => model(name, { rateRps: rates[i]! * factor })) })
      const { code, stderr } = await plan(input(1), ["--planner", planner])
      assert.strictEqual(code, 3, stderr)
      assert.match(stderr, /\d items\/s (would fit|could be carried)/, planner)
      const factor = /if all rates came down to ([\d.]+) %/.exec(stderr)
      if (factor !== null) assert.strictEqual((await plan(input(Number(factor[1]) / 100), ["--planner", planner])).code, 0, planner)
    }
  }, 120_000)

  it("the original's files, too, name numbers that are none", async () => {
    const sim = there.files.write("sim.json", sched())
    const cases: ReadonlyArray<readonly [string, RegExp]> = [
      ["1\n6,nan,120,\n", /rates\.csv:2:3: /],
      ["1\n6,10,-120,\n", /rates\.csv:2:6: /],
      ["1\n6,1e999,120,\n", /rates\.csv:2:3: /],
      ["0\n", /rates\.csv/]
    ]
    for (const [rates, expected] of cases) {
      const { code, stderr, stdout } = await there.glet.run(["plan", "--task-config", there.files.write("rates.csv", rates), "--sched-config", sim, "--resource-dir", there.files.resource])
      assert.strictEqual(code, 1, stderr)
      assert.strictEqual(stdout, "")
      assert.match(stderr, expected)
    }
    const caseOf = (changes: string) => `{"set_id": "s", "gpus": [{"type": "small", "num": 1}], "tasks": [${changes}]}`
    const lines: ReadonlyArray<readonly [string, RegExp]> = [
      [caseOf(""), /-:1:\d+: there are no tasks/],
      [caseOf("{\"model\": \"bert\", \"slo_ms\": -1, \"rate_sched\": 1}"), /-:1:\d+: /],
      [caseOf("{\"model\": \"bert\", \"slo_ms\": 1e999, \"rate_sched\": 1}"), /-:1:\d+: /],
      [caseOf("{\"model\": \"bert\", \"slo_ms\": 10, \"rate_sched\": 1}, {\"model\": \"bert\", \"slo_ms\": 10, \"rate_sched\": 1}"), /-:1:\d+: .*stands twice/]
    ]
    for (const [input, expected] of lines) {
      const { code, stderr, stdout } = await there.glet.run(["plan", "--cases", "-", "--resource", there.files.resource], { input })
      assert.strictEqual(code, 1, stderr)
      assert.strictEqual(stdout, "")
      assert.match(stderr, expected)
    }
  }, 120_000)
})
