/** Offline jobs, through the command and a real server: whatever kills one, nothing is lost and nothing answered twice. */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import * as path from "node:path"
import { gzipSync } from "node:zlib"
import type { Glet, Running } from "./support/glet.js"
import { buildGlet } from "./support/glet.js"
import { identityModel, int64Model } from "../support/onnx.js"

let glet: Glet
let models: string
beforeAll(async () => {
  glet = await buildGlet()
  models = path.join(glet.folder, "models")
  fs.mkdirSync(models)
  fs.writeFileSync(path.join(models, "echo.onnx"), identityModel(2))
  fs.writeFileSync(path.join(models, "plus-one.onnx"), int64Model())
})
afterAll(() => glet.close())

const serve = async (port = 0, serviceClass = "best-effort"): Promise<{ readonly server: Running; readonly url: string; readonly port: number }> => {
  const server = glet.start(["serve", "--models", models, "--port", String(port), "--profile-budget", "50", "--class", `echo=${serviceClass}`, "--json"])
  const { url } = JSON.parse(await server.line((line) => line.startsWith("{"))) as { readonly url: string }
  return { server, url, port: Number(new URL(url).port) }
}

const request = (k: number): string => JSON.stringify({ id: `r${k}`, inputs: [{ name: "x", datatype: "FP32", shape: [1, 2], data: [k, 2 * k] }] })
const lines = (from: number, count: number): string => Array.from({ length: count }, (_, i) => `${request(from + i)}\n`).join("")
const file = (name: string, content: string | Buffer): string => {
  const at = path.join(glet.folder, name)
  fs.mkdirSync(path.dirname(at), { recursive: true })
  fs.writeFileSync(at, content)
  return at
}
interface Answer {
  readonly id?: string
  readonly error?: string
  readonly status?: number
  readonly outputs?: ReadonlyArray<{ readonly data: ReadonlyArray<number> }>
}
const answersIn = (...parts: ReadonlyArray<string>): ReadonlyArray<Answer> => {
  const text = fs.readFileSync(path.join(...parts), "utf8")
  assert.isTrue(text.endsWith("\n"))
  return text.slice(0, -1).split("\n").map((line) => JSON.parse(line) as Answer)
}
const assertEchoes = (answers: ReadonlyArray<Answer>, from: number, count: number): void =>
  assert.deepStrictEqual(answers.map(({ id, outputs }) => [id, outputs?.[0]?.data]), Array.from({ length: count }, (_, i) => [`r${from + i}`, [from + i, 2 * (from + i)]]))
const waitFor = async (what: string, holds: () => boolean): Promise<void> => {
  for (let i = 0; i < 2000; i++) {
    if (holds()) return
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  assert.fail(`${what} never came`)
}
const sizeOf = (at: string): number => (fs.existsSync(at) ? fs.statSync(at).size : 0)

describe("glet batch", () => {
  it("answers files and folders line by line, in order, and says which requests are at fault", async () => {
    const { server, url } = await serve()
    const input = file("mixed/a.jsonl", `${lines(0, 40)}not json\n{"inputs": []}\n\n${lines(40, 10)}`)
    file("mixed/deep/b.jsonl.gz", gzipSync(lines(100, 30)))
    file("mixed/deep/one.json", `{\n ${request(7).slice(1)}`)
    file("mixed/readme.txt", "no request")
    const output = path.join(glet.folder, "answers")
    const ended = await glet.run(["batch", "--model", "echo", "--input", path.join(glet.folder, "mixed"), "--output", output, "--server", url, "--json"])
    assert.strictEqual(ended.code, 1, ended.stderr)
    assert.include(ended.stderr, "2 requests have an error as their answer")
    const report = JSON.parse(ended.stdout) as Record<string, unknown>
    assert.deepInclude(report, { kind: "BatchReport", model: "echo", complete: true, answered: 83, failed: 2, answeredBefore: 0 })
    const answers = answersIn(output, "a.jsonl")
    assertEchoes([...answers.slice(0, 40), ...answers.slice(42)], 0, 50)
    assert.include(answers[40]!.error, "not JSON")
    assert.strictEqual(answers[41]!.status, 400)
    assertEchoes(answersIn(output, "deep/b.jsonl"), 100, 30)
    assertEchoes(answersIn(output, "deep/one.json"), 7, 1)

    const again = await glet.run(["batch", "--model", "echo", "--input", path.join(glet.folder, "mixed"), "--output", output, "--server", url, "--json"])
    assert.deepInclude(JSON.parse(again.stdout), { answered: 0, answeredBefore: 83, failed: 0, failedBefore: 2, complete: true })
    assert.strictEqual(again.code, 1, "what has an error is not answered for being asked again")
    assert.strictEqual(answersIn(output, "a.jsonl").length, 52)

    fs.appendFileSync(input, `${request(99)}\n`)
    const changed = await glet.run(["batch", "--model", "echo", "--input", input, "--output", output, "--server", url])
    assert.strictEqual(changed.code, 1)
    assert.include(changed.stderr, "has changed")

    // Integers that no floating-point number is.
    const large = file("large.jsonl", '{"parameters": {"timeout": 60000000}, "inputs": [{"name": "x", "datatype": "INT64", "shape": [1, 2], "data": [9007199254740993, -9007199254740995]}]}')
    const plus = await glet.run(["batch", "--model", "plus-one", "--input", large, "--output", path.join(glet.folder, "large"), "--server", url])
    assert.strictEqual(plus.code, 0, plus.stderr)
    assert.include(fs.readFileSync(path.join(glet.folder, "large", "large.jsonl"), "utf8"), "[9007199254740994,-9007199254740994]")
    server.process.kill("SIGTERM")
    await server.ended
  }, 180_000)

  it("goes on after kill -9, and after its server's, with nothing lost and nothing twice", async () => {
    const first = await serve()
    const count = 1200
    const input = file("long.jsonl", lines(0, count))
    const output = path.join(glet.folder, "long")
    const answers = path.join(output, "long.jsonl")
    const start = () => glet.start(["batch", "--model", "echo", "--input", input, "--output", output, "--server", first.url, "--concurrency", "4", "--patience", "60", "--json"])

    const killed = start()
    await waitFor("some answers", () => sizeOf(answers) > 10_000)
    killed.process.kill("SIGKILL")
    await killed.ended
    const before = fs.readFileSync(answers, "utf8").split("\n").length - 1
    assert.isBelow(before, count)
    // What a kill may leave of a line.
    fs.appendFileSync(answers, '{"id":"r')

    const second = start()
    await waitFor("more answers", () => sizeOf(answers) > 30_000)
    const other = await glet.run(["batch", "--model", "echo", "--input", input, "--output", output, "--server", first.url])
    assert.strictEqual(other.code, 1)
    assert.include(other.stderr, `process ${second.process.pid} works on the output folder`)
    first.server.process.kill("SIGKILL")
    await first.server.ended
    const { server } = await serve(first.port)
    const ended = await second.ended
    assert.strictEqual(ended.code, 0, ended.stderr)
    assert.deepInclude(JSON.parse(ended.stdout), { answered: count - before, answeredBefore: before, failed: 0, complete: true })
    assertEchoes(answersIn(answers), 0, count)
    server.process.kill("SIGTERM")
    await server.ended
  }, 90_000)

  it("is best-effort work of a latency-critical model too, which its rate and its numbers do not know of", async () => {
    const { server, url } = await serve(0, "latency-critical")
    const input = file("critical.jsonl", lines(0, 300))
    const output = path.join(glet.folder, "critical")
    const [asked] = await Promise.all([
      fetch(`${url}/v2/models/echo/infer`, { method: "POST", body: request(1) }),
      glet.run(["batch", "--model", "echo", "--input", input, "--output", output, "--server", url])
    ])
    assert.strictEqual(asked.status, 200)
    assertEchoes(answersIn(output, "critical.jsonl"), 0, 300)
    const status = await (await fetch(`${url}/glet/v1alpha1/status`)).json() as { readonly models: ReadonlyArray<{ readonly answered: number; readonly rateRps: number; readonly bestEffort: { readonly answered: number } }> }
    assert.strictEqual(status.models[0]!.answered, 1)
    assert.strictEqual(status.models[0]!.bestEffort.answered, 300)
    assert.isBelow(status.models[0]!.rateRps, 20)
    const statistics = await (await fetch(`${url}/v2/models/echo/stats`)).json() as { readonly model_stats: ReadonlyArray<{ readonly inference_count: number; readonly best_effort: { readonly inference_count: number } }> }
    assert.deepInclude(statistics.model_stats[0], { inference_count: 1 })
    assert.strictEqual(statistics.model_stats[0]!.best_effort.inference_count, 300)
    const metrics = await (await fetch(`${url}/metrics`)).text()
    assert.include(metrics, 'nv_inference_count{model="echo",version="1"} 1\n')
    assert.include(metrics, 'nv_inference_count{model="echo",version="1",service_class="best-effort"} 300\n')
    server.process.kill("SIGTERM")
    await server.ended
  }, 180_000)

  it("refuses what it cannot do, before anything is begun", async () => {
    const { server, url } = await serve()
    const one = file("x/q.jsonl", lines(0, 1))
    const two = file("y/q.jsonl", lines(0, 1))
    const output = path.join(glet.folder, "none")
    const run = (args: ReadonlyArray<string>) => glet.run(["batch", "--output", output, "--server", url, ...args])
    for (const [args, code, message] of [
      [["--model", "echo"], 2, "--input is missing"],
      [["--model", "other", "--input", one], 1, 'other'],
      [["--model", "echo", "--input", path.join(glet.folder, "missing.jsonl")], 1, "it does not exist"],
      [["--model", "echo", "--input", one, "--input", two], 1, "would both be answered in"],
      [["--model", "echo", "--input", models], 1, "holds no .json"],
      [["--model", "echo", "--input", glet.folder], 1, "is inside of the input folder"]
    ] as const) {
      const ended = await run(args)
      assert.strictEqual(ended.code, code, ended.stderr)
      assert.include(ended.stderr, message)
      assert.isFalse(fs.existsSync(output), message)
    }
    server.process.kill("SIGTERM")
    await server.ended
    const away = await run(["--model", "echo", "--input", one])
    assert.strictEqual(away.code, 1)
    assert.include(away.stderr, "no server answers")
  }, 180_000)
})
