/** The life of a runner process: spawned, ready, drained, ended. However its scope closes, the process is gone afterwards. */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { ChildProcess } from "node:child_process"
import { spawn } from "node:child_process"
import type { Duplex, Readable } from "node:stream"
import type { GletOpenFailed } from "../../core/ExecutorError.js"
import type { Ready, RunnerSettings } from "./control.js"
import type { RunnerExit } from "./runnerLink.js"
import { RunnerLink } from "./runnerLink.js"
import type { ChannelPlace } from "../../link/channel.js"
import { untilItHangs } from "../../link/HangWatch.js"
import { connectionFd } from "./segment.js"
import { keepTail } from "./stderrTail.js"
import { protocolVersion } from "./wire.js"

interface RunnerOptions {
  /** The built runner. */
  readonly path: string
  readonly settings: RunnerSettings
  /** Set in its environment besides this process's own. */
  readonly env?: Readonly<Record<string, string>>
  /** Descriptor of the segment, where it is shared. */
  readonly segmentFd: number | undefined
  /** Where its messages go in the segment; `settings` say it to the runner. */
  readonly channel?: ChannelPlace | undefined
  /** Calls into onnxruntime that can run at a time. */
  readonly poolThreads: number
  readonly startTimeoutMs: number
  /** Between asking it to drain and ending it by force. */
  readonly drainTimeoutMs: number
  /** Without a word from it, though asked, it hangs and is ended by force. */
  readonly hangTimeoutMs: number
  /** Runs before signals, with the pid of a runner that did not drain: lets a device go that a killed process would leave in disorder. */
  readonly beforeKill?: (pid: number) => Effect.Effect<void>
}

/** A runner that takes requests. */
export interface RunnerProcess {
  readonly link: RunnerLink
  readonly pid: number
  readonly ready: Ready
  readonly exited: Effect.Effect<RunnerExit>
  /** Ends it at once; what is in flight fails with these words. */
  readonly kill: (why: string) => void
}

/** Why there is none. */
export interface RunnerStartFailure {
  readonly reason: GletOpenFailed["reason"]
  readonly detail: string
}

/** Between SIGTERM and SIGKILL. */
const killAfter = "1 second"
/** For the last words of a process on its pipes, after it is gone. */
const lastWordsMs = 250

interface Spawned {
  readonly child: ChildProcess
  readonly kill: (why: string) => void
  readonly link: RunnerLink
  readonly ready: Deferred.Deferred<Ready>
  readonly exited: Deferred.Deferred<RunnerExit>
}

const spawnRunner = (options: RunnerOptions): Effect.Effect<Spawned, RunnerStartFailure> =>
  Effect.gen(function*() {
    const ready = yield* Deferred.make<Ready>()
    const exited = yield* Deferred.make<RunnerExit>()
    return yield* Effect.try({
      try: () => {
        const { NODE_OPTIONS: _, ...env } = process.env
        const child = spawn(process.execPath, [options.path, JSON.stringify(options.settings)], {
          env: { ...env, UV_THREADPOOL_SIZE: String(options.poolThreads), ...options.env },
          stdio: ["ignore", "ignore", "pipe", "pipe", ...(options.segmentFd === undefined ? [] : [options.segmentFd])],
          windowsHide: true
        })
        const stderr = keepTail(child.stdio[2] as Readable)
        let killedFor: string | undefined
        const kill = (why: string): void => {
          killedFor ??= why
          child.kill("SIGKILL")
        }
        const link = new RunnerLink(
          child.stdio[connectionFd] as Duplex,
          options.channel,
          options.settings.shared,
          (message) => Deferred.unsafeDone(ready, Effect.succeed(message)),
          (problem) => kill(problem.message)
        )
        const gone = (code: number | null, signal: string | null, detail: string) => {
          const exit: RunnerExit = { code: code ?? undefined, signal: signal ?? undefined, detail: killedFor ?? detail }
          Deferred.unsafeDone(exited, Effect.succeed(exit))
          link.gone(exit)
        }
        child.on("error", (error) => gone(null, null, error.message))
        // `close` comes when its pipes are empty too: what it had finished is not lost.
        child.on("close", (code, signal) => gone(code, signal, stderr()))
        child.on("exit", (code, signal) => setTimeout(() => gone(code, signal, stderr()), lastWordsMs))
        return { child, kill, link, ready, exited }
      },
      catch: (error): RunnerStartFailure => ({ reason: "spawn-failed", detail: error instanceof Error ? error.message : String(error) })
    })
  })

const exitsWithin = (exited: Deferred.Deferred<RunnerExit>, duration: number | "1 second"): Effect.Effect<boolean> =>
  Deferred.await(exited).pipe(Effect.interruptible, Effect.timeoutOption(duration), Effect.map((exit) => exit._tag === "Some"))

const closeRunner = ({ child, exited, link, ready }: Spawned, { beforeKill, drainTimeoutMs }: RunnerOptions): Effect.Effect<void> =>
  Effect.gen(function*() {
    if (link.exit !== undefined) return
    // One that never became ready has nothing to drain.
    if (yield* Deferred.isDone(ready)) {
      link.request({ type: "drain" }, () => undefined)
      if (yield* exitsWithin(exited, drainTimeoutMs)) return
      yield* Effect.logWarning(`runner ${child.pid} did not drain within ${drainTimeoutMs} ms and is terminated`)
    }
    if (beforeKill !== undefined) {
      yield* beforeKill(child.pid!)
      if (link.exit !== undefined) return
    }
    child.kill("SIGTERM")
    if (yield* exitsWithin(exited, killAfter)) return
    child.kill("SIGKILL")
    yield* Deferred.await(exited)
  })

/** Looks at it in `hangTimeoutMs`. */
const looks = 10
/** What opens, loads or closes something may keep its thread for so many times as long: sessions are made on others, but the driver is called on it. */
const busyFactor = 3
/**
 * Without the end of any batch, though some are in flight. Best-effort batches may rightly take long where they give way all the time; a GPU that
 * computes nothing any more takes for ever.
 */
const stallTimeoutMs = 600_000

/** Ends a runner that hangs, so that those who wait for it are told and another takes its place. */
const endWhereItHangs = ({ child, kill, link }: Spawned, { beforeKill, hangTimeoutMs }: RunnerOptions): Effect.Effect<void> =>
  Effect.gen(function*() {
    const lookMs = hangTimeoutMs / looks
    const patienceMs = () => link.mayBeBusy ? busyFactor * hangTimeoutMs : hangTimeoutMs
    const seen = yield* untilItHangs({
      lookMs,
      look: (watch) => watch.look(link.heard, link.ended, link.works, { silent: patienceMs() / lookMs, stalled: stallTimeoutMs / lookMs }),
      ask: () => link.ping()
    })
    if (link.exit !== undefined) return
    const why = seen === "hangs" ? `it gave no sign of life for ${patienceMs()} ms: it hangs` : `none of its batches ended for ${stallTimeoutMs} ms: it hangs`
    yield* Effect.logError(`runner ${child.pid} is ended: ${why}`)
    if (beforeKill !== undefined) yield* beforeKill(child.pid!)
    kill(why)
  }).pipe(Effect.annotateLogs({ module: "runnerProcess", fiber: "hang watch" }))

const exitText = ({ code, detail, signal }: RunnerExit): string =>
  `the runner ended with ${signal === undefined ? `code ${code ?? "unknown"}` : `signal ${signal}`} before it was ready${detail === "" ? "" : `: ${detail}`}`

/** Starts a runner and waits until it is ready. */
export const openRunner = (options: RunnerOptions): Effect.Effect<RunnerProcess, RunnerStartFailure, Scope.Scope> =>
  Effect.gen(function*() {
    const spawned = yield* Effect.acquireRelease(spawnRunner(options), (it) => closeRunner(it, options))
    const { child, exited, kill, link } = spawned
    const ready = yield* Deferred.await(spawned.ready).pipe(
      Effect.raceFirst(Effect.flatMap(Deferred.await(exited), (exit) => Effect.fail<RunnerStartFailure>({ reason: "spawn-failed", detail: exitText(exit) }))),
      Effect.timeoutFail({
        duration: options.startTimeoutMs,
        onTimeout: (): RunnerStartFailure => ({ reason: "start-timeout", detail: `the runner was not ready within ${options.startTimeoutMs} ms` })
      })
    )
    if (ready.protocol !== protocolVersion) {
      return yield* Effect.fail<RunnerStartFailure>({
        reason: "spawn-failed",
        detail: `${options.path} speaks protocol ${ready.protocol}, not ${protocolVersion}: build it again`
      })
    }
    yield* Effect.forkScoped(endWhereItHangs(spawned, options))
    return { link, pid: child.pid!, ready, exited: Deferred.await(exited), kill }
  })
