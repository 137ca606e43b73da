/**
 * What the way to a runner costs: LeNet through `CpuExecutor` (shared memory and socket; ort-c and ort-js) beside onnxruntime-node in a worker
 * thread, interleaved. Prints a table; `--json` a line per case.
 *
 *   npx esbuild bench/runner.ts --bundle --platform=node --format=esm --external:koffi --external:onnxruntime-* --outfile=dist/bench-runner.mjs
 *   node dist/bench-runner.mjs
 */
import * as Effect from "effect/Effect"
import * as fs from "node:fs"
import { Worker } from "node:worker_threads"
import type { Batch, GletHandle } from "../src/core/Executor.js"
import { Executor } from "../src/core/Executor.js"
import { unsafeGletId, unsafeModelName } from "../src/core/Ids.js"
import type { Model } from "../src/core/Model.js"
import { makeSlotLayout } from "../src/core/SlotLayout.js"
import type { TensorArena } from "../src/core/TensorArena.js"
import * as CpuExecutor from "../src/node-cuda/CpuExecutor.js"
import { cpuGpu } from "../src/node-cuda/CpuInventory.js"

const path = fs.realpathSync("resource/demo/lenet-digits.onnx")
const model: Model = {
  name: unsafeModelName("lenet"), version: 1, path, maxBatch: 64, serviceClass: "latency-critical", expectedRateRps: 1, weightBytes: 0,
  signature: {
    inputs: [{ name: "input", datatype: "FP32", shape: ["batch", 1, 28, 28] }],
    outputs: [{ name: "logits", datatype: "FP32", shape: ["batch", 10] }],
    batchSymbol: "batch"
  }
}
const layout = makeSlotLayout(model.signature)
const rounds = 5
const perRound = 1500
const batches = [1, 8, 32]

/** Something that runs `items` single-item requests as one batch and calls back. */
interface Contestant {
  readonly name: string
  readonly batch: (items: number, set: number) => (done: () => void) => void
  readonly inFlight: number
  /** Process that runs it, where it is not this one. */
  readonly pid?: number
}

/** CPU time of a process in µs, all threads: steadier than the clock where other work shares the cores. 0 where the system does not tell. */
const cpuTimeUs = (pid: number): number => {
  const tasks = `/proc/${pid}/task`
  if (!fs.existsSync(tasks)) return 0
  return fs.readdirSync(tasks).reduce((sum, task) => sum + Number(fs.readFileSync(`${tasks}/${task}/schedstat`, "utf8").split(" ")[0]) / 1000, 0)
}

const overExecutor = (name: string, arena: TensorArena, glet: GletHandle, pid: number): Contestant => ({
  name,
  pid,
  inFlight: glet.depth,
  batch: (items) => {
    const entries = Array.from({ length: items }, () => {
      const slot = arena.allocate(layout.placement(1, []).totalBytes)!
      new Float32Array(slot.bytes.buffer, slot.bytes.byteOffset, 784).fill(0.3)
      return { slot, items: 1, bindings: [] }
    })
    const batch: Batch = { model, entries, items }
    return (done) => glet.start(batch, (end) => {
      if (!end.ok) throw new Error(JSON.stringify(end.error))
      done()
    })
  }
})

/** The plain way: a worker thread with onnxruntime-node, tensors posted as structured clones. */
const workerSource = `
const { parentPort, workerData } = require("node:worker_threads")
const ort = require(workerData.ort)
ort.InferenceSession.create(workerData.path, { intraOpNumThreads: 1 }).then((session) => {
  parentPort.on("message", async (input) => {
    const { logits } = await session.run({ input: new ort.Tensor("float32", input, [input.length / 784, 1, 28, 28]) })
    parentPort.postMessage(logits.data)
  })
  parentPort.postMessage("ready")
})`
const overWorker = Effect.acquireRelease(
  Effect.promise(async () => {
    const worker = new Worker(workerSource, { eval: true, workerData: { path, ort: fs.realpathSync("node_modules/onnxruntime-node") } })
    await new Promise((resolve) => worker.once("message", resolve))
    return worker
  }),
  (worker) => Effect.promise(() => worker.terminate())
).pipe(Effect.map((worker): Contestant => {
  const waiting: Array<() => void> = []
  worker.on("message", () => waiting.shift()!())
  return {
    name: "worker thread, onnxruntime-node",
    inFlight: 2,
    batch: (items) => {
      const input = new Float32Array(784 * items).fill(0.3)
      return (done) => {
        waiting.push(done)
        worker.postMessage(input)
      }
    }
  }
}))

const latencies = async (run: (done: () => void) => void, count: number): Promise<Array<number>> => {
  const times: Array<number> = []
  for (let i = 0; i < count; i++) {
    const start = performance.now()
    await new Promise<void>((resolve) => run(resolve))
    times.push((performance.now() - start) * 1000)
  }
  return times
}

/** Items per second with the glet's depth of batches in flight. */
const throughput = (contestant: Contestant, items: number, total: number): Promise<number> =>
  new Promise((resolve) => {
    const start = performance.now()
    let started = 0
    let ended = 0
    for (let lane = 0; lane < contestant.inFlight; lane++) {
      const run = contestant.batch(items, lane)
      const again = () => {
        if (started++ < total) {
          run(() => {
            if (++ended === total) resolve((items * total * 1000) / (performance.now() - start))
            again()
          })
        }
      }
      again()
    }
  })

const percentile = (sorted: ReadonlyArray<number>, p: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * p))]!

const main = Effect.gen(function*() {
  const gpu = cpuGpu({ cores: 1 })
  const contestants: Array<Contestant> = []
  const cases = [
    ["shared memory, ort-c", { engine: "ort-c" }],
    ["socket, ort-c", { engine: "ort-c", sharedMemory: "off" }],
    ["shared memory, ort-js", { engine: "ort-js" }]
  ] as const
  for (const [name, options] of cases) {
    const executor = yield* CpuExecutor.make(options)
    const start = performance.now()
    const glet = yield* Effect.provideService(Effect.flatMap(Executor, (service) =>
      service.open({ id: unsafeGletId("cpu/0"), gpu, sharePct: 100, priority: 0 })), Executor, executor)
    const openMs = performance.now() - start
    const { loadMs, memoryBytes } = yield* glet.load(model, batches)
    const { pid = 0, residentBytes = 0 } = yield* glet.stats
    console.log(`${name}: first glet open in ${openMs.toFixed(0)} ms, model loaded in ${loadMs.toFixed(0)} ms, `
      + `${(memoryBytes / 1e6).toFixed(0)} MB; runner ${(residentBytes / 1e6).toFixed(0)} MB`)
    contestants.push(overExecutor(name, executor.arena, glet, pid))
  }
  contestants.push(yield* overWorker)

  const json = process.argv.includes("--json")
  const times = new Map(contestants.map((it) => [it.name, [] as Array<number>]))
  const cpu = new Map(contestants.map((it) => [it.name, [0, 0]]))
  const rates = new Map(contestants.map((it) => [it.name, new Map(batches.map((items) => [items, [] as Array<number>]))]))
  for (let round = 0; round < rounds; round++) {
    for (const contestant of contestants) {
      const run = contestant.batch(1, 0)
      yield* Effect.promise(() => latencies(run, 200))
      const usage = () => [cpuTimeUs(process.pid), contestant.pid === undefined ? 0 : cpuTimeUs(contestant.pid)] as const
      const before = usage()
      times.get(contestant.name)!.push(...(yield* Effect.promise(() => latencies(run, perRound))))
      usage().forEach((us, i) => cpu.get(contestant.name)![i]! += us - before[i]!)
      for (const items of batches) {
        rates.get(contestant.name)!.get(items)!.push(yield* Effect.promise(() => throughput(contestant, items, Math.ceil(4000 / items))))
      }
    }
  }
  for (const { name } of contestants) {
    const sorted = times.get(name)!.sort((a, b) => a - b)
    const row = {
      case: name,
      p50Us: percentile(sorted, 0.5),
      cpuUs: cpu.get(name)!.map((us) => us / sorted.length),
      p99Us: percentile(sorted, 0.99),
      itemsPerSecond: Object.fromEntries([...rates.get(name)!].map(([items, all]) => [items, percentile(all.sort((a, b) => a - b), 0.5)]))
    }
    console.log(json
      ? JSON.stringify(row)
      : `${name.padEnd(34)} one item p50 ${row.p50Us.toFixed(0).padStart(4)} µs, p99 ${row.p99Us.toFixed(0).padStart(5)} µs, CPU ${row.cpuUs.map((us) => us.toFixed(0)).join("+")} µs; items/s `
        + batches.map((items) => `b${items} ${row.itemsPerSecond[items]!.toFixed(0)}`).join(", "))
  }
})

await Effect.runPromise(Effect.scoped(main))
