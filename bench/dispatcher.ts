/**
 * Cost of the scheduler's decisions: ns per request for offer + pull + batchEnded, by batch size and models, without any execution.
 * Budget: 3000 ns per request where requests are batched.
 *
 * command: npx esbuild bench/dispatcher.ts --bundle --platform=node --format=esm --outfile=dist/bench/dispatcher.mjs && node dist/bench/dispatcher.mjs
 */
import { unsafeGletId, unsafeGpuId, unsafeModelName } from "../src/core/Ids.js"
import type { Model } from "../src/core/Model.js"
import { Dispatcher } from "../src/scheduler/Dispatcher.js"

const slot = { bytes: new Uint8Array(0), offset: 0, release: () => {} }
const end = { ok: true, inputMs: 0, inferMs: 1, outputMs: 0, outputBindings: undefined, overflow: undefined } as const

const measure = (models: number, glets: number, batch: number, refused: boolean): number => {
  const dispatcher = new Dispatcher({ maxQueued: 1_000_000 })
  const served = Array.from({ length: models }, (_, i): Model => ({
    name: unsafeModelName(`m${i}`), version: 1, path: "", signature: { inputs: [], outputs: [] }, maxBatch: 64,
    serviceClass: "latency-critical", sloMs: 100, expectedRateRps: 0, weightBytes: 0
  }))
  const latencyMs = Float64Array.from({ length: 65 }, (_, items) => 1 + 0.01 * items)
  for (const model of served) dispatcher.setModel(model)
  const ids = Array.from({ length: glets }, (_, i) => unsafeGletId(`gpu/${i}`))
  dispatcher.setRoutes(ids.map((id) => ({
    id, gpu: unsafeGpuId("gpu"),
    models: served.map((model) => ({
      model, bestEffort: false, planBatch: batch, batchLimit: batch, fraction: 1 / models, slackMs: Infinity, latencyMs, typicalRatio: 1
    }))
  })))
  for (const id of ids) dispatcher.gletReady(id, 1)
  let now = 0
  let requests = 0
  const onEnd = () => {}
  const round = (): void => {
    for (const model of served) {
      for (let i = 0; i < batch; i++) {
        dispatcher.offer(now, { model: model.name, slot, items: 1, bindings: [], ...(refused ? { timeoutMs: 0.1 } : {}) }, onEnd)
        requests += 1
      }
    }
    for (let pulled = true; pulled;) {
      pulled = false
      for (const id of ids) {
        const next = dispatcher.pull(now, id)
        if (next === undefined) continue
        pulled = true
        now += 1
        dispatcher.batchEnded(now, next, end)
      }
    }
    dispatcher.ended.length = 0
    now += 1
  }
  for (let i = 0; i < 2000; i++) round()
  let best = Infinity
  for (let repeat = 0; repeat < 5; repeat++) {
    requests = 0
    const start = process.hrtime.bigint()
    while (requests < 100_000) round()
    best = Math.min(best, Number(process.hrtime.bigint() - start) / requests)
  }
  return best
}

console.log("models glets batch   ns/request (best of 5)")
for (const [models, glets, batch] of [[1, 1, 1], [1, 1, 8], [1, 1, 64], [1, 4, 8], [4, 1, 8], [4, 4, 8], [16, 4, 8]] as const) {
  console.log(`${String(models).padStart(6)} ${String(glets).padStart(5)} ${String(batch).padStart(5)}   ${measure(models, glets, batch, false).toFixed(0)}`)
}
console.log(`refused at once (deadline-unreachable), 1 model, 1 glet: ${measure(1, 1, 8, true).toFixed(0)} ns`)
