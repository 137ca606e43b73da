/**
 * Glets of one GPU under green contexts, through the runner's engine: latency by number of SMs, pairs of glets on halves of the SMs, and
 * latency-critical work beside best-effort work with and without stream priorities and SM limits.
 *
 *   node green.mjs ZOO OUT.json [shares|pairs|priorities ...]          bundled as bench/gpu/README.md says
 */
import { makeRandom } from "../../src/core/internal/random.js"
import type { BenchGlet, BenchModel } from "./lib/engine.js"
import { openBench } from "./lib/engine.js"
import type { Latency } from "./lib/measure.js"
import { latencyOf, openLoop, throughputOf } from "./lib/measure.js"
import { openResults, round } from "./lib/results.js"
import { zooModel } from "./lib/zoo.js"

const [zoo, out, ...parts] = process.argv.slice(2)
if (zoo === undefined || out === undefined) throw new Error("usage: green.mjs ZOO OUT.json [shares|pairs|priorities ...]")
const forMs = Number(process.env["GLET_BENCH_MS"] ?? 500)
const openLoopMs = Number(process.env["GLET_BENCH_OPEN_LOOP_MS"] ?? 4000)
const { guarded, write } = openResults(out, parts)
const brief = ({ count, p50Ms, p99Ms }: Latency) => ({ p50Ms: round(p50Ms), p99Ms: round(p99Ms), count })

const bench = openBench("green", 1536 << 20)
const all = bench.driver.device.units
write({ what: "device", ...bench.driver.device, forMs, openLoopMs, node: process.version })

interface Loaded {
  readonly glet: BenchGlet
  readonly model: BenchModel
  readonly name: string
  readonly items: number
}

const open = async (name: string, items: number, units: number, priority = 0): Promise<Loaded> => {
  const glet = await bench.openGlet(units, priority)
  return { glet, model: await glet.load(zooModel(zoo, name, items), [items]), name, items }
}
const close = async ({ glet, model }: Loaded): Promise<void> => {
  await model.release()
  await glet.close()
}
/** Batches without a pause, as many in flight as the glet wants. */
const busy = ({ glet, items, model }: Loaded, ms: number): Promise<number> =>
  throughputOf(Array.from({ length: glet.depth }, (_, set) => model.batch(items, set).start), ms)

const shares: ReadonlyArray<readonly [string, number, ReadonlyArray<number>]> = [
  ["resnet50", 1, [8, 24, 40, 64, 96, 120, all]], ["resnet50", 8, [8, 24, 40, 64, 96, 120, all]], ["mobilenet_v2", 8, [24, 64, all]],
  ["bert-base", 8, [8, 24, 40, 64, 96, 120, all]], ["dlrm-small", 32, [8, 24, 64, all]]
]
for (const [name, items, counts] of shares) {
  for (const units of counts) {
    await guarded("shares", async () => {
      const began = performance.now()
      const glet = await bench.openGlet(units)
      const openMs = performance.now() - began
      const model = await glet.load(zooModel(zoo, name, items), [items])
      const loaded = { glet, model, name, items }
      const alone = await latencyOf(model.batch(items).start, forMs)
      write({
        what: "shares", model: name, batch: items, asked: units, units: glet.units, openMs: round(openMs), loadMs: round(model.loadMs), ...brief(alone),
        itemsPerS: Math.round((await busy(loaded, forMs)) * items), detail: model.detail
      })
      await close(loaded)
    })
  }
}

for (const [a, b] of [["resnet50", "resnet50"], ["resnet50", "bert-base"], ["resnet50", "dlrm-small"], ["bert-base", "bert-base"], ["bert-base", "dlrm-small"]] as const) {
  await guarded("pairs", async () => {
    const one = await open(a, 8, 56)
    const other = await open(b, b === "dlrm-small" ? 32 : 8, 56)
    const alone = [await busy(one, forMs), await busy(other, forMs)] as const
    const together = await Promise.all([busy(one, 2 * forMs), busy(other, 2 * forMs)])
    const unit = (rate: number, { items }: Loaded) => Math.round(rate * items)
    write({
      what: "pairs", a, b, units: [one.glet.units, other.glet.units],
      alone: [unit(alone[0], one), unit(alone[1], other)], together: [unit(together[0], one), unit(together[1], other)],
      slowdown: [round(alone[0] / together[0]), round(alone[1] / together[1])]
    })
    await close(one)
    await close(other)
  })
}

/** SMs and priorities of the latency-critical and of the best-effort glet. */
const settings: ReadonlyArray<readonly [string, readonly [number, number], readonly [number, number]]> = [
  ["no priority", [all, 0], [all, 0]],
  ["priority", [all, -3], [all, 3]],
  ["priority, best-effort on 48 SMs", [all, -3], [48, 3]],
  ["priority, best-effort on 96 SMs", [all, -3], [96, 3]],
  ["72 and 48 SMs", [72, 0], [48, 0]]
]
const ratePerS = 200
for (const other of (process.env["GLET_BENCH_EFFORT"] ?? "bert-base,densenet161").split(",")) {
  for (const [name, critical, effort] of settings) {
    await guarded("priorities", async () => {
      const be = await open(other, 32, effort[0], effort[1])
      const lc = await open("resnet50", 4, critical[0], critical[1])
      const random = makeRandom(7)
      const start = lc.model.batch(4).start
      const beAlone = (await busy(be, 1000)) * 32
      const alone = await openLoop(start, ratePerS, openLoopMs / 2, random)
      const running = busy(be, openLoopMs)
      const beside = await openLoop(start, ratePerS, openLoopMs, random)
      write({
        what: "priorities", setting: name, critical: "resnet50 batch 4 at 200/s", effort: `${other} batch 32`, alone: brief(alone), beside: brief(beside),
        p99Ratio: round(beside.p99Ms / alone.p99Ms), effortAlone: Math.round(beAlone), effortBeside: Math.round((await running) * 32)
      })
      await close(lc)
      await close(be)
    })
  }
}
process.exit(0)
