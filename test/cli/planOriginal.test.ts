import { assert, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import * as path from "node:path"
import * as Effect from "effect/Effect"
import type { Plan } from "../../src/core/Plan.js"
import { decodePlan } from "../../src/core/Plan.js"
import { parseModelList } from "../../src/scheduler/original/ModelList.js"
import { rate99Rps } from "../../src/scheduler/original/Rates.js"
import { read } from "../scheduler/original/sources.js"
import { gletWithFiles } from "./support/gletWithFiles.js"
import { sched, writeOriginalFolder } from "./support/originalFiles.js"

const there = gletWithFiles()

const tasks = "2\n6,60,120,\nlenet1,200,20,\n"
const asked = (taskFile: string, schedFile: string): ReadonlyArray<string> =>
  ["plan", "--task-config", taskFile, "--sched-config", schedFile, "--resource-dir", there.files.resource]
const run = (args: ReadonlyArray<string>) => there.glet.run([...asked(there.files.write("rates.csv", tasks), there.files.write("sim.json", sched())), ...args])
const planOf = (text: string): Promise<Plan> => Effect.runPromise(decodePlan(text))
const carried = (plan: Plan, model: string): number =>
  plan.gpus.flatMap(({ glets }) => glets).flatMap(({ assignments }) => assignments).reduce((sum, work) => sum + (work.model === model ? work.rateRps : 0), 0)

describe("glet plan with the original's files", () => {
  it("plans for the 99th percentile of the rates, by the planner that the configuration describes", async () => {
    const rates = there.files.write("rates.csv", tasks)
    for (const [changes, planner] of [[{}, "elastic-int"], [{ Interference: false }, "elastic"], [{ "Self Tuning": true }, "greedy"], [{ Part: false }, "time-share"]] as const) {
      const { code, stderr, stdout } = await there.glet.run([...asked(rates, there.files.write("sim.json", sched(changes))), "--json"])
      assert.strictEqual(code, 0, stderr)
      const plan = await planOf(stdout)
      assert.strictEqual(plan.planner, planner)
      assert.closeTo(carried(plan, "googlenet"), rate99Rps(60), 1e-6)
      assert.closeTo(carried(plan, "lenet1"), rate99Rps(200), 1e-6)
    }
    assert.strictEqual((await planOf((await run(["--json", "--planner", "orion"])).stdout)).planner, "orion")
  }, 180_000)

  it("writes ModelList.txt, which planner static takes", async () => {
    const list = there.files.write("ModelList.txt", "")
    const made = await run(["--output", list, "--json", "--full-search"])
    assert.strictEqual(made.code, 0, made.stderr)
    const glets = read(parseModelList, there.files.read("ModelList.txt"))
    const plan = await planOf(made.stdout)
    assert.strictEqual(glets.reduce((sum, { works }) => sum + works.length, 0), plan.gpus.flatMap((gpu) => gpu.glets).reduce((sum, each) => sum + each.assignments.length, 0))
    const again = await run(["--planner", "mps_static", "--model-list", list, "--output", "-"])
    assert.strictEqual(again.code, 0, again.stderr)
    assert.strictEqual(again.stdout, there.files.read("ModelList.txt"))
  }, 180_000)

  it("takes the original's spelling of options, and files from anywhere", async () => {
    const devices = there.files.write("devices.json", fs.readFileSync(path.join(there.files.resource, "device-config.json"), "utf8"))
    const { code, stderr, stdout } = await there.glet.run([
      "plan", "--task_config", there.files.write("rates.csv", tasks), "--sched_config", there.files.write("sim.json", sched()), "--device_config", devices,
      "--mem_config", path.join(there.files.resource, "mem-config.json"), `--proxy_config=${path.join(there.files.resource, "proxy_config.json")}`, "--resource_dir", there.files.resource
    ])
    assert.strictEqual(code, 0, stderr)
    assert.match(stdout, /of 3 GPUs by elastic-int/)
  })

  it("where there is no plan: EMPTY, exit code 3, the culprits with what would be possible", async () => {
    const single = { GPUs: [{ Type: "small", Num: 1 }] }
    const list = there.files.write("ModelList.txt", "old")
    const { code, stderr, stdout } = await there.glet.run([...asked(there.files.write("rates.csv", "1\n6,4000,120,\n"), there.files.write("sim.json", sched(single))), "--output", list, "--explain", "--planner", "orion"])
    assert.strictEqual(code, 3)
    assert.strictEqual(stdout, "")
    assert.strictEqual(there.files.read("ModelList.txt"), "EMPTY\n")
    const offered = /; (\d+) items\/s would fit/.exec(stderr)
    assert.isNotNull(offered, stderr)
    // What is offered is possible, by the same planner.
    const within = Math.floor(Number(offered![1]) / 1.15)
    assert.isAbove(within, 0)
    const possible = await there.glet.run([...asked(there.files.write("rates.csv", `1\n6,${within},120,\n`), there.files.write("sim.json", sched(single))), "--planner", "orion"])
    assert.strictEqual(possible.code, 0, possible.stderr)
    const gpus = /^(\d+) GPUs of type small would be enough$/m.exec(stderr)
    assert.isNotNull(gpus, stderr)
    for (const [count, expected] of [[Number(gpus![1]), 0], [Number(gpus![1]) - 1, 3]] as const) {
      const sim = there.files.write("sim.json", sched({ GPUs: [{ Type: "small", Num: count }] }))
      const enough = await there.glet.run([...asked(there.files.write("rates.csv", "1\n6,4000,120,\n"), sim), "--planner", "orion"])
      assert.strictEqual(enough.code, expected, enough.stderr)
    }
  }, 180_000)

  it("explains in words and as data", async () => {
    const text = await run(["--explain", "--planner", "orion"])
    assert.strictEqual(text.code, 0, text.stderr)
    for (const line of [/^googlenet: 80\.0 items\/s within 120 ms$/m, /^ {4}share {3}/m, /^ {4}batch {3}/m, /^ {4}room {4}/m, /^ {2}more of it: /m, /^ {2}should a GPU die: /m, /^The GPUs in use \(\d\) carry .* with one more small /m]) {
      assert.match(text.stdout, line)
    }
    const { stdout } = await run(["--explain", "--planner", "orion", "--json"])
    const answer = JSON.parse(stdout) as { readonly kind: string; readonly models: ReadonlyArray<{ readonly model: string }>; readonly next: { readonly carries: number } }
    assert.strictEqual(answer.kind, "ExplainedPlan")
    assert.deepStrictEqual(answer.models.map(({ model }) => model), ["googlenet", "lenet1"])
    assert.isAtLeast(answer.next.carries, 1)
  }, 180_000)

  it("draws the plan", async () => {
    const { code, stderr, stdout } = await run(["--svg", "-"])
    assert.strictEqual(code, 0, stderr)
    assert.match(stdout, /^<svg [^]*googlenet[^]*<\/svg>\n$/)
  })

  it("what is wrong is named with file, line and column", async () => {
    const good = { rates: tasks, sim: sched() }
    const cases: ReadonlyArray<readonly [Partial<typeof good>, RegExp, number]> = [
      [{ rates: "2\n6,60,120,\n99,1,5,\n" }, /rates\.csv:3:1: there is no model "99"/, 1],
      [{ rates: "2\n6,60,120,\n6,1,5,\n" }, /rates\.csv:3:1: "googlenet" stands in line 2 already/, 1],
      [{ rates: "1\n6,-1,120,\n" }, /rates\.csv:2:3: /, 1],
      [{ rates: "" }, /rates\.csv:1:1: there are no tasks/, 1],
      [{ sim: "{" }, /sim\.json:1:2: /, 1],
      [{ sim: sched({ GPUs: [] }) }, /sim\.json:1:1: there are no GPUs/, 1],
      [{ sim: sched({ GPUs: [{ Type: "large", Num: 1 }] }) }, /no device is described for GPU type "large".*small/, 1]
    ]
    for (const [changes, expected, exitCode] of cases) {
      const { rates, sim } = { ...good, ...changes }
      const { code, stderr, stdout } = await there.glet.run(asked(there.files.write("rates.csv", rates), there.files.write("sim.json", sim)))
      assert.strictEqual(code, exitCode, stderr)
      assert.strictEqual(stdout, "")
      assert.match(stderr, expected)
      assert.strictEqual(stderr.trimEnd().split("\n").length, 1, stderr)
    }
    const broken = writeOriginalFolder(there.glet.folder)
    fs.appendFileSync(path.join(broken.resource, "small", "latency.csv"), "\nbert,20,4,fast\n")
    const table = await there.glet.run(["plan", "--task-config", there.files.write("rates.csv", tasks), "--sched-config", there.files.write("sim.json", sched()), "--resource-dir", broken.resource])
    assert.strictEqual(table.code, 1)
    assert.match(table.stderr, /resource\/small\/latency\.csv:217:11: /)
    fs.rmSync(path.join(broken.resource, "small", "UTIL.CSV"))
    const missing = await there.glet.run(["plan", "--cases", "-", "--resource", broken.resource])
    assert.match(missing.stderr, /latency\.csv:217:11/)
  }, 180_000)

  it("options that say nothing together are refused", async () => {
    const rates = there.files.write("rates.csv", tasks)
    const sim = there.files.write("sim.json", sched())
    const wrong: ReadonlyArray<readonly [ReadonlyArray<string>, RegExp]> = [
      [["plan", "--task-config", rates], /--sched-config is missing/],
      [["plan", "--task-config", rates, "--sched-config", sim], /--resource-dir is missing/],
      [["plan", "--task-config", rates, "--problem", "-"], /one of --problem and --models is needed, or --task-config or --cases/],
      [["plan", "--problem", "-", "--full-search"], /--full-search says nothing with --problem/],
      [["plan", "--cases", "-", "--json"], /--json says nothing with --cases/],
      [[...asked(rates, sim), "--rate", "a=1"], /--rate says nothing with --task-config/],
      [[...asked(rates, sim), "--json", "--svg", "-"], /--json and --svg - both write to stdout/],
      [[...asked(rates, sim), "--model-list", "x"], /--model-list is for --planner static/],
      [[...asked(rates, sim), "--planner", "orin"], /did you mean "orion"/]
    ]
    for (const [args, expected] of wrong) {
      const { code, stderr, stdout } = await there.glet.run(args)
      assert.strictEqual(code, 2, stderr)
      assert.strictEqual(stdout, "")
      assert.match(stderr, expected)
    }
  }, 180_000)
})
