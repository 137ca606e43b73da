/**
 * One glet on the whole GPU through everything: executor, runner process, shared memory, engine. Latency as the runner reports it and as the
 * round trip takes; throughput with the glet's depth of batches outstanding.
 *
 *   node runner.mjs ZOO OUT.json [MODEL...]          bundled as bench/gpu/README.md says; needs dist/runner.js, GLET_RUNNER names another place
 */
import * as Effect from "effect/Effect"
import type { Batch, GletHandle } from "../../src/core/Executor.js"
import { unsafeGletId } from "../../src/core/Ids.js"
import type { Model } from "../../src/core/Model.js"
import { makeSlotLayout } from "../../src/core/SlotLayout.js"
import type { TensorArena } from "../../src/core/TensorArena.js"
import { makeRandom } from "../../src/core/internal/random.js"
import * as CudaExecutor from "../../src/node-cuda/CudaExecutor.js"
import { describeGpus } from "../../src/node-cuda/CudaInventory.js"
import { makeSampleRequests } from "../../src/core/internal/sampleInputs.js"
import { latencyOf, summary, throughputOf } from "./lib/measure.js"
import { openResults, round } from "./lib/results.js"
import { zooModel, zooSignatures } from "./lib/zoo.js"

const [zoo, out, ...asked] = process.argv.slice(2)
if (zoo === undefined || out === undefined) throw new Error("usage: runner.mjs ZOO OUT.json [MODEL...]")
const forMs = Number(process.env["GLET_BENCH_MS"] ?? 600)
const batches = (process.env["GLET_BENCH_BATCHES"] ?? "1,8,32").split(",").map(Number)
const runnerPath = process.env["GLET_RUNNER"]
const { write } = openResults(out)

const measure = async (arena: TensorArena, handle: GletHandle, model: Model, items: number): Promise<void> => {
  const layout = makeSlotLayout(model.signature)
  const sets = Array.from({ length: handle.depth }, () => {
    const requests = makeSampleRequests(arena, layout, items, 1, { sizeOf: () => 128, maxInteger: 1000, random: makeRandom(1) })!
    const batch: Batch = { model, entries: requests.entries(items), items }
    return { batch, requests }
  })
  const reported: Array<number> = []
  const start = ({ batch }: (typeof sets)[number]) => (done: () => void) =>
    handle.start(batch, (end) => {
      if (!end.ok) throw new Error(end.error._tag === "GletExited" ? end.error.message : end.error.detail)
      reported.push(end.inputMs + end.inferMs + end.outputMs)
      done()
    })
  const roundTrip = await latencyOf(start(sets[0]!), forMs)
  const own = summary(reported.slice(5))
  const perSecond = await throughputOf(sets.map(start), forMs)
  write({
    what: "runner", model: model.name, batch: items, isolation: handle.spec.gpu.isolation, p50Ms: round(own.p50Ms), p99Ms: round(own.p99Ms),
    roundTrip: { p50Ms: round(roundTrip.p50Ms), p99Ms: round(roundTrip.p99Ms), count: roundTrip.count }, itemsPerS: Math.round(perSecond * items)
  })
  for (const { requests } of sets) requests.release()
}

const all = Effect.gen(function*() {
  const runner = runnerPath === undefined ? {} : { runnerPath }
  const [described] = yield* describeGpus({ isolation: "green", ...runner })
  const { gpu } = described!
  const executor = yield* CudaExecutor.make(runner)
  write({ what: "device", ...gpu })
  for (const name of asked.length > 0 ? asked : zooSignatures.keys()) {
    const model = zooModel(zoo, name, Math.max(...batches))
    yield* Effect.gen(function*() {
      const handle = yield* executor.open({ id: unsafeGletId(`${gpu.id}/bench-${name}`), gpu, sharePct: 100, priority: 0 })
      const report = yield* handle.load(model, batches)
      write({ what: "load", model: name, ...report, loadMs: round(report.loadMs) })
      for (const items of batches) yield* Effect.promise(() => measure(executor.arena, handle, model, items))
    }).pipe(Effect.scoped, Effect.catchAllCause((cause) => Effect.sync(() => write({ what: "failed", model: name, error: String(cause) }))))
  }
})
await Effect.runPromise(Effect.scoped(all).pipe(Effect.catchAllCause((cause) => Effect.sync(() => write({ what: "failed", error: String(cause) })))))
process.exit(0)
