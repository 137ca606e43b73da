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
import { untilItHangs } from "../../link/HangWatch.js"
import { type ChannelMessage, type FrontSettings, linkFd, protocolVersion } from "./protocol.js"
import { FrontPeer, type FrontPeerContext } from "./frontPeer.js"

interface FrontOptions extends Omit<FrontPeerContext, "onMalformed" | "onReady" | "onTaken"> {
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

/** A front that says nothing for so long, though asked, is ended: its clients wait for nothing. It is looked at so often in this time. */
const hangTimeoutMs = 10_000
const looks = 10

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

/** A connection on its way to a front; ours stays open until it has come there: the channel loses what it holds when the front dies. */
interface SentConnection {
  readonly socket: Socket
  readonly onLost: () => void
}

const lose = ({ onLost, socket }: SentConnection): void => {
  socket.destroy()
  onLost()
}

interface Spawned {
  readonly child: ChildProcess
  readonly sent: Array<SentConnection>
  readonly peer: FrontPeer
  /** Ends it at once, with these words. */
  readonly kill: (why: string) => void
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
        const sent: Array<SentConnection> = []
        let killedFor: string | undefined
        const kill = (why: string): void => {
          killedFor ??= why
          child.kill("SIGKILL")
        }
        const gone = (how: string) => Deferred.unsafeDone(exited, Effect.succeed(killedFor ?? how))
        readLines(child.stdio[2] as Readable, options.onLine)
        const peer = new FrontPeer(child.stdio[linkFd] as Duplex, {
          ...options,
          onReady: (protocol) => Deferred.unsafeDone(ready, Effect.succeed(protocol)),
          onTaken: (count) => sent.splice(0, count).forEach(({ socket }) => socket.destroy()),
          onMalformed: (problem) => kill(problem.message)
        })
        child.on("error", (error) => gone(error.message))
        child.on("exit", (code, signal) => gone(signal === null ? `code ${code}` : `signal ${signal}`))
        return { child, sent, peer, kill, ready, exited }
      },
      catch: (error) => failure(error instanceof Error ? error.message : String(error))
    })
  })

/** Starts a front and waits until it is ready. Once the scope is closed nothing of its part of the memory is in use any more. */
export const openFront = (options: FrontOptions): Effect.Effect<FrontProcess, FrontStartFailure, Scope.Scope> =>
  Effect.gen(function*() {
    const path = findFront()
    if (path === undefined) return yield* Effect.fail(failure("dist/front.js is missing: run `npm run build`"))
    const { child, exited, kill, peer, ready, sent } = yield* Effect.acquireRelease(spawnFront(path, options), ({ child, exited, peer }) =>
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
    yield* Effect.forkScoped(Effect.map(
      untilItHangs({
        lookMs: hangTimeoutMs / looks,
        look: (watch) => watch.look(peer.heard, 0, false, { silent: looks, stalled: 0 }),
        ask: () => peer.ask({ type: "ping" }, () => {})
      }),
      () => kill(`no sign of life for ${hangTimeoutMs} ms: it hung`)
    ))
    child.once("exit", () => sent.splice(0).forEach(lose))
    return {
      peer,
      pid: child.pid!,
      exited: Deferred.await(exited),
      give: (socket, onLost) => {
        const one = { socket, onLost }
        if (!child.connected) return lose(one)
        sent.push(one)
        child.send("connection" satisfies ChannelMessage, socket, { keepOpen: true }, (error) => {
          if (error === null || !sent.includes(one)) return
          sent.splice(sent.indexOf(one), 1)
          lose(one)
        })
      },
      drain: () => {
        if (child.connected) child.send("drain" satisfies ChannelMessage, () => {})
      }
    }
  })
