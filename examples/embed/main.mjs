// glet-orion inside an Effect application: provide the layers, submit requests. Run after `npm ci`: node examples/embed/main.mjs
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Executor } from "glet-orion/core"
import { CpuExecutor, CpuInventory, Profiler, ProfileStoreFile } from "glet-orion/node-cuda"
import { defaultPlanner, Planner, Scheduler, SchedulerLive } from "glet-orion/scheduler"
import { ModelCatalog, ModelCatalogLive } from "glet-orion/server"
import { fileURLToPath } from "node:url"

const directory = fileURLToPath(new URL("../../resource/demo", import.meta.url))

const program = Effect.gen(function*() {
  const catalog = yield* ModelCatalog.ModelCatalog
  yield* catalog.settled
  const { layout, model } = yield* Effect.fromNullable(catalog.find("lenet-digits"))
  const place = layout.placement(1, [])
  const slot = yield* Effect.acquireRelease(
    Executor.pipe(Effect.flatMap(({ arena }) => Effect.fromNullable(arena.allocate(place.totalBytes)))),
    (slot) => Effect.sync(slot.release)
  )
  const { buffer, byteOffset } = slot.bytes
  new Float32Array(buffer, byteOffset + place.inputOffsets[0], 784).fill(0.5)
  const scheduler = yield* Scheduler
  const { times } = yield* scheduler.submit({ model: model.name, slot, items: 1, bindings: [] })
  const logits = new Float32Array(buffer, byteOffset + place.outputOffsets[0], 10)
  console.log(JSON.stringify({ latencyMs: times.endedMs - times.arrivedMs, logits: [...logits] }))
})

const layers = ModelCatalogLive.layer({ directory, profileBudgetMs: 200 }).pipe(
  Layer.provideMerge(SchedulerLive.layer()),
  Layer.provideMerge(Profiler.layer()),
  Layer.provideMerge(CpuExecutor.layer()),
  Layer.provide([CpuInventory.layer(), ProfileStoreFile.layer(), Layer.succeed(Planner, defaultPlanner)])
)
await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(layers)))
