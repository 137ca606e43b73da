/**
 * A latency-critical model beside endless best-effort work that gives way between two kernels, through executor and runner: ResNet50 in batches of 4,
 * Poisson 200/s, on all SMs; best-effort batches of 32 over it on a share. Latencies from the scheduled arrival, in ms.
 *
 *   node preempt.mjs ZOO OUT.jsonl SECONDS CASE...     bundled as bench/gpu/README.md says; GLET_RUNNER names another runner
 *
 * `fillCores`: what the process of the best-effort glet takes of one core meanwhile (under mps; elsewhere both glets live in it).
 *
 * CASE: ISOLATION:PREEMPTION[:SHARE[:MODELS]], e.g. `mps:on`, `stream:off:40:bert-base+mobilenet_v2`; `off` for batches that run to their end.
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
import { zooModel } from "./lib/zoo.js"

const [zoo, out, seconds, ...cases] = process.argv.slice(2)
if (zoo === undefined || out === undefined || !(Number(seconds) > 0)) throw new Error("usage: preempt.mjs ZOO OUT.jsonl SECONDS CASE...")
const forMs = 1000 * Number(seconds)
const ratePerMs = Number(process.env["GLET_BENCH_RATE"] ?? 200) / 1000
const beItems = Number(process.env["GLET_BENCH_ITEMS"] ?? 32)
const runner = process.env["GLET_RUNNER"] === undefined ? {} : { runnerPath: process.env["GLET_RUNNER"] }
const round = (value: number): number => Number(value.toPrecision(4))
const write = (result: object): void => {
  fs.appendFileSync(out, `${JSON.stringify(result)}\n`)
  console.log(JSON.stringify(result))
}

const failed = (end: { readonly ok: boolean; readonly error?: unknown }): Error => new Error(JSON.stringify(end))

/** Batches at the instants of a Poisson process, the same for every case. */
const poisson = (handle: GletHandle, batch: Batch): Promise<ReadonlyArray<number>> =>
  new Promise((resolve, reject) => {
    const random = makeRandom(7)
    const startMs = performance.now()
    const latencies: Array<number> = []
    let arrivalMs = startMs
    let inFlight = 0
    const next = (): void => {
      arrivalMs += -Math.log(1 - random()) / ratePerMs
    }
    next()
    const turn = (): void => {
      const nowMs = performance.now()
      while (arrivalMs <= nowMs && arrivalMs - startMs < forMs) {
        const arrivedMs = arrivalMs
        next()
        inFlight++
        handle.start(batch, (end) => {
          inFlight--
          if (!end.ok) return reject(failed(end))
          latencies.push(performance.now() - arrivedMs)
        })
      }
      if (arrivalMs - startMs >= forMs && inFlight === 0) resolve(latencies)
      else setImmediate(turn)
    }
    turn()
  })

/** Two batches outstanding until told to end. Items per second. */
const endless = (handle: GletHandle, batch: Batch, isOver: () => boolean): Promise<number> =>
  new Promise((resolve, reject) => {
    const startMs = performance.now()
    let items = 0
    let inFlight = 0
    const start = (): void => {
      inFlight++
      handle.start(batch, (end) => {
        inFlight--
        if (!end.ok) return reject(failed(end))
        items += batch.items
        if (!isOver()) start()
        else if (inFlight === 0) resolve((1000 * items) / (performance.now() - startMs))
      })
    }
    start()
    start()
  })

const after = (ms: number): () => boolean => {
  const untilMs = performance.now() + ms
  return () => performance.now() >= untilMs
}

/** CPU time of a process so far, ms; NaN where it cannot be read. Ticks of 10 ms. */
const cpuMsOf = (pid: number | undefined): number => {
  if (pid === undefined) return NaN
  // Behind the name, which may have spaces: user and system time are the 14th and 15th field.
  const fields = fs.readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)!.split(" ")
  return 10 * (Number(fields[11]) + Number(fields[12]))
}

const runCase = (text: string) =>
  Effect.gen(function*() {
    const [isolation = "mps", preemption = "on", share = "100", models = "bert-base+mobilenet_v2"] = text.split(":")
    const [described] = yield* describeGpus({ isolation: isolation as "mps", ...runner })
    const { gpu } = described!
    const executor = yield* CudaExecutor.make(runner)
    const nearest = gpu.sharesPct.reduce((best, each) => (Math.abs(each - Number(share)) < Math.abs(best - Number(share)) ? each : best))
    const load = (handle: GletHandle, name: string, items: number) =>
      Effect.gen(function*() {
        const model = zooModel(zoo, name, 32)
        const report = yield* handle.load(model, [items])
        const requests = makeSampleRequests(executor.arena, makeSlotLayout(model.signature), items, 1, { sizeOf: () => 128, maxInteger: 1000, random: makeRandom(1) })!
        return { report, batch: { model, entries: requests.entries(items), items } as Batch }
      })
    const critical = yield* executor.open({ id: unsafeGletId("gpu/critical"), gpu, sharePct: 100, priority: 0 })
    const resnet = yield* load(critical, "resnet50", 4)
    const alone = summary([...yield* Effect.promise(() => poisson(critical, resnet.batch))])
    const over = yield* executor.open({ id: unsafeGletId("gpu/over"), gpu, sharePct: nearest, priority: 1, ...(preemption === "off" ? {} : { givesWay: true }) })
    for (const name of models.split("+")) {
      const fill = yield* load(over, name, beItems)
      const fillAlone = yield* Effect.promise(() => endless(over, fill.batch, after(forMs / 4)))
      let isOver = false
      const { pid } = yield* over.stats
      const [cpuBeforeMs, beforeMs] = [cpuMsOf(pid), performance.now()]
      const filling = endless(over, fill.batch, () => isOver)
      const latencies = yield* Effect.promise(() => poisson(critical, resnet.batch))
      isOver = true
      const together = yield* Effect.promise(() => filling)
      const fillCores = (cpuMsOf(pid) - cpuBeforeMs) / (performance.now() - beforeMs)
      const beside = summary([...latencies])
      write({
        case: text, fill: `${name} b${beItems} ${nearest} %`, alone: { p50Ms: round(alone.p50Ms), p99Ms: round(alone.p99Ms) }, together: { p50Ms: round(beside.p50Ms), p99Ms: round(beside.p99Ms) },
        p99OverAlone: round(beside.p99Ms / alone.p99Ms), p50OverAlone: round(beside.p50Ms / alone.p50Ms), fillAlonePerS: Math.round(fillAlone), fillPerS: Math.round(together),
        fillOverAlone: round(together / fillAlone), fillCores: round(fillCores), detail: fill.report.detail
      })
    }
  }).pipe(Effect.scoped, Effect.timeout("100 seconds"), Effect.catchAllCause((cause) => Effect.sync(() => write({ case: text, error: String(cause) }))))

for (const each of cases) await Effect.runPromise(runCase(each))
process.exit(0)
