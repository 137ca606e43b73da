import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as path from "node:path"
import { GpuInventory } from "../../core/Gpu.js"
import type { GletHandle } from "../../core/Executor.js"
import { Executor, runBatch } from "../../core/Executor.js"
import { unsafeGletId } from "../../core/Ids.js"
import type { Model } from "../../core/Model.js"
import { counted } from "../../core/internal/counted.js"
import { fitRecipe, noRoom, samplesOf } from "../../core/internal/fitSamples.js"
import { sampleRecipes } from "../../core/internal/sampleRecipes.js"
import { makeRandom } from "../../core/internal/random.js"
import { CliError, usageError } from "../CliError.js"
import type { ParsedArgs } from "../CommandSpec.js"
import type { Backend } from "../compose.js"
import { layerCpu, layerCuda, layerWebGpu } from "../compose.js"
import { readModelFile } from "../internal/localModels.js"
import { bold, colourOut, ms, out, rps, table } from "../internal/terminal.js"
import { makeAlarm, makeTimerAlarm } from "../load/Alarm.js"
import { exponential } from "../../simulator/ArrivalSchedule.js"
import type { LatencySummary } from "../../core/LatencyHistogram.js"
import { LatencyHistogram } from "../../core/LatencyHistogram.js"
import type { run } from "../specs/run.js"

type RunArgs = ParsedArgs<typeof run>

interface Measured {
  /** From the time an execution was due. */
  readonly latency: LatencySummary
  /** Of the execution alone. */
  readonly execution: LatencySummary
  readonly elapsedMs: number
}

const measure = (args: RunArgs, handle: GletHandle, model: Model) =>
  Effect.gen(function*() {
    const { arena } = yield* Executor
    const { layout } = yield* readModelFile(model.path, model.name)
    const random = makeRandom(args.seed)
    const source = { arena, model, count: args.batch, arenaPart: 0.5, seed: args.seed }
    const recipe = yield* fitRecipe(handle, source, sampleRecipes(layout, { size: 128, maxInteger: 1 })).pipe(
      Effect.catchTag("ModelLoadFailed", ({ detail }) => new CliError({ reason: "failed", problem: `the model failed while running: ${detail}` }))
    )
    const samples = yield* Effect.acquireRelease(
      Effect.suspend(() => {
        const made = samplesOf(source, recipe)
        return made === undefined
          ? Effect.fail(new CliError({ reason: "failed", problem: noRoom }))
          : Effect.succeed(made)
      }),
      (made) => Effect.sync(made.release)
    )
    const once = Effect.suspend(() => runBatch(handle, { model, entries: samples.entries(args.batch), items: args.batch })).pipe(
      Effect.flatMap((end) => {
        if (end.ok) return Effect.void
        return Effect.fail(end.error._tag === "BatchFailed" ? new CliError({ reason: "failed", problem: `the model failed while running: ${end.error.detail}` }) : end.error)
      })
    )
    yield* Effect.repeatN(once, Math.max(0, args.warmUp - 1)).pipe(Effect.when(() => args.warmUp > 0))
    const alarm = yield* Effect.acquireRelease(Effect.sync(() => args.interval > 0 ? makeAlarm() : makeTimerAlarm()), ({ close }) => Effect.sync(close))
    const waitFor = (waitMs: number): Effect.Effect<void> =>
      waitMs <= 0 ? Effect.void : Effect.async((resume) => alarm.set(waitMs, () => resume(Effect.void)))
    const latency = new LatencyHistogram()
    const execution = new LatencyHistogram()
    const startMs = performance.now()
    let dueMs = startMs
    for (let i = 0; i < args.n; i++) {
      if (args.interval > 0) yield* waitFor(dueMs - performance.now())
      const beganMs = performance.now()
      yield* once
      const endMs = performance.now()
      execution.add(endMs - beganMs)
      latency.add(endMs - (args.interval > 0 ? dueMs : beganMs))
      dueMs += args.interval * exponential(random)
    }
    const measured: Measured = { latency: latency.summary(), execution: execution.summary(), elapsedMs: performance.now() - startMs }
    return measured
  })

const backendOf = (args: ParsedArgs<typeof run>): Layer.Layer<Backend, unknown> =>
  args.executor === "cuda" ? layerCuda(args) : args.executor === "webgpu" ? layerWebGpu({}) : layerCpu(args)

/** `glet run` */
export const handle = (args: RunArgs): Effect.Effect<void, unknown> =>
  Effect.gen(function*() {
    const name = path.basename(args.positional).replace(/\.onnx$/, "")
    const { model } = yield* readModelFile(path.resolve(args.positional), name)
    if (args.batch > model.maxBatch) return yield* usageError(`--batch ${args.batch}: ${name} takes batches of at most ${model.maxBatch}`)
    const { gpus: [gpu] } = yield* GpuInventory
    if (!gpu!.sharesPct.includes(args.share)) return yield* usageError(`--share ${args.share}: this ${args.executor === "cpu" ? "machine's cores" : "GPU"} can be cut into ${gpu!.sharesPct.join(", ")} %`)
    const executor = yield* Executor
    const glet = yield* executor.open({ id: unsafeGletId(`${gpu!.id}/run`), gpu: gpu!, sharePct: args.share, priority: 0 })
    const loaded = yield* glet.load(model, [args.batch])
    const measured = yield* measure(args, glet, model)
    const perSecond = (args.n * args.batch * 1000) / measured.elapsedMs
    if (args.json) {
      return out(JSON.stringify({
        apiVersion: "glet/v1alpha1", kind: "RunReport", model: model.path, batch: args.batch, n: args.n, intervalMs: args.interval, sharePct: args.share,
        engine: loaded.detail, loadMs: loaded.loadMs, itemsPerSecond: perSecond, latencyMs: measured.latency, executionMs: measured.execution
      }))
    }
    const colour = colourOut()
    const row = (what: string, s: LatencySummary) => [what, ms(s.meanMs), ms(s.p50Ms), ms(s.p90Ms), ms(s.p95Ms), ms(s.p99Ms), ms(s.maxMs)]
    out(`${bold(name, colour)}: ${args.n} executions of ${counted(args.batch, "item")}, ${loaded.detail}, loaded in ${ms(loaded.loadMs)} ms, ${rps(perSecond)} items/s\n`)
    out(table(["ms", "mean", "p50", "p90", "p95", "p99", "max"], [
      row("execution", measured.execution),
      ...(args.interval > 0 ? [row("with waiting", measured.latency)] : [])
    ], { align: "lrrrrrr", colour }))
  }).pipe(Effect.scoped, Effect.provide(backendOf(args)))
