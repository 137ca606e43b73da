/** How `glet serve` ends: killed, asked to, and asked twice. */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { build } from "esbuild"
import { spawn } from "node:child_process"
import { once } from "node:events"
import * as fs from "node:fs"
import { Agent } from "node:http"
import * as net from "node:net"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import type { Glet, Running } from "../cli/support/glet.js"
import { buildGlet } from "../cli/support/glet.js"
import { denseModel, identityModel } from "../support/onnx.js"
import { profileOf } from "./support/folder.js"
import { ask, startLoad, tally } from "./support/load.js"
import { isAlive, modelsOf, serve, until } from "./support/served.js"
import { statusAt } from "./support/stack.js"

let glet: Glet
beforeAll(async () => {
  glet = await buildGlet()
})
afterAll(() => glet.close())

const runnersAt = async (port: number): Promise<ReadonlyArray<number>> =>
  (await Effect.runPromise(statusAt(port))).glets.flatMap(({ pid }) => (pid === undefined ? [] : [pid]))

/** Completes when it says this on stderr. */
const saying = ({ process: { stderr } }: Running, words: string): Promise<void> =>
  new Promise((resolve) => {
    let text = ""
    stderr!.on("data", (chunk: Buffer) => {
      text += chunk.toString()
      if (text.includes(words)) resolve()
    })
  })

const readAll = async (socket: net.Socket): Promise<string> => {
  const chunks: Array<Buffer> = []
  for await (const chunk of socket) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString()
}

/** Without those of clients of other tests, which run meanwhile. */
const sharedFiles = (): ReadonlyArray<string> =>
  fs.existsSync("/dev/shm") ? fs.readdirSync("/dev/shm").filter((name) => !/^glet-(test|bench)-/.test(name)).sort() : []

describe("an agent that is killed under load", () => {
  it("leaves no process and no shared memory behind", async () => {
    const before = sharedFiles()
    const { port, server } = await serve(glet, modelsOf(glet, { "echo.onnx": identityModel(4), "dense.onnx": denseModel(2, 512) }))
    const runners = await runnersAt(port)
    assert.isNotEmpty(runners)
    const load = startLoad(port, [{ model: "echo", rateRps: 50, width: 4, echoes: true }, { model: "dense", rateRps: 30, width: 512, echoes: false }])
    await until("answers come", () => load.sent() > 20)
    server.process.kill("SIGKILL")
    assert.strictEqual((await server.ended).code, "SIGKILL")
    await until("no runner is left", () => runners.every((pid) => !isAlive(pid)))
    assert.deepStrictEqual(sharedFiles(), before)
    const outcomes = await load.stop()
    assert.isTrue(outcomes.every(({ reason }) => reason !== "hung"), tally(outcomes))
  }, 180_000)

  it("leaves no process behind where tensors go over sockets", async () => {
    const agent = path.join(glet.folder, "agent.mjs")
    await build({
      entryPoints: [fileURLToPath(new URL("support/agent.ts", import.meta.url))], outfile: agent, bundle: true, platform: "node", format: "esm",
      target: "node20", external: ["koffi", "onnxruntime-node", "onnxruntime-common"], logLevel: "error",
      banner: { js: "import { createRequire as gletCreateRequire } from 'node:module'; const require = gletCreateRequire(import.meta.url);" }
    })
    const models = modelsOf(glet, { "echo.onnx": identityModel(4) })
    const child = spawn(process.execPath, [agent, models, path.join(glet.folder, "bin", "runner.js")], { stdio: ["ignore", "pipe", "inherit"] })
    const said = await new Promise<string>((resolve, reject) => {
      child.stdout.once("data", (text: Buffer) => resolve(text.toString()))
      child.once("exit", (code) => reject(new Error(`it ended with ${code}`)))
    })
    const { pids, port } = JSON.parse(said) as { readonly pids: ReadonlyArray<number>; readonly port: number }
    assert.isNotEmpty(pids)
    const load = startLoad(port, [{ model: "echo", rateRps: 100, width: 4, echoes: true }])
    await until("answers come", () => load.sent() > 20)
    child.kill("SIGKILL")
    await until("no runner is left", () => pids.every((pid) => !isAlive(pid)))
    await load.stop()
  }, 180_000)
})

describe("signals", () => {
  /** A GPU on which an execution takes long. */
  const slowServer = async (itemMs: number, args: ReadonlyArray<string> = []) => {
    const file = identityModel(4)
    const profile = path.join(fs.mkdtempSync(path.join(glet.folder, "profile-")), "unit.json")
    fs.writeFileSync(profile, JSON.stringify(profileOf({ slow: { file, itemMs } })))
    return serve(glet, modelsOf(glet, { "slow.onnx": file }), [
      "--executor", "emulated", "--emulate", profile, "--slo", "slow=60000", "--rate", "slow=0.01", "--max-batch", "slow=1", ...args
    ])
  }
  const slow = { model: "slow", width: 4, echoes: false }
  const inFlight = async (port: number): Promise<number> => (await Effect.runPromise(statusAt(port))).models.reduce((sum, model) => sum + model.inFlight + model.queued, 0)

  it("SIGTERM answers what was accepted, refuses what is new, and ends with 0", async () => {
    const { port, server } = await slowServer(400)
    const agent = new Agent()
    const accepted = [1, 2, 3].map((mark) => ask(port, slow, mark, agent))
    await until("they are accepted", async () => await inFlight(port) === 3)
    // A connection that is in use when the server stops: the rest of its request comes later. The answer to what is sent with it says that it was read.
    const socket = net.connect(port, "127.0.0.1", () => socket.write("GET /v2/health/live HTTP/1.1\r\nHost: h\r\n\r\nPOST /v2/models/slow/infer HTTP/1.1\r\nHost: h\r\n"))
    const late = readAll(socket)
    await once(socket, "data")
    const drains = saying(server, "draining")
    server.process.kill("SIGTERM")
    await drains
    socket.write("Content-Length: 2\r\n\r\n{}")
    assert.match(await late, /^HTTP\/1\.1 200 .*HTTP\/1\.1 503 .*x-glet-unavailable-reason: draining.*connection: close/is)
    const outcomes = await Promise.all(accepted)
    assert.isTrue(outcomes.every(({ status }) => status === 200), tally(outcomes))
    const { code, stderr } = await server.ended
    assert.strictEqual(code, 0, stderr)
    assert.strictEqual((await ask(port, slow, 4, agent)).reason, `connect ECONNREFUSED 127.0.0.1:${port}`)
  }, 180_000)

  it("a second SIGTERM ends at once", async () => {
    const { port, server } = await slowServer(1000)
    const agent = new Agent()
    // Ten seconds' worth: the first may be answered before the second signal comes.
    const asked = Array.from({ length: 10 }, (_, mark) => ask(port, slow, mark, agent))
    await until("they are accepted", async () => await inFlight(port) > 5)
    server.process.kill("SIGTERM")
    // Both signals at once would be one to the process.
    await new Promise((resolve) => setTimeout(resolve, 300))
    assert.isNull(server.process.exitCode)
    server.process.kill("SIGTERM")
    assert.strictEqual((await server.ended).code, 143)
    assert.isTrue((await Promise.all(asked)).some(({ status }) => status === 0))
  }, 180_000)

  it("SIGTERM while models are still measured ends it too", async () => {
    // A file that no other test had measured.
    const models = modelsOf(glet, { "unknown.onnx": denseModel(2, 512, 99) })
    const server = glet.start(["serve", "--models", models, "--port", "0", "--profile-budget", "60000"])
    await saying(server, "1 to measure first")
    server.process.kill("SIGTERM")
    const { code, stderr } = await server.ended
    assert.strictEqual(code, 143, stderr)
    assert.notMatch(stderr, /\n\s+at /)
  }, 180_000)
})
