/** The CUDA executor on a faked host: the contract under every isolation, and what MPS does and suffers. */
import { afterAll, assert, beforeEach, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import type { GletHandle } from "../../src/core/Executor.js"
import { Executor, runBatch } from "../../src/core/Executor.js"
import type { Gpu } from "../../src/core/Gpu.js"
import { unsafeGletId, unsafeGpuId, unsafeModelName } from "../../src/core/Ids.js"
import type { Model } from "../../src/core/Model.js"
import * as CudaExecutor from "../../src/node-cuda/CudaExecutor.js"
import { isAlive } from "../../src/node-cuda/internal/isAlive.js"
import { sharesOfGroups } from "../../src/node-cuda/internal/smGroups.js"
import { executorContract } from "../contract/Executor.js"
import { lenet, lenetModel } from "../contract/lenet.js"
import { prepare, verify } from "../contract/requests.js"
import { fakeNvidia, h200, h200Probe } from "./support/fakeNvidia.js"
import { contractModels, contractVersions } from "../contract/models.js"
import { killGlet } from "./support/killGlet.js"
import { putIn } from "./support/putFile.js"

const host = await fakeNvidia()
const folder = fs.mkdtempSync(path.join(os.tmpdir(), "glet-test-"))
afterAll(() => {
  host.close()
  fs.rmSync(folder, { recursive: true, force: true })
})
host.setProbe(h200Probe)

const base = { id: unsafeGpuId(h200), type: "h200", units: 132, memoryBytes: 140e9 } as const
const gpus = {
  mps: { ...base, isolation: "mps", sharesPct: [10, 25, 50, 100] },
  green: { ...base, isolation: "green", sharesPct: sharesOfGroups(16) },
  stream: { ...base, isolation: "stream", sharesPct: [100] }
} as const satisfies Record<string, Gpu>
const options: CudaExecutor.CudaExecutorOptions = { runnerPath: host.runnerPath, libraryFolders: ["/opt/cuda-of-test/lib"] }

const badModel: Model = { ...lenetModel, name: unsafeModelName("bad"), path: fileURLToPath(import.meta.url) }
const models = [lenet, ...contractModels(putIn(folder))] as const
const versions = contractVersions(putIn(folder))
for (const gpu of Object.values(gpus)) {
  // Batches of all kinds run where the engine is that of the GPU; what isolation changes is which process they run in.
  executorContract(`cuda, ${gpu.isolation}, faked`, CudaExecutor.layer(options).pipe(Layer.orDie), { gpu, versions, models: gpu.isolation === "stream" ? models : [lenet], badModel, kill: killGlet })
}
executorContract("cuda, stream, faked, giving way", CudaExecutor.layer(options).pipe(Layer.orDie), { gpu: gpus.stream, models, versions, badModel, kill: killGlet, givesWay: true })

let glets = 0
const spec = (gpu: Gpu, sharePct: number, priority = 0) => ({ id: unsafeGletId(`${gpu.id}/${glets++}`), gpu, sharePct, priority })
const open = (gpu: Gpu, sharePct: number, priority = 0) => Effect.flatMap(Executor, (executor) => executor.open(spec(gpu, sharePct, priority)))
const pidOf = (handle: GletHandle) => Effect.map(handle.stats, ({ pid }) => pid!)
const daemonPid = () => Number(fs.readFileSync(host.mpsFile(h200, "nvidia-cuda-mps-control.pid"), "utf8"))
const serverPid = () => Number(fs.readFileSync(host.mpsFile(h200, "server.pid"), "utf8"))
const withExecutor = <A, E>(body: Effect.Effect<A, E, Executor | Scope.Scope>, more: CudaExecutor.CudaExecutorOptions = {}) =>
  Effect.gen(function*() {
    const executor = yield* CudaExecutor.make({ ...options, ...more })
    return yield* Effect.provideService(body, Executor, executor)
  })
/** Runs a batch and checks its outputs. */
const serves = (handle: GletHandle) =>
  Effect.gen(function*() {
    const { arena } = yield* Executor
    yield* handle.load(lenetModel, [1])
    const request = prepare(arena, lenet, 1, 3)
    verify(request, yield* runBatch(handle, { model: lenetModel, entries: [request.entry], items: 1 }), 0)
    request.slot.release()
  })

beforeEach(() => {
  for (const name of ["runner-stuck", "runner-without-cuda", "mps-broken", "calls.log"]) host.set(name)
})

describe("CudaExecutor", () => {
  it.scopedLive("gives each glet under MPS a process of its own, started with its share, priority and memory limit", () =>
    withExecutor(Effect.gen(function*() {
      const critical = yield* open(gpus.mps, 25)
      const besteffort = yield* open(gpus.mps, 50, 1)
      const [a, b] = [yield* pidOf(critical), yield* pidOf(besteffort)]
      assert.notStrictEqual(a, b)
      const env = host.envOf(a)
      assert.strictEqual(env["CUDA_VISIBLE_DEVICES"], h200)
      assert.strictEqual(env["CUDA_MPS_PIPE_DIRECTORY"], path.dirname(host.mpsFile(h200, "control")))
      assert.strictEqual(env["CUDA_MPS_ACTIVE_THREAD_PERCENTAGE"], "25")
      assert.strictEqual(env["CUDA_MPS_CLIENT_PRIORITY"], "0")
      assert.strictEqual(env["CUDA_MPS_PINNED_DEVICE_MEM_LIMIT"], "0=2048M")
      assert.include(env["LD_LIBRARY_PATH"], "/opt/cuda-of-test/lib")
      assert.strictEqual(host.envOf(b)["CUDA_MPS_CLIENT_PRIORITY"], "1")
      const report = yield* critical.load(lenetModel, [1])
      assert.match(report.detail, /mps 25 %, \d+ of 132 SMs/)
      assert.deepStrictEqual(host.calls().filter((call) => call.startsWith("start ")), [`start ${h200}`], "one daemon for both")
    }), { gletMemoryBytes: 2 ** 31 }))

  it.scopedLive("ends a glet's process with the glet, and the daemon with the executor", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const [pid, daemon] = yield* Scope.extend(withExecutor(Effect.gen(function*() {
        const own = yield* Scope.make()
        const glet = yield* Scope.extend(open(gpus.mps, 50), own)
        const pid = yield* pidOf(glet)
        yield* Scope.close(own, Exit.void)
        assert.isFalse(isAlive(pid))
        const other = yield* open(gpus.mps, 50)
        yield* serves(other)
        return [yield* pidOf(other), daemonPid()] as const
      })), scope)
      assert.isTrue(isAlive(daemon))
      yield* Scope.close(scope, Exit.void)
      assert.isFalse(isAlive(pid))
      assert.isFalse(isAlive(daemon))
    }))

  it.scopedLive("hosts all glets of a GPU in one runner under green and stream, away from any MPS daemon", () =>
    withExecutor(Effect.gen(function*() {
      const one = yield* open(gpus.green, 25)
      const two = yield* open(gpus.green, 50)
      const pid = yield* pidOf(one)
      assert.strictEqual(yield* pidOf(two), pid)
      assert.strictEqual((yield* one.stats).units, 32)
      assert.strictEqual((yield* two.stats).units, 64)
      assert.isFalse(fs.existsSync(host.envOf(pid)["CUDA_MPS_PIPE_DIRECTORY"]!))
      assert.isUndefined(host.envOf(pid)["CUDA_MPS_ACTIVE_THREAD_PERCENTAGE"])
      assert.deepStrictEqual(host.calls(), [])
    })))

  it.scopedLive("refuses a glet whose share nobody enforces, and one without CUDA", () =>
    withExecutor(Effect.gen(function*() {
      yield* Effect.scoped(open(gpus.mps, 100))
      // As when the daemon dies between its start and the client's.
      host.setProbe({ ...h200Probe, units: 2 * h200Probe.units })
      const uncapped = yield* Effect.ensuring(Effect.flip(open(gpus.mps, 50)), Effect.sync(() => host.setProbe(h200Probe)))
      assert.strictEqual(uncapped.reason, "share-unsupported")
      assert.include(uncapped.detail, "no client of the MPS daemon")
      host.set("runner-without-cuda", "")
      const without = yield* Effect.flip(open(gpus.green, 100))
      assert.strictEqual(without.reason, "device-missing")
      const other = yield* Effect.flip(open({ ...gpus.mps, isolation: "threads" }, 50))
      assert.strictEqual(other.reason, "share-unsupported")
      const odd = yield* Effect.flip(open(gpus.mps, 33))
      assert.strictEqual(odd.reason, "share-unsupported")
    })))

  it.scopedLive("says why there is no MPS daemon", () =>
    withExecutor(Effect.gen(function*() {
      host.set("mps-broken", "no such luck")
      const error = yield* Effect.flip(open(gpus.mps, 50))
      assert.strictEqual(error.reason, "device-missing")
      assert.include(error.detail, "no such luck")
      host.set("mps-broken")
      yield* serves(yield* open(gpus.mps, 50))
    })))

  for (const [what, strike] of [
    ["its MPS daemon is killed", () => process.kill(daemonPid(), "SIGKILL")],
    ["its MPS server is killed", () => process.kill(serverPid(), "SIGKILL")]
  ] as const) {
    it.scopedLive(`ends all glets of a GPU when ${what}, and opens new ones`, () =>
      withExecutor(Effect.gen(function*() {
        const handles = [yield* open(gpus.mps, 25), yield* open(gpus.mps, 50)]
        yield* Effect.forEach(handles, serves)
        const before = daemonPid()
        strike()
        const exits = yield* Effect.forEach(handles, (handle) => handle.exited, { concurrency: "unbounded" })
        for (const exit of exits) assert.match(exit.message, /its MPS (daemon|server \d+) is gone/)
        // A daemon without its server starts another one; this fake does not.
        if (isAlive(before)) process.kill(before, "SIGKILL")
        yield* Effect.sleep(300)
        yield* serves(yield* open(gpus.mps, 25))
        assert.notStrictEqual(daemonPid(), before)
      })))
  }

  it.scopedLive("ends the other clients of a GPU when one died of a fatal fault, which blocks the server until all are gone", () =>
    withExecutor(Effect.gen(function*() {
      const handles = [yield* open(gpus.mps, 25), yield* open(gpus.mps, 25), yield* open(gpus.mps, 50)]
      const daemon = daemonPid()
      fs.writeFileSync(host.mpsFile(h200, "status"), "FAULT")
      process.kill(yield* pidOf(handles[1]!), "SIGKILL")
      const exits = yield* Effect.forEach(handles, (handle) => handle.exited, { concurrency: "unbounded" })
      assert.include(exits[0]!.message, "in state FAULT")
      assert.notInclude(exits[1]!.message, "in state FAULT")
      assert.include(exits[2]!.message, "in state FAULT")
      yield* serves(yield* open(gpus.mps, 25))
      assert.strictEqual(daemonPid(), daemon)
    })))

  it.scopedLive("waits with new clients until the server takes them again", () =>
    withExecutor(Effect.gen(function*() {
      yield* open(gpus.mps, 25)
      fs.writeFileSync(host.mpsFile(h200, "status"), "FAULT")
      const waiting = yield* Effect.fork(open(gpus.mps, 50))
      yield* Effect.sleep(1500)
      assert.isNull(waiting.unsafePoll(), "it was opened, or failed, in the midst of the fault")
      fs.rmSync(host.mpsFile(h200, "status"))
      yield* serves(yield* waiting.await.pipe(Effect.flatten))
    })))

  it.scopedLive("leaves the others alone when one died by itself", () =>
    withExecutor(Effect.gen(function*() {
      const [one, other] = [yield* open(gpus.mps, 25), yield* open(gpus.mps, 50)]
      yield* killGlet(one)
      yield* one.exited
      yield* Effect.sleep(500)
      yield* serves(other)
    })))

  it.scopedLive("takes a client off the GPU before it kills it", () =>
    withExecutor(Effect.gen(function*() {
      host.set("runner-stuck", "")
      const scope = yield* Scope.make()
      const glet = yield* Scope.extend(open(gpus.mps, 50), scope)
      const pid = yield* pidOf(glet)
      const server = serverPid()
      yield* Scope.close(scope, Exit.void)
      assert.isFalse(isAlive(pid))
      assert.deepStrictEqual(host.calls().filter((call) => call.startsWith("terminate")), [`terminate_client ${server} ${pid}`])
    }), { drainTimeoutMs: 300 }))

  it.scopedLive("takes a client that hangs off the GPU and kills it", () =>
    withExecutor(Effect.gen(function*() {
      const glet = yield* open(gpus.mps, 50)
      const pid = yield* pidOf(glet)
      const server = serverPid()
      process.kill(pid, "SIGSTOP")
      assert.include((yield* glet.exited).message, "it hangs")
      assert.isFalse(isAlive(pid))
      assert.deepStrictEqual(host.calls().filter((call) => call.startsWith("terminate")), [`terminate_client ${server} ${pid}`])
    }), { hangTimeoutMs: 1000 }))

  it.scopedLive("does not start at all where the provider is missing", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(CudaExecutor.make({ runnerPath: host.runnerPath }))
      assert.strictEqual(error.reason, "provider-missing")
      assert.include(error.message, "glet cuda install")
    }))
})
