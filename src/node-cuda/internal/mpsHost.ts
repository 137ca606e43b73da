/**
 * MPS on this host: a daemon per GPU, kept while the executor lives, and the runners that are its clients. A fatal fault of one client ends all
 * work of the GPU and blocks its server until every client is gone; so does the death of server or daemon. Then all runners of that GPU are
 * ended at once, and whoever keeps glets open opens them anew, under a new daemon where the old one is gone.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import type { GpuId } from "../../core/Ids.js"
import { CudaUnavailable } from "../CudaError.js"
import { isAlive } from "./isAlive.js"
import { isDaemonAlive, serverList, serverStatus, terminateClient } from "./mpsControl.js"
import type { MpsDaemon } from "./mpsDaemon.js"
import { openMpsDaemon } from "./mpsDaemon.js"
import type { RunnerProcess } from "./runnerProcess.js"

export interface MpsHost {
  /** The GPU's daemon, started where none runs. */
  readonly daemon: (gpu: GpuId) => Effect.Effect<MpsDaemon, CudaUnavailable>
  /** Takes in a runner that came up as the daemon's client, and looks after it while the scope is open. */
  readonly watch: (gpu: GpuId, runner: RunnerProcess) => Effect.Effect<void, never, Scope.Scope>
  /** Takes the GPU from a client that is to be killed. */
  readonly release: (gpu: GpuId, pid: number) => Effect.Effect<void>
}

/** How often the processes of daemon and server are looked at. */
const watchEvery = "250 millis"
/** For the last client of a server in state FAULT to end: until then it refuses new ones. */
const faultMs = 15_000
const faultPollMs = 100
/** After a client's death its server needs a moment to see the fault. */
const faultSettles = "200 millis"

interface Served {
  readonly daemon: MpsDaemon
  readonly scope: Scope.CloseableScope
  readonly runners: Set<RunnerProcess>
  /** Processes of the servers that our runners are clients of. */
  readonly servers: Set<number>
}

const serversOf = ({ daemon, servers }: Served): Effect.Effect<ReadonlyArray<number>> =>
  Effect.orElseSucceed(serverList(daemon.pipeDirectory), () => [...servers])

export const makeMpsHost: Effect.Effect<MpsHost, never, Scope.Scope> = Effect.gen(function*() {
  const scope = yield* Effect.scope
  const served = new Map<GpuId, Served>()
  const opening = yield* Effect.makeSemaphore(1)

  /** Ends all runners of a GPU. */
  const endRunners = (gpu: GpuId, { runners }: Served, why: string): Effect.Effect<void> =>
    Effect.suspend(() => {
      if (runners.size === 0) return Effect.void
      const count = runners.size
      for (const runner of runners) runner.kill(why)
      runners.clear()
      return Effect.logError(`${gpu}: ${why}; its ${count} ${count === 1 ? "runner is" : "runners are"} started anew`)
    })

  /** Why the clients of a GPU must go; undefined where all is well. */
  const problemOf = ({ daemon, servers }: Served): Effect.Effect<string | undefined> =>
    Effect.gen(function*() {
      if (!(yield* isDaemonAlive(daemon))) return "its MPS daemon is gone"
      const dead = [...servers].filter((server) => !isAlive(server))
      for (const server of dead) servers.delete(server)
      return dead.length === 0 ? undefined : `its MPS server ${dead.join(", ")} is gone`
    })

  const faultOf = ({ daemon, servers }: Served): Effect.Effect<string | undefined> =>
    Effect.gen(function*() {
      for (const server of servers) {
        const status = yield* Effect.orElseSucceed(serverStatus(daemon.pipeDirectory, server), () => "")
        if (/FAULT/i.test(status)) return `its MPS server ${server} is in state FAULT after a fatal exception of a client`
      }
      return undefined
    })

  const forget = (gpu: GpuId, gone: Served): Effect.Effect<void> =>
    Effect.suspend(() => {
      if (served.get(gpu) === gone) served.delete(gpu)
      return Scope.close(gone.scope, Exit.void)
    })

  /** Looks after a daemon until it is gone. */
  const keepWatch = (gpu: GpuId, one: Served): Effect.Effect<void> =>
    Effect.gen(function*() {
      while (served.get(gpu) === one) {
        yield* Effect.sleep(watchEvery)
        const problem = yield* problemOf(one)
        if (problem === undefined) continue
        yield* endRunners(gpu, one, problem)
        if (!(yield* isDaemonAlive(one.daemon))) return yield* forget(gpu, one)
      }
    }).pipe(Effect.annotateLogs({ module: "mpsHost", fiber: "watch" }))

  /** Waits until the servers take clients; starting one before would only fail, again and again. */
  const untilServing = (gpu: GpuId, one: Served): Effect.Effect<void, CudaUnavailable> =>
    Effect.gen(function*() {
      let fault = yield* faultOf(one)
      for (let waited = 0; fault !== undefined; waited += faultPollMs) {
        if (waited >= faultMs) {
          return yield* new CudaUnavailable({ reason: "mps-failed", subject: gpu, detail: `${fault}, which has not ended for ${faultMs} ms: clients that are not ours still live` })
        }
        yield* Effect.sleep(faultPollMs)
        fault = yield* faultOf(one)
      }
    })

  const daemon = (gpu: GpuId): Effect.Effect<MpsDaemon, CudaUnavailable> =>
    Effect.flatMap(serving(gpu), (one) => Effect.as(untilServing(gpu, one), one.daemon))

  const serving = (gpu: GpuId): Effect.Effect<Served, CudaUnavailable> =>
    opening.withPermits(1)(Effect.gen(function*() {
      const known = served.get(gpu)
      if (known !== undefined) {
        if (yield* isDaemonAlive(known.daemon)) return known
        yield* endRunners(gpu, known, "its MPS daemon is gone")
        yield* forget(gpu, known)
      }
      const own = yield* Scope.fork(scope, scope.strategy)
      const opened = yield* openMpsDaemon(gpu).pipe(Scope.extend(own), Effect.onError(() => Scope.close(own, Exit.void)))
      const one: Served = { daemon: opened, scope: own, runners: new Set(), servers: new Set() }
      served.set(gpu, one)
      yield* Effect.logInfo(`${gpu}: MPS daemon ${opened.pid ?? ""} ${opened.adopted ? "adopted" : "started"} in ${opened.pipeDirectory}`)
      yield* Effect.forkIn(keepWatch(gpu, one), scope)
      return one
    }))

  /** Looks at the server after a client died: it may have taken the others' work with it. */
  const afterDeath = (gpu: GpuId, one: Served): Effect.Effect<void> =>
    Effect.gen(function*() {
      yield* Effect.sleep(faultSettles)
      const problem = (yield* problemOf(one)) ?? (yield* faultOf(one))
      if (problem !== undefined) yield* endRunners(gpu, one, problem)
    })

  const watch = (gpu: GpuId, runner: RunnerProcess): Effect.Effect<void, never, Scope.Scope> =>
    Effect.gen(function*() {
      const one = served.get(gpu)
      if (one === undefined) return runner.kill("its MPS daemon is gone")
      one.runners.add(runner)
      for (const server of yield* serversOf(one)) one.servers.add(server)
      // Not in the runner's own scope, which closes as soon as its death is known.
      yield* Effect.forkIn(Effect.zipRight(runner.exited, Effect.suspend(() => one.runners.delete(runner) ? afterDeath(gpu, one) : Effect.void)), scope)
      // Closed while it lives, it ends in order.
      yield* Effect.addFinalizer(() => Effect.sync(() => runner.link.exit === undefined && one.runners.delete(runner)))
    })

  const release = (gpu: GpuId, pid: number): Effect.Effect<void> =>
    Effect.suspend(() => {
      const one = served.get(gpu)
      if (one === undefined) return Effect.void
      return Effect.flatMap(serversOf(one), Effect.forEach((server) =>
        terminateClient(one.daemon.pipeDirectory, server, pid).pipe(
          Effect.matchEffect({
            onFailure: ({ detail }) => Effect.logWarning(`runner ${pid} keeps the GPU: ${detail}`),
            onSuccess: (answer) => Effect.logInfo(`runner ${pid} was taken off the GPU: ${answer}`)
          })
        ), { discard: true }))
    })

  return { daemon, watch, release }
})
