/** The life of a front process: spawned, ready, gone. However its scope closes, the process is gone afterwards. */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { ChildProcess } from "node:child_process"
import { spawn } from "node:child_process"
import * as fs from "node:fs"
import type { Socket } from "node:net"
import type { Duplex, Readable } from "node:stream"
import { fileURLToPath } from "node:url"
import { type ChannelMessage, type FrontSettings, linkFd, protocolVersion } from "./protocol.js"
import { FrontPeer, type FrontPeerContext } from "./frontPeer.js"

interface FrontOptions extends Omit<FrontPeerContext, "onMalformed" | "onReady"> {
  readonly settings: FrontSettings
  readonly segmentFd: number
  readonly startTimeoutMs: number
  /** A line that it wrote to its standard error. */
  readonly onLine: (line: string) => void
}

/** A front that takes connections. */
export interface FrontProcess {
  readonly peer: FrontPeer
  readonly pid: number
  /** How it ended. */
  readonly exited: Effect.Effect<string>
  /** Gives it a connection; `onLost` is called where that did not work. */
  readonly give: (socket: Socket, onLost: () => void) => void
  /** Asks it to answer what it has and to end. */
  readonly drain: () => void
}

/** Why there is none. */
export interface FrontStartFailure {
  readonly _tag: "FrontStartFailure"
  readonly detail: string
}

const failure = (detail: string): FrontStartFailure => ({ _tag: "FrontStartFailure", detail })

/** Beside this module where that is a bundle, else in the package's `dist`; undefined where nothing was built. */
const findFront = (): string | undefined =>
  ["./front.js", "../../../dist/front.js"].map((place) => fileURLToPath(new URL(place, import.meta.url))).find((file) => fs.existsSync(file))

/** A line that never ends is cut. */
const maxLine = 4096

const readLines = (stream: Readable, onLine: (line: string) => void): void => {
  let rest = ""
  stream.setEncoding("utf8")
  stream.on("data", (text: string) => {
    const lines = (rest + text).split("\n")
    rest = lines.pop()!.slice(0, maxLine)
    for (const line of lines) if (line !== "") onLine(line.slice(0, maxLine))
  })
  stream.on("end", () => {
    if (rest !== "") onLine(rest)
  })
}

interface Spawned {
  readonly child: ChildProcess
  readonly peer: FrontPeer
  readonly ready: Deferred.Deferred<number>
  readonly exited: Deferred.Deferred<string>
}

const spawnFront = (path: string, options: FrontOptions): Effect.Effect<Spawned, FrontStartFailure> =>
  Effect.gen(function*() {
    const ready = yield* Deferred.make<number>()
    const exited = yield* Deferred.make<string>()
    return yield* Effect.try({
      try: () => {
        const { NODE_OPTIONS: _, ...env } = process.env
        const child = spawn(process.execPath, [path, JSON.stringify(options.settings)], {
          env, stdio: ["ignore", "ignore", "pipe", "pipe", options.segmentFd, "ipc"], windowsHide: true
        })
        let killedFor: string | undefined
        const gone = (how: string) => Deferred.unsafeDone(exited, Effect.succeed(killedFor ?? how))
        readLines(child.stdio[2] as Readable, options.onLine)
        const peer = new FrontPeer(child.stdio[linkFd] as Duplex, {
          ...options,
          onReady: (protocol) => Deferred.unsafeDone(ready, Effect.succeed(protocol)),
          onMalformed: (problem) => {
            killedFor ??= problem.message
            child.kill("SIGKILL")
          }
        })
        child.on("error", (error) => gone(error.message))
        child.on("exit", (code, signal) => gone(signal === null ? `code ${code}` : `signal ${signal}`))
        return { child, peer, ready, exited }
      },
      catch: (error) => failure(error instanceof Error ? error.message : String(error))
    })
  })

/** Starts a front and waits until it is ready. Once the scope is closed nothing of its part of the memory is in use any more. */
export const openFront = (options: FrontOptions): Effect.Effect<FrontProcess, FrontStartFailure, Scope.Scope> =>
  Effect.gen(function*() {
    const path = findFront()
    if (path === undefined) return yield* Effect.fail(failure("dist/front.js is missing: run `npm run build`"))
    const { child, exited, peer, ready } = yield* Effect.acquireRelease(spawnFront(path, options), ({ child, exited, peer }) =>
      Effect.gen(function*() {
        child.kill("SIGKILL")
        yield* Deferred.await(exited)
        yield* Effect.async<void>((resume) => peer.gone(() => resume(Effect.void)))
      }))
    const protocol = yield* Deferred.await(ready).pipe(
      Effect.raceFirst(Effect.flatMap(Deferred.await(exited), (how) => Effect.fail(failure(`it ended with ${how} before it was ready`)))),
      Effect.timeoutFail({ duration: options.startTimeoutMs, onTimeout: () => failure(`it was not ready within ${options.startTimeoutMs} ms`) })
    )
    if (protocol !== protocolVersion) return yield* Effect.fail(failure(`${path} speaks protocol ${protocol}, not ${protocolVersion}: build it again`))
    const send = (message: ChannelMessage, socket: Socket | undefined, onLost: () => void): void => {
      if (!child.connected) return onLost()
      child.send(message, socket, { keepOpen: false }, (error) => {
        if (error !== null) onLost()
      })
    }
    return {
      peer,
      pid: child.pid!,
      exited: Deferred.await(exited),
      give: (socket, onLost) => send("connection", socket, () => {
        socket.destroy()
        onLost()
      }),
      drain: () => send("drain", undefined, () => {})
    }
  })
