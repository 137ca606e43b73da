/**
 * How exactly emulated glets take the time that was asked: |actual - asked| from `start` to `onEnd`, one batch at a time, beside what a plain
 * `setTimeout` makes of the same durations.
 *
 * command: node bench/run.mjs emulated [--json]
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Batch, GletHandle } from "../src/core/Executor.js"
import { Executor } from "../src/core/Executor.js"
import { unsafeGletId, unsafeModelName } from "../src/core/Ids.js"
import type { Model } from "../src/core/Model.js"
import type { Profile } from "../src/core/Profile.js"
import { makeSlotLayout } from "../src/core/SlotLayout.js"
import * as Emulated from "../src/node-cuda/Emulated.js"

const askedMs = [0.2, 1, 5, 20] as const
/** Time per row, ms. */
const rowMs = 1500

const signature: Model["signature"] = {
  inputs: [{ name: "input", datatype: "FP32", shape: ["batch", 16] }],
  outputs: [{ name: "output", datatype: "FP32", shape: ["batch", 16] }],
  batchSymbol: "batch"
}
const modelOf = (ms: number): Model => ({
  name: unsafeModelName(`asked-${ms}`), version: 1, path: "", signature, maxBatch: 1, serviceClass: "latency-critical", sloMs: 100,
  expectedRateRps: 1, weightBytes: 0
})
const profile: Profile = {
  apiVersion: "glet/v1alpha1",
  kind: "Profile",
  gpuType: "bench",
  isolation: "emulated",
  units: 100,
  models: askedMs.map((ms) => ({
    model: modelOf(ms).name, memoryBytes: 0, loadMs: 0, points: [{ sharePct: 5, batch: 1, meanMs: ms, p50Ms: ms, p90Ms: ms, p99Ms: ms, count: 1 }]
  }))
}

interface Row {
  readonly what: string
  readonly askedMs: number
  readonly count: number
  readonly p50ErrorMs: number
  readonly p99ErrorMs: number
}

const rowOf = (what: string, asked: number, actual: ReadonlyArray<number>): Row => {
  const errors = actual.map((ms) => Math.abs(ms - asked)).sort((a, b) => a - b)
  const at = (q: number) => Math.round(1000 * errors[Math.ceil(q * errors.length) - 1]!) / 1000
  return { what, askedMs: asked, count: errors.length, p50ErrorMs: at(0.5), p99ErrorMs: at(0.99) }
}

/** Repeats `once` for the time of a row and collects how long each took. */
const collect = async (once: () => Promise<void>): Promise<ReadonlyArray<number>> => {
  const durations: Array<number> = []
  const endMs = performance.now() + rowMs
  while (performance.now() < endMs) {
    const startedMs = performance.now()
    await once()
    durations.push(performance.now() - startedMs)
  }
  return durations
}

const program = Effect.gen(function*() {
  const executor = yield* Executor
  const [gpu] = Emulated.emulatedGpus(profile, { count: 1 })
  const glets: ReadonlyArray<GletHandle> = yield* Effect.forEach(Array.from({ length: 16 }), (_, i) =>
    executor.open({ id: unsafeGletId(`bench/${i}`), gpu: gpu!, sharePct: 5, priority: 0 }))
  const slot = executor.arena.allocate(makeSlotLayout(signature).placement(1, []).totalBytes)!
  const rows: Array<Row> = []
  for (const asked of askedMs) {
    const model = modelOf(asked)
    yield* Effect.forEach(glets, (glet) => glet.load(model, []))
    const batch: Batch = { model, entries: [{ slot, items: 1, bindings: [] }], items: 1 }
    const on = (glet: GletHandle) => () => new Promise<void>((resolve) => glet.start(batch, () => resolve()))
    rows.push(rowOf("setTimeout", asked, yield* Effect.promise(() => collect(() => new Promise((resolve) => setTimeout(resolve, asked))))))
    rows.push(rowOf("1 glet", asked, yield* Effect.promise(() => collect(on(glets[0]!)))))
    rows.push(rowOf("16 glets", asked, (yield* Effect.promise(() => Promise.all(glets.map((glet) => collect(on(glet)))))).flat()))
  }
  return rows
})

const layer = Layer.provideMerge(Emulated.layer({ profiles: [profile] }), Emulated.layerInventory(profile, { count: 1 }))
const rows = await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(layer)))
if (process.argv.includes("--json")) console.log(JSON.stringify({ bench: "emulated", rows }))
else console.table(rows)
