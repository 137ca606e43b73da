/** The larger part of the host worker: scheduler, traffic and executor of one world. It ends with the worker. */
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Scope from "effect/Scope"
import * as Host from "../../Host.js"
import type { Measure } from "../../HostOptions.js"
import type { FromHost, ToHost } from "../../Messages.js"
import * as ReplayWorld from "../../ReplayWorld.js"
import type { World } from "../../World.js"
import type { DeviceStart } from "../../DeviceStart.js"
import * as DeviceWorld from "../../DeviceWorld.js"
import * as Profiler from "../../../core/ProfilerLive.js"
import { replayProfile } from "./replayProfile.js"
import type { Connect } from "../../Lending.js"
import type { EdgeSocket, WebSocketLike } from "../../../edge/EdgeSocket.js"
import { webSocket } from "../../../edge/EdgeSocket.js"
import { startTaskWorkers } from "./startTaskWorkers.js"

export type Start = Extract<ToHost, { readonly kind: "start" }>

/** What was begun before this part was read. */
export interface Begun {
  /** Undefined where the world is no device. */
  readonly device: Promise<DeviceStart> | undefined
  /** Gives the planner's worker that was started already, then others. */
  readonly startPlanner: () => Worker
}

const worldOf = (device: Promise<DeviceStart> | undefined): Effect.Effect<World> =>
  device === undefined ? Effect.map(replayProfile, ReplayWorld.make) : Effect.map(Effect.promise(() => device), DeviceWorld.make)

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

const measure: Measure = ({ model, sha256 }, gpu, onProgress) =>
  Effect.flatMap(Profiler.make(), (profiler) => profiler.profile({ model, gpu, sha256, budgetMs: measureMs, onProgress }))

/** Runs the world that a message asks for; answers what takes the messages after it. */
export const run = (message: Start, begun: Begun, post: (message: FromHost) => void): Promise<(message: ToHost) => void> =>
  Effect.gen(function*() {
    const world = yield* worldOf(begun.device)
    const scope = yield* Scope.make()
    return yield* Host.run({
      world, planner: message.planner, traffic: message.traffic, profiles: message.profiles, post, startWorker: startTaskWorkers(begun.startPlanner),
      measure, connect
    }).pipe(Scope.extend(scope))
  }).pipe(
    Logger.withMinimumLogLevel(LogLevel.Warning),
    Effect.runPromise
  )
