/**
 * What a request costs the agent, where fronts read and answer it and a runner process computes it: its messages through rings in shared memory beside
 * the same through sockets, in turn. Processes are real, and so is all that happens to a request in the agent but for metrics; fronts offer without
 * reading HTTP, six models in turn, and the runner computes nothing, so that the agent is the limit.
 *
 * command: node bench/run.mjs agent [--fronts 2] [--glets 2] [--rates 1000,4000,16000,endless] [--rounds 3] [--seconds 2] [--json]
 *
 * `endless`: 64 requests of each front are always there. A rate is met by Poisson arrivals, which fronts look for every 0.1 to 0.2 ms.
 */
import * as Effect from "effect/Effect"
import { spawn } from "node:child_process"
import type { Duplex } from "node:stream"
import { fileURLToPath } from "node:url"
import { PerformanceObserver } from "node:perf_hooks"
import { parseArgs } from "node:util"
import { Executor } from "../src/core/Executor.js"
import { unsafeGletId, unsafeModelName } from "../src/core/Ids.js"
import { makeSegmentArena } from "../src/core/internal/segmentArena.js"
import type { Model } from "../src/core/Model.js"
import { makeSlotLayout } from "../src/core/SlotLayout.js"
import type { SharedMemory, TensorSlot } from "../src/core/TensorArena.js"
import { FrontLink } from "../src/front/FrontLink.js"
import { FrontModels } from "../src/front/FrontModels.js"
import { childChannel } from "../src/link/childChannel.js"
import { makeFrameReader } from "../src/link/frameReader.js"
import { lendChannel } from "../src/link/lendChannel.js"
import * as CpuExecutor from "../src/node-cuda/CpuExecutor.js"
import { cpuGpu } from "../src/node-cuda/CpuInventory.js"
import type { RunnerSettings } from "../src/node-cuda/internal/control.js"
import { connectionFd, mapSegment, segmentFd } from "../src/node-cuda/internal/segment.js"
import { protocolVersion } from "../src/node-cuda/internal/wire.js"
import type { Engine } from "../src/node-cuda/runner/Engine.js"
import { Runner } from "../src/node-cuda/runner/Runner.js"
import { Dispatcher } from "../src/scheduler/Dispatcher.js"
import { CrashWatch } from "../src/scheduler/internal/crashWatch.js"
import { RequestPath } from "../src/scheduler/internal/requestPath.js"
import { defaultRestartOptions } from "../src/scheduler/RestartPolicy.js"
import { AdmissionPage, pageBytes } from "../src/server/fronts/admissionPage.js"
import { FrontPeer } from "../src/server/fronts/frontPeer.js"
import { linkFd } from "../src/server/fronts/protocol.js"
import { PublishedModels } from "../src/server/fronts/publishedModels.js"

const models = Array.from({ length: 6 }, (_, i): Model => ({
  name: unsafeModelName(`m${i}`), version: 1, path: "none", maxBatch: 32, serviceClass: "latency-critical", sloMs: 1000, expectedRateRps: 1, weightBytes: 0,
  signature: { inputs: [{ name: "x", datatype: "FP32", shape: ["n", 16] }], outputs: [{ name: "y", datatype: "FP32", shape: ["n", 16] }], batchSymbol: "n" }
}))
const layout = makeSlotLayout(models[0]!.signature)
const warmUpMs = 500

/** A runner whose batches end in the next turn of its event loop. */
const beRunner = (settings: RunnerSettings): void => {
  const { memory } = mapSegment(segmentFd, settings.segmentBytes)
  const engine: Engine = {
    name: "ort-c",
    openGlet: () => Promise.resolve({
      opened: { units: 1 },
      load: () => Promise.resolve({
        loaded: { memoryBytes: 0, detail: "" },
        model: {
          run: (_, onEnd) => void setImmediate(() => onEnd({ ok: true, inputMs: 0, inferMs: 0.05, outputMs: 0, outputBindings: [], overflow: undefined })),
          release: () => Promise.resolve()
        }
      }),
      close: () => Promise.resolve()
    })
  }
  const { channelOffset } = settings
  let read: (bytes: Buffer) => void = () => undefined
  const { end, sink } = childChannel(connectionFd, channelOffset === undefined ? undefined : { memory, offset: channelOffset }, (bytes) => read(bytes), () => process.exit(1))
  const runner = new Runner(sink, engine, new Uint8Array(memory), true, () => end(() => process.exit(0)))
  read = makeFrameReader(runner)
  runner.send({ type: "ready", protocol: protocolVersion, engine: engine.name })
}

interface FrontOrder {
  readonly role: "front"
  readonly segmentBytes: number
  readonly part: { readonly offset: number; readonly byteLength: number }
  readonly pageOffset: number
  readonly channelOffset: number | undefined
  /** Requests a second, or undefined for as many as go. */
  readonly rate: number | undefined
  readonly seconds: number
}

/** A front that offers by itself once it knows the models; it writes what it saw to its standard output. */
const beFront = ({ channelOffset, pageOffset, part, rate, seconds, segmentBytes }: FrontOrder): void => {
  const { memory } = mapSegment(segmentFd, segmentBytes)
  const known = new FrontModels()
  const arena = makeSegmentArena(memory, part)
  let read: (bytes: Buffer) => void = () => undefined
  const { end, sink } = childChannel(linkFd, channelOffset === undefined ? undefined : { memory, offset: channelOffset }, (bytes) => read(bytes), () => process.exit(1))
  const link = new FrontLink(sink, known, new AdmissionPage(memory, pageOffset), arena, (message) => {
    if (message.type !== "model") return
    known.put(message.number, message.line, message.model)
    if (models.every(({ name }) => known.find(name) !== undefined)) begin()
  })
  read = makeFrameReader(link)
  const { totalBytes } = layout.placement(1, [])
  const waysMs: Array<number> = []
  let failed = 0
  let at = 0
  let over = Infinity
  let from = Infinity
  const offer = (onEnd: () => void): void => {
    const model = known.find(`m${at++ % models.length}`)!.model
    const slot: TensorSlot = arena.allocate(totalBytes)!
    const sentMs = performance.now()
    link.offer({ model: model.name, slot, items: 1, bindings: [], arrivedAtMs: Number(process.hrtime.bigint()) / 1e6 }, (told) => {
      slot.release()
      if (!told.ok) failed += 1
      else if (sentMs >= from) waysMs.push(performance.now() - sentMs)
      onEnd()
    }, model)
  }
  const finish = (): void => {
    waysMs.sort((a, b) => a - b)
    const q = (p: number) => waysMs[Math.min(waysMs.length - 1, Math.floor(p * waysMs.length))] ?? NaN
    process.stdout.write(JSON.stringify({ answered: waysMs.length, failed, p50Ms: q(0.5), p99Ms: q(0.99) }), () => end(() => process.exit(0)))
  }
  const begin = (): void => {
    // What runs for the first time is compiled meanwhile.
    from = performance.now() + warmUpMs
    over = from + 1000 * seconds
    setTimeout(finish, warmUpMs + 1000 * seconds + 300)
    if (rate === undefined) {
      const again = (): void => {
        if (performance.now() < over) offer(again)
      }
      for (let i = 0; i < 64; i++) again()
      return
    }
    const nap = new Int32Array(new SharedArrayBuffer(4))
    const gap = (): number => (-Math.log(1 - Math.random()) * 1000) / rate
    let next = performance.now() + gap()
    const look = (): void => {
      for (const now = performance.now(); next <= now; next += gap()) offer(() => undefined)
      if (next > over) return
      Atomics.wait(nap, 0, 0, 0.1)
      setImmediate(look)
    }
    look()
  }
}

interface Outcome {
  readonly perS: number
  readonly cpuUs: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly items: number
  /** Time of a second that the collector of garbage takes, and the longest of its pauses. */
  readonly gcMs: number
  readonly longestGcMs: number
}

const here = fileURLToPath(import.meta.url)

/** One measurement: an agent with its fronts and runners. */
const measure = (rings: boolean, rate: number | undefined, { fronts, glets, seconds }: { readonly fronts: number; readonly glets: number; readonly seconds: number }): Promise<Outcome> =>
  Effect.runPromise(Effect.scoped(Effect.gen(function*() {
    // Channels take nothing from a small arena.
    const executor = yield* CpuExecutor.make({ arenaBytes: rings ? 64 << 20 : 8 << 20, runnerPath: here })
    const gpus = Array.from({ length: glets }, (_, i) => ({ ...cpuGpu({ cores: 1 }), id: `cpu:${i}` as never }))
    const dispatcher = new Dispatcher({ maxQueued: 100_000 })
    const path = new RequestPath({
      dispatcher, crashes: new CrashWatch(defaultRestartOptions), nowMs: () => Number(process.hrtime.bigint()) / 1e6, defer: (run) => void setImmediate(run),
      onWaiting: () => undefined, onGathering: () => undefined, onDefect: (defect) => { throw defect }
    })
    for (const model of models) dispatcher.setModel(model)
    const latencyMs = Float64Array.from({ length: 33 }, (_, n) => 0.05 + 0.001 * n)
    dispatcher.setRoutes(gpus.map((gpu, i) => ({
      id: unsafeGletId(`g${i}`), gpu: gpu.id,
      models: models.map((model) => ({ model, bestEffort: false, planBatch: 32, batchLimit: 32, fraction: 1 / models.length, slackMs: Infinity, latencyMs, typicalRatio: 1 }))
    })))
    for (const [i, gpu] of gpus.entries()) {
      const handle = yield* Effect.provideService(Effect.flatMap(Executor, ({ open }) => open({ id: unsafeGletId(`g${i}`), gpu, sharePct: 100, priority: 0 })), Executor, executor)
      for (const model of models) yield* handle.load(model, [])
      path.setHandle(unsafeGletId(`g${i}`), handle)
    }
    let count = { batches: 0, items: 0 }
    let window: { readonly batches: number; readonly items: number; readonly gcMs: number; readonly longestGcMs: number; readonly ms: number; readonly cpuUs: number } | undefined
    let gcMs = 0
    let longestGcMs = 0
    const collections = new PerformanceObserver((list) => {
      for (const { duration } of list.getEntries()) {
        gcMs += duration
        longestGcMs = Math.max(longestGcMs, duration)
      }
    })
    collections.observe({ entryTypes: ["gc"] })
    let isOpen = false
    const openWindow = (): void => {
      isOpen = true
      setTimeout(() => {
        const [atMs, cpu] = [performance.now(), process.cpuUsage()]
        count = { batches: 0, items: 0 }
        gcMs = longestGcMs = 0
        setTimeout(() => {
          const { system, user } = process.cpuUsage(cpu)
          collections.disconnect()
          window = { ...count, gcMs, longestGcMs, ms: performance.now() - atMs, cpuUs: system + user }
        }, 1000 * seconds - 400)
      }, warmUpMs + 200)
    }
    path.observers.add({ batchEnded: ({ items }) => {
      if (!isOpen) openWindow()
      count.batches += 1
      count.items += items
    } })
    const shared = executor.arena.shared as SharedMemory
    const page = shared.lend(pageBytes)!
    new AdmissionPage(shared.memory, page.offset).clear()
    const published = new PublishedModels({
      find: (name) => {
        const model = models.find((each) => each.name === name)
        return model === undefined ? undefined : { model, layout, config: {}, state: "READY" }
      },
      index: () => models.map(({ name }) => ({ name, state: "READY" as const, reason: "" }))
    }, () => undefined)
    published.sync()
    const reports = yield* Effect.forEach(Array.from({ length: fronts }), () =>
      Effect.gen(function*() {
        const channel = rings ? yield* lendChannel(executor.arena) : undefined
        const part = shared.lend(1 << 20)!
        const order: FrontOrder = {
          role: "front", segmentBytes: shared.memory.byteLength, part: { offset: part.offset, byteLength: part.byteLength }, pageOffset: page.offset,
          channelOffset: channel?.offset, rate: rate === undefined ? undefined : rate / fronts, seconds
        }
        return yield* Effect.promise(() => new Promise<{ answered: number; failed: number; p50Ms: number; p99Ms: number }>((resolve, reject) => {
          const child = spawn(process.execPath, [here, JSON.stringify(order)], { stdio: ["ignore", "pipe", "inherit", "pipe", shared.fd] })
          const peer = new FrontPeer(child.stdio[linkFd] as Duplex, {
            scheduler: { offer: path.offer, refusedUnread: () => undefined }, metrics: { droppedAtFront: () => undefined, responded: () => undefined },
            models: published, memory: shared.memory, part, channel, onOffered: () => undefined, onReady: () => undefined, onTaken: () => undefined,
            onDefect: reject, onMalformed: reject
          })
          for (const message of published.messages) peer.tell(message)
          let text = ""
          child.stdout!.on("data", (chunk) => text += chunk)
          child.once("close", () => peer.gone(() => resolve(JSON.parse(text))))
        }))
      }), { concurrency: "unbounded" })
    if (reports.some(({ failed }) => failed > 0)) throw new Error(`requests failed: ${JSON.stringify(reports)}`)
    const worst = (of: (report: typeof reports[number]) => number) => Math.max(...reports.map(of))
    return {
      perS: (1000 * window!.items) / window!.ms, cpuUs: window!.cpuUs / window!.items, items: window!.items / window!.batches,
      gcMs: (1000 * window!.gcMs) / window!.ms, longestGcMs: window!.longestGcMs,
      p50Ms: worst((report) => report.p50Ms), p99Ms: worst((report) => report.p99Ms)
    }
  })))

const median = (values: ReadonlyArray<number>): number => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]!

const main = async (): Promise<void> => {
  const { values: args } = parseArgs({
    options: {
      fronts: { type: "string", default: "2" }, glets: { type: "string", default: "2" }, rates: { type: "string", default: "1000,4000,16000,endless" },
      rounds: { type: "string", default: "3" }, seconds: { type: "string", default: "2" }, json: { type: "boolean", default: false }
    }
  })
  const set = { fronts: Number(args.fronts), glets: Number(args.glets), seconds: Number(args.seconds) }
  const rows: Array<Record<string, string | number>> = []
  for (const rate of args.rates.split(",")) {
    const outcomes = new Map([[true, [] as Array<Outcome>], [false, [] as Array<Outcome>]])
    for (let round = 0; round < Number(args.rounds); round++) {
      for (const rings of [true, false]) outcomes.get(rings)!.push(await measure(rings, rate === "endless" ? undefined : Number(rate), set))
    }
    for (const [rings, all] of outcomes) {
      const of = (key: keyof Outcome) => median(all.map((each) => each[key]))
      rows.push({
        rate, messages: rings ? "rings" : "sockets", "requests/s": Math.round(of("perS")), "agent's µs a request": Math.round(10 * of("cpuUs")) / 10,
        "requests a batch": Math.round(10 * of("items")) / 10, "p50 ms": Math.round(1000 * of("p50Ms")) / 1000, "p99 ms": Math.round(1000 * of("p99Ms")) / 1000,
        "collecting, ms/s": Math.round(10 * of("gcMs")) / 10, "longest pause": Math.round(10 * of("longestGcMs")) / 10
      })
    }
  }
  if (args.json) for (const row of rows) console.log(JSON.stringify(row))
  else console.table(rows)
  process.exit(0)
}

const given = process.argv[2]?.startsWith("{") === true ? (JSON.parse(process.argv[2]) as RunnerSettings | FrontOrder) : undefined
if (given === undefined) void main()
else if ("role" in given) beFront(given)
else beRunner(given)
