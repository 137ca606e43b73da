/**
 * Several glets of one GPU at once, through executor and runner: what each takes alone, and while all compute. A share is only worth what it is
 * worth beside others.
 *
 *   node coRun.mjs ZOO OUT.jsonl ISOLATION [CASE...]     bundled as bench/gpu/README.md says; GLET_RUNNER names another runner
 *
 * Queues of the driver are chosen by its own variables: `CUDA_DEVICE_MAX_CONNECTIONS=8 node coRun.mjs ...`.
 */
import * as Effect from "effect/Effect"
import * as fs from "node:fs"
import type { Batch, GletHandle } from "../../src/core/Executor.js"
import { unsafeGletId } from "../../src/core/Ids.js"
import { makeSlotLayout } from "../../src/core/SlotLayout.js"
import { makeRandom } from "../../src/core/internal/random.js"
import { makeSampleRequests } from "../../src/core/internal/sampleInputs.js"
import * as CudaExecutor from "../../src/node-cuda/CudaExecutor.js"
import { describeGpus } from "../../src/node-cuda/CudaInventory.js"
import { summary } from "./lib/measure.js"
import { warmBatches } from "../../src/scheduler/RoutesOfPlan.js"
import { zooModel } from "./lib/zoo.js"

/** Model or models, largest batch, share in percent (rounded to what the isolation has), and copies. */
type Spec = readonly [string, number, number, number]
const cases: Readonly<Record<string, ReadonlyArray<Spec>>> = {
  two: [["resnet50", 8, 50, 1], ["bert-base", 8, 50, 1]],
  large: [["densenet161", 8, 19, 4], ["vgg16", 8, 12, 2]],
  mixed: [["dlrm-small", 8, 13, 1], ["ssd-mobilenetv1", 8, 25, 1], ["mnasnet1_0", 16, 25, 1], ["vgg16", 8, 31, 1]],
  many: [["resnet50", 4, 12, 8]],
  served: [["vgg16", 32, 25, 1], ["densenet161", 32, 13, 1], ["densenet161", 32, 19, 1], ["densenet161+vgg16", 32, 38, 1]]
}
/** As a server has them: models in turn, batches of all sizes up to the largest. */
const changing = new Set(["served"])

const [zoo, out, isolation, ...asked] = process.argv.slice(2)
if (zoo === undefined || out === undefined || !["green", "mps", "stream"].includes(isolation ?? "")) throw new Error("usage: coRun.mjs ZOO OUT.jsonl green|mps|stream [CASE...]")
const forMs = Number(process.env["GLET_BENCH_MS"] ?? 2000)
const runnerPath = process.env["GLET_RUNNER"]
const queues = { connections: process.env["CUDA_DEVICE_MAX_CONNECTIONS"], scale: process.env["CUDA_SCALE_LAUNCH_QUEUES"] }
const write = (result: object): void => {
  fs.appendFileSync(out, `${JSON.stringify({ isolation, ...queues, ...result })}\n`)
  console.log(JSON.stringify({ isolation, ...queues, ...result }))
}
const round = (value: number): number => Number(value.toPrecision(4))

const outstanding = Number(process.env["GLET_BENCH_OUTSTANDING"] ?? 2)

interface Running {
  readonly name: string
  readonly handle: GletHandle
  readonly next: () => Batch
}

/** Keeps two batches outstanding; latencies as the runner reports them, without the first. */
const loop = ({ handle, next }: Running, untilMs: number): Promise<{ readonly ms: ReadonlyArray<number>; readonly itemsPerS: number }> =>
  new Promise((resolve, reject) => {
    const ms: Array<number> = []
    const startMs = performance.now()
    let inFlight = 0
    let items = 0
    const start = (): void => {
      inFlight++
      const batch = next()
      items += batch.items
      handle.start(batch, (end) => {
        inFlight--
        if (!end.ok) return reject(new Error(end.error._tag === "GletExited" ? end.error.message : end.error.detail))
        ms.push(end.inferMs)
        if (performance.now() < untilMs) start()
        else if (inFlight === 0) resolve({ ms: ms.slice(3), itemsPerS: (1000 * items) / (performance.now() - startMs) })
      })
    }
    for (let i = 0; i < Math.min(outstanding, handle.depth); i++) start()
  })

const runCase = (executor: Effect.Effect.Success<ReturnType<typeof CudaExecutor.make>>, gpu: GletHandle["spec"]["gpu"], name: string) =>
  Effect.gen(function*() {
    const specs = cases[name]
    if (specs === undefined) throw new Error(`unknown case ${name}; known are ${Object.keys(cases).join(", ")}`)
    const nearest = (share: number): number => gpu.sharesPct.reduce((best, each) => (Math.abs(each - share) < Math.abs(best - share) ? each : best))
    const startMs = performance.now()
    const running = yield* Effect.forEach(specs.flatMap(([model, items, share, copies]) => Array.from({ length: copies }, (_, i) => ({ model, items, share: nearest(share), first: i === 0 }))),
      ({ first, items, model: modelName, share }, i) =>
        Effect.gen(function*() {
          const models = modelName.split("+").map((each) => zooModel(zoo, each, 32))
          const handle = yield* executor.open({ id: unsafeGletId(`${gpu.id}/corun-${name}-${i}`), gpu, sharePct: share, priority: 0 })
          const random = makeRandom(i + 1)
          const loads = yield* Effect.forEach(models, (model) =>
            Effect.gen(function*() {
              yield* handle.load(model, changing.has(name) ? warmBatches(items, items) : [items])
              const requests = makeSampleRequests(executor.arena, makeSlotLayout(model.signature), items, 1, { sizeOf: () => 128, maxInteger: 1000, random: makeRandom(1) })!
              return (size: number): Batch => ({ model, entries: requests.entries(size), items: size })
            }))
          let turn = 0
          const next = (): Batch => loads[turn++ % loads.length]!(changing.has(name) ? 1 + Math.floor(random() * items) : items)
          return { name: `${modelName} b${items} ${share} %`, first, handle, next }
        }), { concurrency: isolation === "mps" ? 8 : 1 })
    const loadMs = Math.round(performance.now() - startMs)
    const alone = new Map<string, { readonly p50Ms: number; readonly itemsPerS: number }>()
    for (const each of running.filter(({ first }) => first)) {
      const { itemsPerS, ms } = yield* Effect.promise(() => loop(each, performance.now() + forMs / 2))
      alone.set(each.name, { p50Ms: round(summary([...ms]).p50Ms), itemsPerS: Math.round(itemsPerS) })
    }
    const ended = yield* Effect.promise(() => {
      const untilMs = performance.now() + forMs
      return Promise.all(running.map((each) => loop(each, untilMs)))
    })
    const glets = running.map(({ name: glet }, i) => {
      const { p50Ms, p99Ms } = summary([...ended[i]!.ms])
      return { glet, alone: alone.get(glet)!, p50Ms: round(p50Ms), p99Ms: round(p99Ms), itemsPerS: Math.round(ended[i]!.itemsPerS), slowdown: round(p50Ms / alone.get(glet)!.p50Ms) }
    })
    write({ case: name, loadMs, itemsPerS: glets.reduce((sum, { itemsPerS }) => sum + itemsPerS, 0), ofAlone: round(glets.reduce((sum, { alone: { itemsPerS: own }, itemsPerS }) => sum + itemsPerS / own, 0) / glets.length), glets })
  }).pipe(Effect.scoped, Effect.catchAllCause((cause) => Effect.sync(() => write({ case: name, error: String(cause) }))))

const all = Effect.gen(function*() {
  const runner = runnerPath === undefined ? {} : { runnerPath }
  const [described] = yield* describeGpus({ isolation: isolation as "green", ...runner })
  const executor = yield* CudaExecutor.make(runner)
  for (const name of asked.length > 0 ? asked : Object.keys(cases)) yield* runCase(executor, described!.gpu, name)
})
await Effect.runPromise(Effect.scoped(all).pipe(Effect.catchAllCause((cause) => Effect.sync(() => write({ error: String(cause) })))))
process.exit(0)
