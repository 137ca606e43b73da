/** The life of one GPU's MPS control daemon: adopted where one runs, else started by us and stopped again. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as fs from "node:fs"
import * as path from "node:path"
import { CudaUnavailable } from "../CudaError.js"
import { withFileLock } from "./fileLock.js"
import { isAlive } from "./isAlive.js"
import type { RunningDaemon } from "./mpsControl.js"
import { clientList, daemonAt, isDaemonAlive, mpsCommand, mpsControlName, ownPipeDirectory, pipeDirectoryProblem, runningDaemon, serverList } from "./mpsControl.js"
import { runCommand } from "./runCommand.js"

export interface MpsDaemon extends RunningDaemon {
  /** It ran before us, and outlives us. */
  readonly adopted: boolean
}

/** For a new daemon to answer, and for one that quits to be gone. */
const startMs = 10_000
const quitMs = 10_000
const pollMs = 50

/** A folder of ours that no other user made for us: its name can be guessed. */
const makePrivate = (directory: string): void => {
  fs.mkdirSync(directory, { recursive: true, mode: 0o700 })
  const stat = fs.lstatSync(directory)
  if (!stat.isDirectory() || stat.uid !== process.getuid?.()) throw new Error(`${directory} belongs to user ${stat.uid}`)
}

/** The end of the daemon's own log. */
const lastLog = (logDirectory: string): string => {
  try {
    return fs.readFileSync(path.join(logDirectory, "control.log"), "utf8").trim().split("\n").slice(-3).join(" | ").slice(-500)
  } catch {
    return "it left no log"
  }
}

const waitUntil = (condition: Effect.Effect<boolean>, withinMs: number): Effect.Effect<boolean> =>
  Effect.gen(function*() {
    for (let waited = 0; waited < withinMs; waited += pollMs) {
      if (yield* condition) return true
      yield* Effect.sleep(pollMs)
    }
    return yield* condition
  })

const start = (uuid: string, directory: string): Effect.Effect<RunningDaemon, CudaUnavailable> =>
  Effect.gen(function*() {
    const failed = (detail: string) => new CudaUnavailable({ reason: "mps-failed", subject: uuid, detail })
    const logDirectory = path.join(directory, "log")
    yield* Effect.try({
      try: () => {
        for (const folder of [path.dirname(directory), directory, logDirectory]) makePrivate(folder)
        // What a daemon that was killed left behind keeps a new one from listening.
        for (const name of fs.readdirSync(directory)) if (name !== "log") fs.rmSync(path.join(directory, name), { recursive: true, force: true })
      },
      catch: (error) => failed(`its MPS directory cannot be made: ${error instanceof Error ? error.message : String(error)}`)
    })
    const { code } = yield* runCommand(mpsControlName, ["-d"], {
      timeoutMs: startMs,
      discardOutput: true,
      env: { CUDA_VISIBLE_DEVICES: uuid, CUDA_MPS_PIPE_DIRECTORY: directory, CUDA_MPS_LOG_DIRECTORY: logDirectory }
    }).pipe(Effect.mapError(({ detail }) => failed(detail)))
    const answers = Effect.map(daemonAt(directory), Option.isSome)
    if (code !== 0 || !(yield* waitUntil(answers, startMs))) {
      return yield* failed(`the MPS daemon did not start (exit code ${code}): ${lastLog(logDirectory)}`)
    }
    return Option.getOrElse(yield* daemonAt(directory), (): RunningDaemon => ({ pipeDirectory: directory, pid: undefined }))
  })

/** Stops a daemon of ours, unless it has clients that are not ours: ours have ended by then. */
const stop = ({ pid, pipeDirectory }: RunningDaemon): Effect.Effect<void> =>
  Effect.gen(function*() {
    const servers = yield* Effect.orElseSucceed(serverList(pipeDirectory), () => [])
    const clients = yield* Effect.forEach(servers, (server) => Effect.orElseSucceed(clientList(pipeDirectory, server), () => []))
    const others = clients.flat().filter(isAlive)
    if (others.length > 0) {
      return yield* Effect.logWarning(`the MPS daemon in ${pipeDirectory} goes on: processes ${others.join(", ")} still use it`)
    }
    yield* Effect.ignore(mpsCommand(pipeDirectory, "quit"))
    const daemon = { pid, pipeDirectory }
    if (yield* waitUntil(Effect.map(isDaemonAlive(daemon), (alive) => !alive), quitMs)) return
    yield* Effect.logWarning(`the MPS daemon ${pid ?? ""} did not quit within ${quitMs} ms and is terminated`)
    if (pid === undefined) return
    for (const signal of ["SIGTERM", "SIGKILL"] as const) {
      yield* Effect.sync(() => isAlive(pid) && process.kill(pid, signal))
      if (yield* waitUntil(Effect.sync(() => !isAlive(pid)), 1000)) return
    }
  })

/** Adopts or starts the daemon of a GPU. */
export const openMpsDaemon = (uuid: string): Effect.Effect<MpsDaemon, CudaUnavailable, Scope.Scope> => {
  const directory = ownPipeDirectory(uuid)
  const adopt = Effect.map(runningDaemon(uuid), Option.map((daemon): MpsDaemon => ({ ...daemon, adopted: true })))
  const failed = (detail: string) => new CudaUnavailable({ reason: "mps-failed", subject: uuid, detail })
  const acquire: Effect.Effect<MpsDaemon, CudaUnavailable> = Effect.gen(function*() {
    const running = yield* adopt
    if (Option.isSome(running)) return running.value
    const problem = pipeDirectoryProblem(directory)
    if (problem !== undefined) return yield* failed(problem)
    yield* Effect.try({ try: () => makePrivate(path.dirname(directory)), catch: (error) => failed(error instanceof Error ? error.message : String(error)) })
    // Two agents of one host may start at the same moment: the second adopts.
    const startOnce = Effect.gen(function*() {
      const meanwhile = yield* adopt
      if (Option.isSome(meanwhile)) return meanwhile.value
      return { ...(yield* start(uuid, directory)), adopted: false }
    })
    return yield* withFileLock(`${directory}.lock`, 2 * startMs, startOnce).pipe(
      Effect.mapError((error) => error._tag === "CudaUnavailable" ? error : failed(`another process holds ${directory}.lock`))
    )
  })
  return Effect.acquireRelease(acquire, (daemon) => daemon.adopted ? Effect.void : stop(daemon))
}
