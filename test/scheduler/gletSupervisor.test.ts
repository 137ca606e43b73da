import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import type { GletSpec } from "../../src/core/Executor.js"
import { Executor } from "../../src/core/Executor.js"
import { unsafeGletId, unsafeGpuId } from "../../src/core/Ids.js"
import type { Model } from "../../src/core/Model.js"
import { SupervisedGlet } from "../../src/scheduler/internal/gletSupervisor.js"
import * as MemoryExecutor from "../../src/scheduler/MemoryExecutor.js"
import { defaultRestartOptions } from "../../src/scheduler/RestartPolicy.js"
import { critical, pass } from "./service.js"
import { makeVirtualClock } from "./virtualClock.js"

const spec: GletSpec = {
  id: unsafeGletId("gpu0/1"), sharePct: 100, priority: 0,
  gpu: { id: unsafeGpuId("gpu0"), type: "test", isolation: "emulated", units: 100, memoryBytes: 1e10, sharesPct: [100] }
}
const works = (...models: ReadonlyArray<Model>) => models.map((model) => ({ model, warm: [1] }))

/** A glet whose executor tells each file that it really reads; one that it has by name and version already it does not read again. */
const withGlet = <A, E>(
  models: ReadonlyArray<Model>, body: (glet: SupervisedGlet, read: Array<string>) => Effect.Effect<A, E, MemoryExecutor.MemoryExecutorControl>
) => {
  const read: Array<string> = []
  const executor = MemoryExecutor.layer({
    latencyMs: () => 1, openMs: 20, loadMs: 10,
    failLoad: (model) => {
      read.push(model.path)
      return undefined
    }
  })
  return Effect.scoped(Effect.gen(function*() {
    const context = yield* Layer.build(executor)
    const clock = yield* Effect.clock
    const glet = yield* SupervisedGlet.start(spec, works(...models), 1, {
      executor: Context.get(context, Executor), nowMs: () => clock.unsafeCurrentTimeMillis(), restart: defaultRestartOptions,
      onReady: () => undefined, onLoadFailed: () => undefined, onClosing: () => undefined, onReopen: () => undefined, onLost: () => undefined,
      onLoad: (_glet, _model, load) => load
    }, yield* Effect.scope)
    yield* pass(100)
    return yield* Effect.provide(body(glet, read), context)
  })).pipe(Effect.provide(Logger.remove(Logger.defaultLogger)), Effect.withClock(makeVirtualClock()))
}

describe("SupervisedGlet", () => {
  const a = critical("a", { path: "a" })
  const b = critical("b", { path: "b" })
  const again = critical("a", { path: "a, written anew" })

  it.live("reads the new file of a model that was forgotten while the glet came back, and is there again under its old version", () =>
    withGlet([a, b], (glet, read) =>
      Effect.gen(function*() {
        assert.deepStrictEqual(read, ["a", "b"])
        const control = yield* MemoryExecutor.MemoryExecutorControl
        yield* control.kill(spec.id)
        // Until it has loaded the first, and is about to load the second.
        while (read.length < 3) yield* pass(1)
        assert.isUndefined(glet.handle)
        yield* glet.retarget(works(b))
        yield* glet.unloadOthers
        yield* pass(100)
        assert.strictEqual(glet.state, "ready")
        assert.deepStrictEqual([...glet.loaded.keys()], [b], "what nobody wants any longer is not kept")
        yield* Effect.fork(glet.retarget(works(again, b)))
        yield* pass(100)
        assert.isTrue(glet.isLoaded(again))
        assert.deepStrictEqual(read, ["a", "b", "a", "b", "a, written anew"])
      })))

  it.live("reads the new file of a model that takes the place of one of the same name and version", () =>
    withGlet([a, b], (glet, read) =>
      Effect.gen(function*() {
        yield* Effect.fork(glet.retarget(works(again, b)))
        yield* pass(100)
        yield* glet.unloadOthers
        assert.deepStrictEqual([...glet.loaded.keys()], [b, again])
        assert.deepStrictEqual(read, ["a", "b", "a, written anew"])
      })))

  it.live("comes back with what the deployed plan has there, as long as the next one is not deployed", () =>
    withGlet([a], (glet) =>
      Effect.gen(function*() {
        yield* Effect.fork(glet.retarget(works(b)))
        yield* pass(100)
        const control = yield* MemoryExecutor.MemoryExecutorControl
        yield* control.kill(spec.id)
        yield* pass(1000)
        assert.strictEqual(glet.state, "ready")
        assert.sameMembers([...glet.loaded.keys()], [a, b])
        yield* glet.unloadOthers
        assert.sameMembers([...glet.loaded.keys()], [b])
        yield* control.kill(spec.id)
        yield* pass(2000)
        assert.strictEqual(glet.state, "ready")
        assert.sameMembers([...glet.loaded.keys()], [b])
      })))

  it.live("reads nothing again of a model whose objective changed", () =>
    withGlet([a, b], (glet, read) =>
      Effect.gen(function*() {
        const amended: Model = { ...a, sloMs: 20 }
        glet.amend(a, amended)
        yield* Effect.fork(glet.retarget(works(amended, b)))
        yield* pass(100)
        yield* glet.unloadOthers
        assert.isTrue(glet.isLoaded(amended))
        assert.deepStrictEqual(read, ["a", "b"])
      })))
})
