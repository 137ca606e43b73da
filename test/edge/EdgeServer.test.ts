/** A server that takes edge nodes, over real sockets. */
import { afterAll, assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Schema from "effect/Schema"
import * as fs from "node:fs"
import * as http from "node:http"
import * as net from "node:net"
import * as os from "node:os"
import * as path from "node:path"
import { WebSocket } from "ws"
import { lenetProblem } from "../../src/cli/demo/lenetLogits.js"
import { renderStatus } from "../../src/cli/commands/status.js"
import { layerServing } from "../../src/cli/compose.js"
import { Executor } from "../../src/core/Executor.js"
import { unsafeModelName } from "../../src/core/Ids.js"
import { gletsOf } from "../../src/core/Plan.js"
import * as EdgeNode from "../../src/edge/EdgeNode.js"
import { edgePath, edgeProtocol, encodeFrame, maxFrameBytes, protocolsFor } from "../../src/edge/EdgeProtocol.js"
import { webSocket } from "../../src/edge/EdgeSocket.js"
import type { WebSocketLike } from "../../src/edge/EdgeSocket.js"
import * as CpuExecutor from "../../src/node-cuda/CpuExecutor.js"
import { cpuGpu } from "../../src/node-cuda/CpuInventory.js"
import { Scheduler } from "../../src/scheduler/Scheduler.js"
import { SchedulerStatus } from "../../src/scheduler/SchedulerStatus.js"
import { HttpServer } from "../../src/server/HttpServer.js"
import { ModelCatalog } from "../../src/server/ModelCatalog.js"
import { defaultConfig } from "../../src/server/ServerConfig.js"
import { lenetDigits, lenetModel } from "../contract/lenet.js"
import { makeModel } from "../support/onnx.js"

const folder = fs.mkdtempSync(path.join(os.tmpdir(), "glet-edge-server-"))
fs.mkdirSync(path.join(folder, "models"))
fs.copyFileSync(lenetModel.path, path.join(folder, "models/lenet.onnx"))
afterAll(() => fs.rmSync(folder, { recursive: true, force: true }))

const token = "a token of more than sixteen letters"
const sloMs = 2000
const lenetName = unsafeModelName("lenet")
/** More than this machine can carry alone. */
const expectedRps = 50_000

const servingOf = (models: string, name: string) => Layer.unwrapEffect(layerServing({
  executor: "cpu", isolation: "auto", cores: 1, planner: "orion", directory: path.join(folder, models), profiles: path.join(folder, "profiles"), profileBudget: 300,
  config: { ...defaultConfig, port: 0 }, onProgress: () => {}, edge: { token, origins: ["https://allowed.example"] },
  overrides: new Map([[name, { sloMs, rateRps: expectedRps, maxBatch: 4, edge: true }]])
})).pipe(Layer.orDie, Layer.provide(Logger.remove(Logger.defaultLogger)))

const withServer = <A, E>(body: (port: number, scheduler: typeof Scheduler.Service) => Effect.Effect<A, E>, models = "models", name = "lenet") =>
  Effect.gen(function*() {
    const services = yield* Layer.build(servingOf(models, name))
    yield* Context.get(services, ModelCatalog).settled
    return yield* body(Context.get(services, HttpServer).port, Context.get(services, Scheduler))
  }).pipe(Effect.scoped)

interface Dialled {
  readonly socket: WebSocket
  /** How it ended: a close code, or the status of the HTTP answer. */
  readonly ended: Promise<string>
}

const dial = (port: number, protocols: Array<string>, options: { readonly origin?: string } = {}): Dialled => {
  const socket = new WebSocket(`ws://127.0.0.1:${port}${edgePath}`, protocols, options)
  return {
    socket,
    ended: new Promise((resolve) => {
      socket.on("unexpected-response", (_, response) => {
        resolve(`HTTP ${response.statusCode}`)
        socket.terminate()
      })
      socket.on("error", () => {})
      socket.on("close", (code, reason) => resolve(`${code} ${reason.toString()}`.trim()))
    })
  }
}

const opened = (socket: WebSocket) => Effect.async<void>((resume) => void socket.on("open", () => resume(Effect.void)))

/** Asks for a digit; the answer's number, or the status where there is none, or what is wrong with its numbers. */
const ask = (port: number, digit: number): Promise<number | string> =>
  new Promise((resolve) => {
    const body = JSON.stringify({ inputs: [{ name: "input", datatype: "FP32", shape: [1, 1, 28, 28], data: Array.from(lenetDigits().images[digit]!) }] })
    const request = http.request({ host: "127.0.0.1", port, path: "/v2/models/lenet/infer", method: "POST", headers: { "content-length": Buffer.byteLength(body) } }, (response) => {
      let text = ""
      response.on("data", (part: Buffer) => void (text += part.toString()))
      response.on("end", () => {
        if (response.statusCode !== 200) return resolve(`${response.statusCode} ${text.slice(0, 200)}`)
        const data = (JSON.parse(text) as { readonly outputs: ReadonlyArray<{ readonly data: ReadonlyArray<number> }> }).outputs[0]!.data
        resolve(lenetProblem(digit, data) ?? data.indexOf(Math.max(...data)))
      })
    })
    request.on("error", (error) => resolve(error.message))
    request.end(body)
  })

const statusOf = (port: number) =>
  Effect.promise(async () => Schema.decodeUnknownSync(SchedulerStatus)(await (await fetch(`http://127.0.0.1:${port}/glet/v1alpha1/status`)).json()))
const metricsOf = (port: number) => Effect.promise(async () => (await fetch(`http://127.0.0.1:${port}/metrics`)).text())
/** The value of a series; NaN where it is not there. */
const valueOf = (page: string, series: string): number => Number(page.split("\n").find((line) => line.startsWith(`${series} `))?.slice(series.length))

let kept = 0
const keep = (bytes: Uint8Array) => {
  const file = path.join(folder, `${kept++}.onnx`)
  fs.writeFileSync(file, bytes)
  return { path: file, release: () => fs.rmSync(file) }
}

const edgeGlets = (scheduler: typeof Scheduler.Service) =>
  Effect.map(scheduler.plan, (plan) => gletsOf(plan).filter(({ gpu, glet }) => gpu.gpu === "edge:desk" && glet.assignments.length > 0).length)

/** Announces more than this machine can carry alone, until the plan uses the node; what was announced is forgotten as requests do not come. */
const needAll = (scheduler: typeof Scheduler.Service, model = lenetName, rps = expectedRps): Effect.Effect<void> =>
  Effect.gen(function*() {
    yield* scheduler.amend(model, { expectedRateRps: rps })
    if ((yield* edgeGlets(scheduler)) > 0) return
    yield* Effect.sleep(100)
    yield* needAll(scheduler, model, rps)
  })

/** Joins the server with a core of this machine, until the scope closes. */
const join = (port: number) =>
  Effect.gen(function*() {
    const { socket } = dial(port, protocolsFor(token), { origin: "http://localhost:4840" })
    yield* opened(socket)
    const cpu = yield* CpuExecutor.make({ engine: "ort-c" })
    const node = yield* Effect.fork(Effect.provideService(
      EdgeNode.run({ socket: webSocket(socket as unknown as WebSocketLike), name: "desk", gpu: cpuGpu({ cores: 1 }), device: "a desk", keep }), Executor, cpu))
    return { socket, node }
  })

describe("a server with edge nodes", { timeout: 60_000 }, () => {
  it.live("takes nobody without the token, from another origin's page, or without manners", () =>
    withServer((port) => Effect.gen(function*() {
      const endOf = (dialled: Dialled) => Effect.promise(() => dialled.ended)
      for (const protocols of [protocolsFor(`${token} `), protocolsFor("x"), [edgeProtocol], [edgeProtocol, "token."]]) {
        assert.strictEqual(yield* endOf(dial(port, protocols)), "4401 the token is not right")
      }
      assert.strictEqual(yield* endOf(dial(port, protocolsFor(token), { origin: "https://elsewhere.example" })), "HTTP 403")
      const nowhere = new WebSocket(`ws://127.0.0.1:${port}/glet/v1alpha1/other`)
      const status = yield* Effect.promise(() => new Promise((resolve) => void nowhere.on("unexpected-response", (_, { statusCode }) => resolve(statusCode))))
      assert.strictEqual(status, 404)
      nowhere.on("error", () => {}).terminate()
      const withFrames = (...frames: ReadonlyArray<string | Uint8Array>) =>
        Effect.gen(function*() {
          const dialled = dial(port, protocolsFor(token), { origin: "https://allowed.example" })
          yield* opened(dialled.socket)
          for (const frame of frames) dialled.socket.send(frame)
          return yield* endOf(dialled)
        })
      assert.match(yield* withFrames("text"), /^4400 a frame of 0 bytes/)
      assert.match(yield* withFrames(new Uint8Array(1000)), /^4400 a header that is not JSON/)
      const hello = encodeFrame({ t: "hello", name: "rude", device: "", memoryBytes: 1e9, sharesPct: [100] })
      assert.match(yield* withFrames(hello, new Uint8Array([9, 9, 9, 9, 9])), /^4400 a header of/)
      assert.strictEqual(yield* withFrames(hello, new Uint8Array(maxFrameBytes + 1)), "1009")
      // What is no WebSocket at all.
      const raw = yield* Effect.promise(() => new Promise<string>((resolve) => {
        let text = ""
        const socket = net.connect(port, "127.0.0.1", () => socket.write(`GET ${edgePath} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n`))
        socket.on("data", (part) => void (text += part.toString()))
        socket.on("close", () => resolve(text))
      }))
      assert.match(raw, /^HTTP\/1.1 400/)
      // And all the while it serves.
      assert.strictEqual(yield* Effect.promise(() => ask(port, 0)), lenetDigits().labels[0])
    })))

  it.live("plans on a node that joins, and loses no request when it goes away under load", () =>
    withServer((port, scheduler) => Effect.gen(function*() {
      const { node, socket } = yield* join(port)
      yield* needAll(scheduler)

      let served = 0
      yield* scheduler.observe({ batchEnded: ({ gpu, ok }) => void (served += gpu === "edge:desk" && ok ? 1 : 0) })
      const answers: Array<Promise<number | string>> = []
      const load = (requests: number) =>
        Effect.gen(function*() {
          for (let i = 0; i < requests; i++) {
            answers.push(ask(port, answers.length % 500))
            yield* Effect.sleep(8)
          }
        })
      yield* load(60)
      while (served === 0) {
        yield* load(10)
        yield* needAll(scheduler)
      }
      const before = yield* metricsOf(port)
      const { edge: { nodes: [desk] = [] } = {} } = yield* statusOf(port)
      assert.strictEqual(desk!.name, "desk")
      assert.strictEqual(desk!.device, "a desk")
      assert.isAtLeast(desk!.batches, served)
      assert.isAtLeast(desk!.glets, 1)
      assert.isAbove(desk!.sent.bytes, fs.statSync(lenetModel.path).size, "its model was sent")
      assert.isAtLeast(desk!.received.frames, desk!.batches)
      assert.strictEqual(valueOf(before, "glet_edge_nodes"), 1)
      assert.strictEqual(valueOf(before, "glet_edge_joins_total"), 1)
      assert.strictEqual(valueOf(before, "glet_edge_losses_total{reason=\"disconnected\"}"), 0)
      // A burst, and the tab is closed while it is served.
      for (let i = 0; i < 40; i++) answers.push(ask(port, answers.length % 500))
      yield* Effect.sleep(10)
      socket.terminate()
      yield* load(60)
      const all = yield* Effect.promise(() => Promise.all(answers))
      const { labels } = lenetDigits()
      assert.deepStrictEqual(all.filter((answer) => typeof answer === "string"), [])
      assert.isAbove(all.filter((answer, i) => answer === labels[i % 500]).length / all.length, 0.97)
      yield* Fiber.join(node)
      while ((yield* edgeGlets(scheduler)) > 0) yield* Effect.sleep(50)
      const after = yield* metricsOf(port)
      assert.strictEqual(valueOf(after, "glet_edge_nodes"), 0)
      assert.strictEqual(valueOf(after, "glet_edge_losses_total{reason=\"disconnected\"}"), 1)
      for (const direction of ["sent", "received"]) {
        const series = `glet_edge_frames_total{direction="${direction}"}`
        assert.isAtLeast(valueOf(after, series), valueOf(before, series), "what is gone is not forgotten")
      }
      const text = renderStatus(yield* statusOf(port), "here", false)
      assert.match(text, /edge nodes: 0 now, 1 joined, 1 lost \(1 disconnected\); last desk, \d+ s ago: its connection ended/)
    }).pipe(Effect.scoped)))

  it.live("uses a node for a model whose requests somebody vouches can be joined, whatever they answer together", () => {
    fs.mkdirSync(path.join(folder, "vouched"))
    fs.writeFileSync(path.join(folder, "vouched/steps.onnx"), makeModel({
      inputs: [{ name: "x", shape: ["steps", 4] }], outputs: [{ name: "y", shape: ["steps", 4] }],
      nodes: [{ op: "Softmax", inputs: ["x"], outputs: ["y"], attributes: { axis: { i: 0 } } }]
    }))
    return withServer((port, scheduler) => Effect.gen(function*() {
      const { node, socket } = yield* join(port)
      yield* needAll(scheduler, unsafeModelName("steps"), 1e6)
      assert.isAtLeast(yield* edgeGlets(scheduler), 1)
      socket.terminate()
      yield* Fiber.interrupt(node)
    }).pipe(Effect.scoped), "vouched", "steps")
  })
})
