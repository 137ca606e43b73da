/** The host worker: scheduler, traffic and executor of one world. It begins with a `start` message and ends with the worker. */
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Scope from "effect/Scope"
import * as Host from "../../Host.js"
import type { FromHost, ToHost } from "../../Messages.js"
import * as ReplayWorld from "../../ReplayWorld.js"
import type { World } from "../../World.js"
import * as DeviceWorld from "../../DeviceWorld.js"
import * as Profiler from "../../../core/ProfilerLive.js"
import type { WebWorker } from "../../../webgpu/WorkerLink.js"
import { linkOf } from "../../../webgpu/WorkerLink.js"
import { replayProfile } from "./replayProfile.js"
import type { Connect } from "../../Lending.js"
import type { EdgeSocket, WebSocketLike } from "../../../edge/EdgeSocket.js"
import { webSocket } from "../../../edge/EdgeSocket.js"
import { startTaskWorkers } from "./startTaskWorkers.js"

type Start = Extract<ToHost, { readonly kind: "start" }>

const post = (message: FromHost): void => postMessage(message)
const waiting: Array<ToHost> = []
let receive: (message: ToHost) => void = (message) => void waiting.push(message)

const worldOf = ({ provider, workers, world }: Start): Effect.Effect<World> =>
  world === "replay"
    ? Effect.map(replayProfile, ReplayWorld.make)
    : DeviceWorld.make({
      address: (path) => new URL(`/${path}`, location.origin).href,
      startWorker: () => linkOf(new Worker(workers.glet, { type: "module", name: "glet" }) as unknown as WebWorker),
      provider
    })

/** Completes when the socket is open. */
const connect: Connect = (address, protocols) =>
  Effect.async<EdgeSocket, string>((resume) => {
    const socket = new WebSocket(address, protocols)
    const edge = webSocket(socket as unknown as WebSocketLike)
    // What the server says at once, e.g. that the token is wrong, comes as the end of an open socket.
    socket.addEventListener("open", () => resume(Effect.succeed(edge)))
    socket.addEventListener("close", ({ code, reason }) => resume(Effect.fail(reason === "" ? `${address} does not answer as a server that takes edge nodes (${code})` : reason)))
    return Effect.sync(() => socket.close())
  })

/** Time to measure one model, ms: enough for a plan that holds, short enough to wait for. */
const measureMs = 200

const measure: Host.Measure = ({ model, sha256 }, gpu, onProgress) =>
  Effect.flatMap(Profiler.make(), (profiler) => profiler.profile({ model, gpu, sha256, budgetMs: measureMs, onProgress }))

const start = (message: Start) =>
  Effect.gen(function*() {
    const startWorker = startTaskWorkers(message.workers.planner)
    const world = yield* worldOf(message)
    const scope = yield* Scope.make()
    receive = yield* Host.run({
      world, planner: message.planner, traffic: message.traffic, profiles: message.profiles, post, startWorker,
      measure, connect
    }).pipe(Scope.extend(scope))
    for (const early of waiting.splice(0)) receive(early)
  }).pipe(
    Effect.catchAllCause((cause) => Effect.sync(() => post({ kind: "broken", detail: String(cause) }))),
    Logger.withMinimumLogLevel(LogLevel.Warning)
  )

addEventListener("message", ({ data }: MessageEvent<ToHost>) => {
  if (data.kind === "start") Effect.runFork(start(data))
  else receive(data)
})
