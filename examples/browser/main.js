// glet-orion in an Effect application that runs in a browser: measure a model on this machine's GPU, plan glets for it, send requests.
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Executor, GpuInventory, makeSlotLayout, Profiler, unsafeModelName } from "glet-orion/core"
import { defaultPlanner, Planner, Scheduler, SchedulerLive } from "glet-orion/scheduler"
import { describeProvider, probeCapabilities, Profiler as ProfilerLive, WebGpuExecutor, WebGpuInventory } from "glet-orion/webgpu"

/** @type {import("glet-orion/core").Model} */
const model = {
  name: unsafeModelName("lenet"),
  version: 1,
  path: "/lenet-digits.onnx",
  signature: {
    inputs: [{ name: "input", datatype: "FP32", shape: ["batch", 1, 28, 28] }],
    outputs: [{ name: "logits", datatype: "FP32", shape: ["batch", 10] }],
    batchSymbol: "batch"
  },
  maxBatch: 4, serviceClass: "latency-critical", sloMs: 5000, expectedRateRps: 2, weightBytes: 0
}

export const program = Effect.gen(function*() {
  const { gpus: [gpu] } = yield* GpuInventory
  const profiler = yield* Profiler
  const scheduler = yield* Scheduler
  const { arena } = yield* Executor
  const profile = yield* profiler.profile({ model, gpu, budgetMs: 500, sharesPct: [100] })
  yield* scheduler.register(model, new Map([[gpu.type, profile]]))

  const place = makeSlotLayout(model.signature).placement(1, [])
  const slot = yield* Effect.fromNullable(arena.allocate(place.totalBytes))
  new Float32Array(slot.bytes.buffer, slot.bytes.byteOffset + place.inputOffsets[0], 784).fill(0.5)
  const arrivedAtMs = scheduler.nowMs()
  const { times } = yield* scheduler.submit({ model: model.name, slot, items: 1, bindings: [], arrivedAtMs })
  const logits = [...new Float32Array(slot.bytes.buffer, slot.bytes.byteOffset + place.outputOffsets[0], 10)]
  slot.release()
  return { on: describeProvider(yield* probeCapabilities), latencyMs: times.endedMs - times.arrivedMs, logits }
})

/**
 * Where onnxruntime-web is, if the bundler does not say.
 * @typedef {Parameters<typeof WebGpuExecutor.layer>[0]} Options
 */

/** @param {Options} [options] */
export const layers = (options) =>
  SchedulerLive.layer().pipe(
    Layer.provideMerge(ProfilerLive.layer()),
    Layer.provideMerge(WebGpuExecutor.layer(options)),
    Layer.provideMerge(WebGpuInventory.layer()),
    Layer.provide(Layer.succeed(Planner, defaultPlanner))
  )

/** @param {Options} [options] */
export const run = (options) => Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(layers(options))))
