import { assert, describe, it } from "@effect/vitest"
import * as Either from "effect/Either"
import { gzipSync } from "node:zlib"
import { fewestGpus } from "../../src/scheduler/FewestGpus.js"
import type { CaseLine } from "../../src/scheduler/original/CasePlans.js"
import { caseOptions, problemOfCase, publishedCaseOptions } from "../../src/scheduler/original/CasePlans.js"
import { parseCase } from "../../src/scheduler/original/Cases.js"
import { findPlanner } from "../../src/scheduler/PlannerRegistry.js"
import { resource } from "../scheduler/original/sources.js"
import { gletWithFiles } from "./support/gletWithFiles.js"

const there = gletWithFiles()

const line = (setId: string, tasks: ReadonlyArray<readonly [model: string, sloMs: number, rate: number]>, num = 1): string =>
  JSON.stringify({
    set_id: setId, mem_mb: null, gpus: [{ type: "small", num }],
    tasks: tasks.map(([model, slo_ms, rate_sched], id) => ({ model, id, slo_ms, rate: rate_sched / 1.2, rate_sched }))
  })
const one = line("one", [["lenet1", 20, 100]])
const more = line("more", [["resnet50", 120, 200], ["googlenet", 60, 300], ["bert", 400, 40]])
const impossible = line("impossible", [["bert", 1, 1]])
const parsed = (text: string): ReadonlyArray<CaseLine> => text.trimEnd().split("\n").map((each) => JSON.parse(each) as CaseLine)

describe("glet plan --cases", () => {
  it("answers once per set and planner, with the fewest GPUs", async () => {
    const text = [one, line("one", [["lenet1", 20, 100]], 2), "", more, impossible].join("\n")
    const out = there.files.write("plans.jsonl", "")
    const gz = there.files.write("cases.jsonl.gz", gzipSync(text))
    const { code, stderr, stdout } = await there.glet.run(["plan", "--cases", gz, "--resource", there.files.resource, "--planner", "orion,elastic_int,oracle", "--out", out])
    assert.strictEqual(code, 0, stderr)
    assert.strictEqual(stdout, "")
    const lines = parsed(there.files.read("plans.jsonl"))
    assert.deepStrictEqual(lines.map(({ planner, set_id }) => `${set_id} ${planner}`), ["one", "more", "impossible"].flatMap((set) => [`${set} orion`, `${set} elastic-int`]))
    for (const answer of lines) {
      const each = Either.getOrThrow(parseCase({ file: "f", text: [one, more, impossible].find((text) => text.includes(`"${answer.set_id}"`))! }))
      const planner = Either.getOrThrow(findPlanner(answer.planner))
      const problem = Either.getOrThrow(problemOfCase(resource(), each, 1, answer.planner === "orion" ? caseOptions : publishedCaseOptions))
      const expected = fewestGpus(planner, problem, "small")
      assert.strictEqual(answer.min_gpus, expected.gpus ?? null)
      assert.strictEqual(answer.valid, expected.plan !== undefined)
      assert.strictEqual(answer.plan?.length ?? null, answer.min_gpus)
      if (answer.plan === null) continue
      assert.isAtMost(answer.lower_bound!, answer.min_gpus!)
      assert.closeTo(answer.gap!, (answer.min_gpus! - answer.lower_bound!) / answer.lower_bound!, 1e-12)
      for (const { model, rateRps } of each.tasks) {
        const rate = answer.plan.flatMap(({ glets }) => glets).flatMap(({ assignments }) => assignments).reduce((sum, work) => sum + (work.model === model ? work.rate : 0), 0)
        assert.isAtLeast(rate, rateRps * (1 - 1e-6))
      }
    }
    assert.strictEqual(lines.filter(({ min_gpus }) => min_gpus === null).length, 2)
    const table = stderr.split("\n").filter((row) => /^(orion|elastic-int) /.test(row)).map((row) => row.split(/ +/))
    for (const [planner, sets, none, gpus] of table) {
      const of = lines.filter((answer) => answer.planner === planner)
      assert.deepStrictEqual([Number(sets), Number(none), Number(gpus)], [3, 1, of.reduce((sum, { min_gpus }) => sum + (min_gpus ?? 0), 0)])
    }
    assert.strictEqual(table.length, 2)
  }, 180_000)

  it("reads plain files and stdin, and writes to stdout", async () => {
    const withoutTime = (text: string) => parsed(text).map((answer) => ({ ...answer, solve_ms: 0 }))
    const file = await there.glet.run(["plan", "--cases", there.files.write("cases.jsonl", `${one}\r\n${more}`), "--resource-dir", there.files.resource])
    assert.strictEqual(file.code, 0, file.stderr)
    const stdin = await there.glet.run(["plan", "--cases", "-", "--resource", there.files.resource], { input: `${one}\n${more}\n` })
    assert.deepStrictEqual(withoutTime(stdin.stdout), withoutTime(file.stdout))
    assert.deepStrictEqual(withoutTime(stdin.stdout).map(({ planner }) => planner), ["orion", "orion"])
  }, 180_000)

  it("what is wrong is named, after the lines that were right", async () => {
    const cases: ReadonlyArray<readonly [string, RegExp]> = [
      [`${one}\n{"set_id": 7}\n`, /^glet plan: -:2:\d+: /m],
      [`${one}\n\n${one.replace("lenet1", "lenet9").replace("one", "two")}`, /^glet plan: -:3:\d+: "lenet9" is no known model/m],
      [`${one}\n${more.replace("small", "large")}`, /^glet plan: -:2: set more: no device is described for GPU type "large"/m]
    ]
    for (const [input, expected] of cases) {
      const { code, stderr, stdout } = await there.glet.run(["plan", "--cases", "-", "--resource", there.files.resource], { input })
      assert.strictEqual(code, 1, stderr)
      assert.match(stderr, expected)
      assert.deepStrictEqual(parsed(stdout).map(({ set_id }) => set_id), ["one"])
    }
    const refused: ReadonlyArray<readonly [ReadonlyArray<string>, number, RegExp]> = [
      [["--cases", "-", "--resource", there.files.resource], 1, /- has no cases/],
      [["--cases", "/no/cases.jsonl.gz", "--resource", there.files.resource], 1, /the cases \/no\/cases\.jsonl\.gz cannot be read: it does not exist/],
      [["--cases", there.files.write("broken.jsonl.gz", one), "--resource", there.files.resource], 1, /broken\.jsonl\.gz cannot be read: incorrect header check/],
      [["--cases", "-", "--resource", there.files.resource, "--out", "/no/folder/x"], 1, /the answer \/no\/folder\/x cannot be written/],
      [["--cases", "-", "--resource", "/no/folder"], 1, /\/no\/folder\/device-config\.json cannot be read/],
      [["--cases", "-"], 2, /--resource-dir is missing/],
      [["--cases", "-", "--resource", there.files.resource, "--planner", "orion,static"], 2, /static does not search/],
      [["--cases", "-", "--resource", there.files.resource, "--planner", "orion,"], 2, /no planner ""/]
    ]
    for (const [args, exitCode, expected] of refused) {
      const { code, stderr, stdout } = await there.glet.run(["plan", ...args])
      assert.strictEqual(code, exitCode, stderr)
      assert.strictEqual(stdout, "")
      assert.match(stderr, expected)
    }
  }, 180_000)
})
