/** What only an NVIDIA GPU can show: the contract under every isolation it can have, and whether its answers tell which requests can be joined. */
import { afterAll, assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import { Executor, runBatch } from "../../src/core/Executor.js"
import type { Gpu } from "../../src/core/Gpu.js"
import { unsafeGletId, unsafeModelName } from "../../src/core/Ids.js"
import type { Model } from "../../src/core/Model.js"
import { Profiler } from "../../src/core/Profiler.js"
import * as ProfilerLive from "../../src/core/ProfilerLive.js"
import * as CudaExecutor from "../../src/node-cuda/CudaExecutor.js"
import { describeGpus } from "../../src/node-cuda/CudaInventory.js"
import { makeCopyList, putU64 } from "../../src/node-cuda/runner/cuda/driver/CudaDriver.js"
import { openLibcuda } from "../../src/node-cuda/runner/cuda/driver/libcuda.js"
import { executorContract } from "../contract/Executor.js"
import { lenet, lenetModel } from "../contract/lenet.js"
import { contractModels, contractVersions } from "../contract/models.js"
import type { ContractModel } from "../contract/requests.js"
import { prepare, verify } from "../contract/requests.js"
import type * as onnx from "../support/onnx.js"
import { killGlet } from "./support/killGlet.js"
import { putIn } from "./support/putFile.js"
import { wildModelIn } from "./support/wildModel.js"

const folder = fs.mkdtempSync(path.join(os.tmpdir(), "glet-test-"))
afterAll(() => fs.rmSync(folder, { recursive: true, force: true }))

const badModel: Model = { ...lenetModel, name: unsafeModelName("bad"), path: fileURLToPath(import.meta.url) }
const models = [lenet, ...contractModels(putIn(folder))] as const
const versions = contractVersions(putIn(folder))

/** The first GPU of this host as one of this isolation, or why there is none. */
const gpuOf = (isolation: "mps" | "green" | "stream"): Promise<Either.Either<Gpu, string>> =>
  Effect.runPromise(Effect.either(Effect.gen(function*() {
    const [first] = yield* describeGpus({ isolation })
    if (first === undefined) return yield* Effect.fail("CUDA_VISIBLE_DEVICES names no GPU")
    yield* Effect.scoped(CudaExecutor.make())
    return first.gpu
  }).pipe(Effect.mapError((error) => typeof error === "string" ? error : error.message))))

const modelOf = wildModelIn(folder)
const softmaxOver = (axis: number): onnx.ModelDef => ({
  inputs: [{ name: "x", shape: ["batch", 4] }], outputs: [{ name: "y", shape: ["batch", 4] }],
  nodes: [{ op: "Softmax", inputs: ["x"], outputs: ["y"], attributes: { axis: { i: axis } } }]
})

for (const isolation of ["mps", "green", "stream"] as const) {
  const found = await gpuOf(isolation)
  if (Either.isLeft(found)) {
    const reason = found.left
    describe(`cuda, ${isolation}`, () => {
      it.skip(`SKIPPED, no NVIDIA GPU to try it on: ${reason}`, () => undefined)
    })
    continue
  }
  const gpu = found.right
  const executor = CudaExecutor.layer().pipe(Layer.orDie)
  executorContract(`cuda, ${isolation}`, executor, { gpu, models, versions, badModel, kill: killGlet })
  if (gpu.preemptMs !== undefined) executorContract(`cuda, ${isolation}, giving way`, executor, { gpu, models, versions, badModel, kill: killGlet, givesWay: true })

  if (isolation === "stream") {
    it("lets threads of Node's pool put copies on a stream", async () => {
      const driver = openLibcuda()
      const [pieces, bytes] = [8, 1 << 16]
      const host = driver.allocateHost(pieces * bytes)
      const device = driver.allocate(pieces * bytes)
      const stream = driver.createStream(0, undefined)
      const list = makeCopyList(pieces)
      for (let i = 0; i < pieces; i++) {
        putU64(list.host, i, host.address + i * bytes)
        putU64(list.device, i, device + ((i * 5) % pieces) * bytes)
        putU64(list.bytes, i, bytes)
      }
      list.count = pieces
      const copy = () => new Promise<string | undefined>((resolve) => driver.copyAllInAsync(list, stream, (error) => resolve(error?.message)))
      // A thread that was busy when the context was made known is told after the first copy that it cannot make.
      for (let i = 0; i < 100; i++) await copy()
      for (let i = 0; i < 100; i++) assert.isUndefined(await copy())
      driver.destroyStream(stream)
      driver.free(device)
      driver.freeHost(host.address)
    })
  }

  // What is wrong with one size of one model is wrong with all its batches: one size in twenty was, of models that load side by side.
  describe(`cuda, ${isolation}: answers`, () => {
    it.scopedLive("are those of the model at every size, of models that loaded side by side", () =>
      Effect.gen(function*() {
        const { arena, open } = yield* Executor
        const sizes = [1, 2, 4, 8, 16]
        const copies = Array.from({ length: 6 }, (_, i): ContractModel => {
          const file = path.join(folder, `lenet-${isolation}-${i}.onnx`)
          fs.copyFileSync(lenetModel.path, file)
          return { ...lenet, model: { ...lenetModel, name: unsafeModelName(`lenet-${i}`), path: file } }
        })
        for (let round = 0; round < 3; round++) {
          const glet = yield* open({ id: unsafeGletId(`${gpu.id}/answers-${round}`), gpu, sharePct: gpu.sharesPct[gpu.sharesPct.length - 1]!, priority: 0 }).pipe(
            Effect.tap((handle) => Effect.forEach(copies, ({ model }) => handle.load(model, sizes), { concurrency: "unbounded" }))
          )
          for (const contract of copies) {
            for (const size of sizes) {
              const requests = Array.from({ length: size }, (_, i) => prepare(arena, contract, 1, 10 * round + i))
              const end = yield* runBatch(glet, { model: contract.model, entries: requests.map(({ entry }) => entry), items: size })
              requests.forEach((request, i) => verify(request, end, i))
              for (const { slot } of requests) slot.release()
            }
          }
        }
      }).pipe(Effect.provide(executor)))
  })

  describe(`cuda, ${isolation}: profiler`, () => {
    const profiler = ProfilerLive.layer().pipe(Layer.provideMerge(executor))
    it.live("joins requests whose answers stay the same, and refuses those whose answers do not", () =>
      Effect.gen(function*() {
        const { profile } = yield* Profiler
        const rows = yield* profile({ model: yield* modelOf("rows", softmaxOver(1)), gpu, budgetMs: 100 })
        assert.strictEqual(rows.maxBatch, 4)
        const mixed = yield* Effect.flip(profile({ model: yield* modelOf("mixed", softmaxOver(0)), gpu, budgetMs: 100 }))
        assert(mixed instanceof Error && "reason" in mixed)
        assert.strictEqual(mixed.reason, "items-depend")
        assert.include(mixed.message, `output "y"`)
      }).pipe(Effect.provide(profiler)))
  })
}
