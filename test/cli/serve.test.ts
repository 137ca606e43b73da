import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { ReadyLine } from "../../src/cli/commands/readyLine.js"
import { Plan } from "../../src/core/Plan.js"
import { Profile } from "../../src/core/Profile.js"
import { SchedulerStatus } from "../../src/scheduler/SchedulerStatus.js"
import type { Glet, Running } from "./support/glet.js"
import { buildGlet, demoModels } from "./support/glet.js"

let glet: Glet
beforeAll(async () => {
  glet = await buildGlet()
})
afterAll(() => glet.close())

const decodeReady = Schema.decodeUnknownSync(Schema.parseJson(ReadyLine))

const serving = async (args: ReadonlyArray<string>): Promise<{ readonly server: Running; readonly ready: typeof ReadyLine.Type }> => {
  const server = glet.start(["serve", "--models", demoModels, "--port", "0", "--profile-budget", "100", "--json", ...args])
  return { server, ready: decodeReady(await server.line((line) => line.startsWith("{"))) }
}

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

describe("glet serve", () => {
  it("serves a folder; models, status, bench and a second server on its port behave; a signal drains", async () => {
    const { ready, server } = await serving(["--class", "digits-denoise=best-effort", "--slo", "lenet-digits=5000"])
    assert.strictEqual(ready.models, 4)
    assert.strictEqual(ready.modelsReady, 4)
    assert.isAtLeast(ready.glets, 1)
    const at = ["--server", ready.url]

    const models = await glet.run(["models", "--json", ...at])
    const index = JSON.parse(models.stdout) as { readonly models: ReadonlyArray<{ readonly name: string; readonly state: string }> }
    assert.deepStrictEqual(index.models.map(({ name, state }) => [name, state]), [
      ["digits-denoise", "READY"], ["digits-features", "READY"], ["lenet-digits", "READY"], ["ranking-batch", "READY"]
    ])
    assert.include((await glet.run(["models", ...at])).stdout, "lenet-digits")

    const bench = await glet.run(["bench", "lenet-digits", "--rate", "50", "--n", "60", "--warm-up", "0.2", "--json", ...at])
    assert.strictEqual(bench.code, 0, bench.stderr)
    const report = JSON.parse(bench.stdout) as {
      readonly apiVersion: string
      readonly requests: number
      readonly answered: number
      readonly setup: { readonly sloMs: number }
      readonly latencyMs: { readonly p99Ms: number }
    }
    assert.strictEqual(report.apiVersion, "glet/v1alpha1")
    assert.strictEqual(report.requests, 60)
    assert.isAtLeast(report.answered, 1)
    assert.strictEqual(report.setup.sloMs, 5000, "the model's own SLO, from the flag of serve")
    assert.isAbove(report.latencyMs.p99Ms, 0)

    const scenario = path.join(glet.folder, "scenario.json")
    const poisson = (rateRps: number) => ({ process: "poisson", rateRps })
    fs.writeFileSync(scenario, JSON.stringify({
      apiVersion: "glet/v1alpha1", kind: "Scenario", models: [{ name: "lenet-digits", sloMs: 5000 }, { name: "ranking-batch", sloMs: 5000 }],
      applications: [{ name: "both", sloMs: 5000, steps: [{ id: "digit", model: "lenet-digits" }, { id: "rank", model: "ranking-batch", after: ["digit"] }] }],
      loads: [{ application: "both", arrivals: poisson(20) }, { model: "ranking-batch", arrivals: poisson(10) }]
    }))
    const asked = await Promise.all(["1", "3"].map(async (threads) => {
      const played = await glet.run(["bench", "--scenario", scenario, "--load-factor", "2", "--duration", "1.5", "--warm-up", "0.3", "--threads", threads, "--json", ...at])
      assert.strictEqual(played.code, 0, played.stderr)
      const { loads, missed } = JSON.parse(played.stdout) as { readonly missed: number; readonly loads: ReadonlyArray<{ readonly name: string; readonly requests: number; readonly answered: number }> }
      assert.deepStrictEqual(loads.map(({ name }) => name), ["both", "ranking-batch"])
      for (const { answered, requests } of loads) assert.isTrue(requests > 0 && answered === requests)
      assert.strictEqual(missed, 0)
      return loads.map(({ requests }) => requests)
    }))
    assert.deepStrictEqual(asked[1], asked[0], "the same requests, however many threads send them")

    fs.writeFileSync(path.join(glet.folder, "rates"), "40\n80\n")
    const csv = await glet.run([
      "bench", "ranking-batch", "--rate-file", path.join(glet.folder, "rates"), "--period", "0.5", "--warm-up", "0", "--body", "binary", "--batch", "2",
      "--distribution", "uniform", "--csv", "-", ...at
    ])
    assert.strictEqual(csv.code, 0, csv.stderr)
    const [head, ...rows] = csv.stdout.trim().split("\n").map((line) => line.split(","))
    assert.deepStrictEqual(rows.map((row) => [row[0], row[1]]), [["0", "40"], ["0.5", "80"]])
    for (const row of rows) assert.strictEqual(row.length, head!.length)
    const text = await glet.run(["bench", "no-such-model", ...at])
    assert.strictEqual(text.code, 1)
    assert.match(text.stderr, /answered 404: .*no-such-model/)

    const status = await glet.run(["status", "--json", ...at])
    const decoded = Schema.decodeUnknownSync(Schema.parseJson(SchedulerStatus))(status.stdout)
    const lenet = decoded.models.find((model) => model.model === "lenet-digits")!
    assert.isAtLeast(lenet.answered, report.answered)
    assert.strictEqual(decoded.models.find((model) => model.model === "digits-denoise")!.serviceClass, "best-effort")
    assert.include((await glet.run(["status", ...at])).stdout, "lenet-digits")
    const watched = glet.start(["status", "--watch", "--json", "--interval", "0.1", ...at])
    await watched.line((line) => line.startsWith("{"))
    watched.process.kill("SIGINT")
    const watchEnd = await watched.ended
    assert.strictEqual(watchEnd.code, 130)
    for (const line of watchEnd.stdout.trim().split("\n")) Schema.decodeUnknownSync(Schema.parseJson(SchedulerStatus))(line)

    const second = await glet.run(["serve", "--models", demoModels, "--port", new URL(ready.url).port, "--profile-budget", "100"])
    assert.strictEqual(second.code, 1)
    assert.strictEqual(second.stdout, "")
    assert.match(second.stderr, /glet serve: cannot listen on 127\.0\.0\.1:\d+: another process listens there; .*--port/)
    assert.notMatch(second.stderr, /\n\s+at /)

    const runners = decoded.glets.flatMap((one) => (one.pid === undefined ? [] : [one.pid]))
    assert.isNotEmpty(runners)
    server.process.kill("SIGTERM")
    const ended = await server.ended
    assert.strictEqual(ended.code, 0, ended.stderr)
    assert.strictEqual(ended.stdout.trim().split("\n").length, 1, "one line on stdout")
    assert.match(ended.stderr, /draining/)
    for (const pid of runners) assert.isFalse(isAlive(pid), "no runner outlives its server")
    const refused = await glet.run(["status", ...at])
    assert.strictEqual(refused.code, 1)
  }, 120_000)

  it.skipIf(process.platform !== "linux")("reads requests in fronts, which end with it, however it ends", async () => {
    const childrenOf = (pid: number): Array<number> =>
      fs.readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ").map(Number).filter((child) => child > 0)
    const isFront = (pid: number): boolean => fs.readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("front.js")
    for (const signal of ["SIGTERM", "SIGKILL"] as const) {
      const { ready, server } = await serving(["--fronts", "2", "--slo", "lenet-digits=5000"])
      const processes = childrenOf(ready.pid)
      assert.strictEqual(processes.filter(isFront).length, Math.min(2, os.availableParallelism()))
      const bench = await glet.run(["bench", "lenet-digits", "--rate", "50", "--n", "50", "--warm-up", "0.2", "--json", "--server", ready.url])
      assert.strictEqual(bench.code, 0, bench.stderr)
      assert.strictEqual((JSON.parse(bench.stdout) as { readonly answered: number }).answered, 50)
      const page = await (await fetch(`${ready.url}/metrics`)).text()
      assert.match(page, /nv_inference_request_success\{model="lenet-digits",version="1"\} [5-9]\d\n/)
      server.process.kill(signal)
      const ended = await server.ended
      assert.strictEqual(ended.code, signal === "SIGTERM" ? 0 : "SIGKILL", ended.stderr)
      for (let i = 0; i < 500 && processes.some(isAlive); i++) await new Promise((resolve) => setTimeout(resolve, 10))
      assert.isFalse(processes.some(isAlive), `no process outlives its server's ${signal}`)
    }
    const wrong = await glet.run(["serve", "--models", demoModels, "--fronts", "many"])
    assert.strictEqual(wrong.code, 2)
    assert.include(wrong.stderr, "--fronts many: expected a whole number, or auto")
  }, 120_000)

  it("a broken model is named and the others are served", async () => {
    const folder = fs.mkdtempSync(path.join(glet.folder, "models-"))
    fs.copyFileSync(path.join(demoModels, "lenet-digits.onnx"), path.join(folder, "good.onnx"))
    fs.writeFileSync(path.join(folder, "bad.onnx"), "this is no model")
    const server = glet.start(["serve", "--models", folder, "--port", "0", "--profile-budget", "100"])
    const line = await server.line((text) => text.startsWith("glet serving"))
    assert.match(line, /^glet serving 1 of 2 models on http:\/\/127\.0\.0\.1:\d+/)
    const url = /http:\S+?(?=[ ;]|$)/.exec(line)![0]
    const models = await glet.run(["models", "--server", url])
    assert.match(models.stdout, /bad\s+.*UNAVAILABLE\s+.*bad\.onnx/)
    server.process.kill("SIGINT")
    assert.strictEqual((await server.ended).code, 0)
  }, 180_000)

  it("profile, plan and run work without a server; emulated glets replay the profile", async () => {
    const file = path.join(glet.folder, "cpu.json")
    const profile = await glet.run(["profile", "--models", demoModels, "--only", "lenet-digits", "--only", "ranking-batch", "--budget", "100", "--output", file, "--json"])
    assert.strictEqual(profile.code, 0, profile.stderr)
    const measured = Schema.decodeUnknownSync(Schema.parseJson(Profile))(profile.stdout)
    assert.deepStrictEqual(measured.models.map(({ model }) => model).sort(), ["lenet-digits", "ranking-batch"])
    assert.deepStrictEqual(JSON.parse(fs.readFileSync(file, "utf8")), JSON.parse(profile.stdout))

    const one = fs.mkdtempSync(path.join(glet.folder, "one-"))
    fs.copyFileSync(path.join(demoModels, "lenet-digits.onnx"), path.join(one, "lenet-digits.onnx"))
    const plan = await glet.run(["plan", "--models", one, "--slo", "lenet-digits=1000", "--json"])
    assert.strictEqual(plan.code, 0, plan.stderr)
    const made = Schema.decodeUnknownSync(Schema.parseJson(Plan))(plan.stdout)
    assert.deepStrictEqual(made.gpus.flatMap((gpu) => gpu.glets).flatMap((glet) => glet.assignments).map(({ model }) => model)[0], "lenet-digits")
    fs.copyFileSync(path.join(demoModels, "digits-denoise.onnx"), path.join(one, "never-measured.onnx"))
    // A file that was measured under another name counts as measured: a description (ModelProto.doc_string) makes it another file.
    fs.appendFileSync(path.join(one, "never-measured.onnx"), "\x32\x05other")
    const unmeasured = await glet.run(["plan", "--models", one])
    assert.strictEqual(unmeasured.code, 3)
    assert.match(unmeasured.stderr, /"never-measured" has no profile for cpu; measure it with glet profile/)

    const run = await glet.run(["run", path.join(one, "lenet-digits.onnx"), "--n", "20", "--batch", "4", "--interval", "1", "--json"])
    assert.strictEqual(run.code, 0, run.stderr)
    const report = JSON.parse(run.stdout) as { readonly executionMs: { readonly count: number; readonly p50Ms: number }; readonly latencyMs: { readonly count: number } }
    assert.strictEqual(report.executionMs.count, 20)
    assert.strictEqual(report.latencyMs.count, 20)
    assert.isAbove(report.executionMs.p50Ms, 0)

    fs.rmSync(path.join(one, "never-measured.onnx"))
    fs.copyFileSync(path.join(demoModels, "ranking-batch.onnx"), path.join(one, "ranking-batch.onnx"))
    const server = glet.start(["serve", "--models", one, "--port", "0", "--executor", "emulated", "--emulate", file, "--gpus", "2", "--profile-budget", "100", "--json", "--class", "ranking-batch=best-effort", "--slo", "lenet-digits=1000", "--preempt", "0.5"])
    const { url } = decodeReady(await server.line((line) => line.startsWith("{")))
    const status = Schema.decodeUnknownSync(Schema.parseJson(SchedulerStatus))((await glet.run(["status", "--json", "--server", url])).stdout)
    assert.strictEqual(status.executor, "emulated")
    assert.strictEqual(status.plan.gpus.length, 2)
    const over = status.plan.gpus.flatMap((gpu) => gpu.glets).filter(({ overlay }) => overlay === true)
    assert.isAbove(over.length, 0, "what gives way is laid over")
    for (const { bestEffort } of over) assert.deepStrictEqual((bestEffort ?? []).map(({ model }) => model), ["ranking-batch"])
    server.process.kill("SIGTERM")
    assert.strictEqual((await server.ended).code, 0)
  }, 120_000)
})

describe("glet demo", () => {
  it("ends with one JSON line, and leaves nothing running", async () => {
    const { code, stderr, stdout } = await glet.run(["demo", "--json", "--duration", "1"])
    assert.strictEqual(code, 0, stderr)
    const summary = JSON.parse(stdout) as Readonly<Record<string, unknown>>
    assert.deepStrictEqual(Object.keys(summary), ["accuracy", "requests", "sloKept", "dropped", "p50Ms", "p99Ms", "glets", "planner"])
    assert.isAtLeast(Number(summary["accuracy"]), 0.99)
    assert.isAtLeast(Number(summary["requests"]), 400)
    assert.isTrue(Number(summary["sloKept"]) >= 0 && Number(summary["sloKept"]) <= 1)
    assert.strictEqual(summary["planner"], "orion")
    assert.match(stderr, /Digits read right/)
  }, 120_000)
})
