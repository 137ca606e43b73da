/**
 * One glet on the whole GPU, through the runner's engine: latency, throughput with batches in flight, time the JavaScript thread is held, beside
 * what the C API gives in a bare loop with the same session and nothing around it, and onnxruntime-node.
 *
 *   node engine.mjs ZOO OUT.json [MODEL...]          bundled as bench/gpu/README.md says
 */
import type { InferenceSession, Tensor } from "onnxruntime-common"
import { createRequire } from "node:module"
import { bareLoop } from "./lib/bareLoop.js"
import { openBench } from "./lib/engine.js"
import type { HeldTime } from "../../src/node-cuda/runner/cuda/HeldTime.js"
import type { Start } from "./lib/measure.js"
import { latencyOf, summary, throughputOf } from "./lib/measure.js"
import { openResults, round } from "./lib/results.js"
import { zooModel, zooSignatures } from "./lib/zoo.js"

const [zoo, out, ...asked] = process.argv.slice(2)
if (zoo === undefined || out === undefined) throw new Error("usage: engine.mjs ZOO OUT.json [MODEL...]")
const forMs = Number(process.env["GLET_BENCH_MS"] ?? 600)
const batches = (process.env["GLET_BENCH_BATCHES"] ?? "1,8,32").split(",").map(Number)
const largest = Math.max(...batches)
const { write } = openResults(out)

/** onnxruntime-node on CUDA: its `run` holds this thread for the whole batch. */
const nodeBaseline = async (file: string, name: string, items: number): Promise<object> => {
  const ort = createRequire(import.meta.url)("onnxruntime-node") as typeof import("onnxruntime-node")
  const session: InferenceSession = await ort.InferenceSession.create(file, { executionProviders: ["cuda"], logSeverityLevel: 3 })
  const { inputs } = zooSignatures.get(name)!
  const feeds: Record<string, Tensor> = {}
  for (const { datatype, name: input, shape } of inputs) {
    const dims = shape.map((dim) => typeof dim === "number" ? dim : items)
    const count = dims.reduce((n, dim) => n * dim, 1)
    feeds[input] = datatype === "INT64"
      ? new ort.Tensor("int64", new BigInt64Array(count).fill(1n), dims)
      : new ort.Tensor("float32", new Float32Array(count).fill(0.5), dims)
  }
  for (let i = 0; i < 5; i++) await session.run(feeds)
  const latency = await latencyOf((done) => void session.run(feeds).then(done), forMs)
  await session.release()
  return { p50Ms: round(latency.p50Ms), p99Ms: round(latency.p99Ms) }
}

/** Batches before the measurement, and the time for them. */
const warmBatches = 300
const warmMs = 2000

interface Held {
  /** Of a batch: mean, median, and the mean of each part, in ms. */
  readonly heldMs: number
  readonly heldP50Ms: number
  readonly heldParts: Readonly<Record<string, number>>
}

/** How long batches hold the thread, one at a time. */
const heldOf = async <A>(time: HeldTime, run: (counted: (start: Start) => Start) => Promise<A>): Promise<{ readonly held: Held; readonly result: A }> => {
  const each: Array<number> = []
  const parts = { ...time.partsMs }
  const first = time.totalMs
  let before = first
  const counted = (start: Start): Start => (done) => {
    // What held the thread since the last batch was started is the last one's.
    each.push(time.totalMs - before)
    before = time.totalMs
    start(done)
  }
  const result = await run(counted)
  const partMs = Object.entries(time.partsMs).map(([part, ms]) => [part, round((ms - parts[part as keyof typeof parts]) / each.length)] as const)
  return {
    held: { heldMs: round((time.totalMs - first) / each.length), heldP50Ms: round(summary(each.slice(1)).p50Ms), heldParts: Object.fromEntries(partMs) },
    result
  }
}

const bench = openBench("stream")
write({ what: "device", ...bench.driver.device, forMs, node: process.version, notes: bench.notes })
for (const name of asked.length > 0 ? asked : zooSignatures.keys()) {
  const model = zooModel(zoo, name, largest)
  try {
    const glet = await bench.openGlet(bench.driver.device.units)
    const loaded = await glet.load(model, batches)
    write({ what: "load", model: name, loadMs: round(loaded.loadMs), memoryMb: Math.round(loaded.memoryBytes / 2 ** 20), detail: loaded.detail })
    for (const items of batches) {
      const { start } = loaded.batch(items)
      const cold = await heldOf(glet.held, (counted) => latencyOf(counted(start), 0))
      // Code that has run a few dozen times is still slow: a runner lives longer.
      for (let i = 0, endMs = performance.now() + warmMs; i < warmBatches && performance.now() < endMs; i++) await new Promise<void>((done) => start(done))
      const { held, result: latency } = await heldOf(glet.held, (counted) => latencyOf(counted(start), forMs))
      const checksums = loaded.batch(items).outputs().filter((_, i) => i % model.signature.outputs.length === 0).slice(0, 4).map((output) =>
        round(new Float32Array(output.buffer, output.byteOffset, output.byteLength >> 2).reduce((sum, each, at) => sum + each * (1 + (at % 7)), 0)))
      const inFlight = Array.from({ length: glet.depth }, (_, set) => loaded.batch(items, set).start)
      const heldBefore = glet.held.totalMs
      const perSecond = await throughputOf(inFlight, forMs)
      const heldBusyMs = (glet.held.totalMs - heldBefore) / ((perSecond * forMs) / 1000)
      write({ what: "runner's engine", model: name, batch: items, p50Ms: round(latency.p50Ms), itemsPerS: Math.round(perSecond * items) })
      const bare = await bareLoop(bench.driver, model, items, loaded.detail.includes("nhwc"), forMs).catch((error: unknown) => ({ error: String(error) }))
      const node = process.env["GLET_BENCH_NODE"] === "0" ? undefined : await nodeBaseline(model.path, name, items).catch((error: unknown) => ({ error: String(error) }))
      write({
        what: "engine", model: name, batch: items, p50Ms: round(latency.p50Ms), p99Ms: round(latency.p99Ms), count: latency.count,
        itemsPerS: Math.round(perSecond * items), checksums, ...held, heldFirstMs: cold.held.heldMs, heldBusyMs: round(heldBusyMs), bare, node,
        ...("p50Ms" in bare ? { ratio: round(bare.p50Ms / latency.p50Ms), throughputRatio: round((perSecond * items) / bare.itemsPerS) } : {})
      })
    }
    await loaded.release()
    await glet.close()
  } catch (error) {
    write({ what: "failed", model: name, error: error instanceof Error ? error.stack : String(error) })
  }
}
process.exit(0)
