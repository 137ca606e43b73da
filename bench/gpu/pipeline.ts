/**
 * What batches that follow each other take, against one batch by itself: copies of one overlap the execution of others. By model, share and batch, under
 * MPS; and two models in turn on the whole GPU against the sum of what each takes in a row of its own.
 *
 *   node pipeline.mjs ZOO OUT.json [MODEL...]         bundled as bench/gpu/README.md says; GLET_RUNNER names another runner
 */
import * as Effect from "effect/Effect"
import type { Batch, GletHandle } from "../../src/core/Executor.js"
import { unsafeGletId } from "../../src/core/Ids.js"
import { makeSlotLayout } from "../../src/core/SlotLayout.js"
import { makeRandom } from "../../src/core/internal/random.js"
import { makeSampleRequests } from "../../src/core/internal/sampleInputs.js"
import * as CudaExecutor from "../../src/node-cuda/CudaExecutor.js"
import { describeGpus } from "../../src/node-cuda/CudaInventory.js"
import { summary } from "./lib/measure.js"
import { openResults, round } from "./lib/results.js"
import { zooModel, zooSignatures } from "./lib/zoo.js"

const [zoo, out, ...asked] = process.argv.slice(2)
if (zoo === undefined || out === undefined) throw new Error("usage: pipeline.mjs ZOO OUT.json [MODEL...]")
const forMs = Number(process.env["GLET_BENCH_MS"] ?? 300)
const batches = (process.env["GLET_BENCH_BATCHES"] ?? "1,4,8,16,32").split(",").map(Number)
const shares = (process.env["GLET_BENCH_SHARES"] ?? "100,50,20").split(",").map(Number)
const runnerPath = process.env["GLET_RUNNER"]
const { write } = openResults(out)

/** Keeps `outstanding` batches on their way; the time per batch from end to end, and what the runner reports of each. */
const loop = (handle: GletHandle, next: () => Batch, outstanding: number): Promise<{ readonly perBatchMs: number; readonly inferMs: number; readonly count: number }> =>
  new Promise((resolve, reject) => {
    const reported: Array<number> = []
    const skip = 5
    let fromMs = 0
    const startMs = performance.now()
    let inFlight = 0
    const start = (): void => {
      inFlight++
      handle.start(next(), (end) => {
        inFlight--
        if (!end.ok) return reject(new Error(end.error._tag === "GletExited" ? end.error.message : end.error.detail))
        const nowMs = performance.now()
        reported.push(end.inputMs + end.inferMs + end.outputMs)
        if (reported.length === skip) fromMs = nowMs
        if (nowMs - startMs < forMs || reported.length < skip + 10) return start()
        if (inFlight === 0) resolve({ perBatchMs: (nowMs - fromMs) / (reported.length - skip), inferMs: summary(reported.slice(skip)).p50Ms, count: reported.length - skip })
      })
    }
    for (let i = 0; i < outstanding; i++) start()
  })

const all = Effect.gen(function*() {
  const runner = runnerPath === undefined ? {} : { runnerPath }
  const [described] = yield* describeGpus({ isolation: "mps", ...runner })
  const { gpu } = described!
  const executor = yield* CudaExecutor.make(runner)
  write({ what: "device", ...gpu })
  const names = asked.length > 0 ? asked : [...zooSignatures.keys()]
  const batchOf = (name: string) => {
    const model = zooModel(zoo, name, Math.max(...batches))
    const requests = makeSampleRequests(executor.arena, makeSlotLayout(model.signature), model.maxBatch, 1 / (2 * names.length), { sizeOf: () => 128, maxInteger: 1000, random: makeRandom(1) })!
    return { model, batch: (items: number): Batch => ({ model, entries: requests.entries(items), items }) }
  }
  const models = new Map(names.map((name) => [name, batchOf(name)]))
  for (const share of shares) {
    yield* Effect.gen(function*() {
      const handle = yield* executor.open({ id: unsafeGletId(`${gpu.id}/pipeline-${share}`), gpu, sharePct: share, priority: 0 })
      const followedMs = new Map<string, number>()
      for (const name of names) {
        const { batch, model } = models.get(name)!
        yield* handle.load(model, batches)
        for (const items of batches) {
          const one = yield* Effect.promise(() => loop(handle, () => batch(items), 1))
          const followed = yield* Effect.promise(() => loop(handle, () => batch(items), handle.depth))
          followedMs.set(`${name} ${items}`, followed.perBatchMs)
          write({
            what: "followed", model: name, share, batch: items, aloneMs: round(one.inferMs), aloneEachMs: round(one.perBatchMs), followedMs: round(followed.inferMs), followedEachMs: round(followed.perBatchMs),
            ratio: round(followed.perBatchMs / one.inferMs), counts: [one.count, followed.count]
          })
        }
      }
      for (const [i, a] of names.entries()) {
        for (const b of names.slice(i + 1)) {
          for (const items of [batches[0]!, batches.at(-1)!]) {
            let turn = 0
            const { perBatchMs } = yield* Effect.promise(() => loop(handle, () => models.get(turn++ % 2 === 0 ? a : b)!.batch(items), handle.depth))
            write({ what: "in turn", models: [a, b], share, batch: items, ratio: round((2 * perBatchMs) / (followedMs.get(`${a} ${items}`)! + followedMs.get(`${b} ${items}`)!)) })
          }
        }
      }
    }).pipe(Effect.scoped, Effect.catchAllCause((cause) => Effect.sync(() => write({ what: "failed", share, error: String(cause) }))))
  }
})
await Effect.runPromise(Effect.scoped(all).pipe(Effect.catchAllCause((cause) => Effect.sync(() => write({ what: "failed", error: String(cause) })))))
process.exit(0)
