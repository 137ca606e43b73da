/** Models that end the process which hosts the glets of their GPU, and with it the work of all others. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type { Model } from "../../src/core/Model.js"
import { onlinePlanOptions } from "../../src/core/PlanProblem.js"
import type { MemoryExecutorOptions } from "../../src/scheduler/MemoryExecutor.js"
import * as MemoryExecutor from "../../src/scheduler/MemoryExecutor.js"
import type { ModelReadiness } from "../../src/scheduler/Scheduler.js"
import { Scheduler } from "../../src/scheduler/Scheduler.js"
import { defaultRestartOptions } from "../../src/scheduler/RestartPolicy.js"
import { count, critical, load, observed, pass, profileOf, register, withScheduler } from "./service.js"

const oneModelPerGlet = { plan: { ...onlinePlanOptions, maxModelsPerGlet: 1 } }
const reasonOf = (name: Model["name"]) =>
  Effect.map(Scheduler, (scheduler) => {
    const readiness = scheduler.readiness(name)
    return readiness?.state === "failed" ? readiness.reason : readiness?.state
  })

/** Loads the models for `forMs`; answers the deaths of processes. */
const underLoad = (models: ReadonlyArray<Model>, forMs: number) =>
  Effect.scoped(Effect.gen(function*() {
    const died = new Set<number>()
    const scheduler = yield* Scheduler
    yield* observed({ gletExited: () => died.add(Math.round(scheduler.nowMs())) })
    yield* Effect.forEach(models, (model, i) => load(model, 40, forMs, i + 1), { concurrency: "unbounded" })
    return died.size
  }))

describe("a model that ends its process", () => {
  const bad = critical("bad", { sloMs: 200 })
  const one = critical("one", { sloMs: 200 })
  const two = critical("two", { sloMs: 200 })
  const all = [bad, one, two]
  const others = [one, two]

  const cases: ReadonlyArray<readonly [string, Partial<MemoryExecutorOptions>]> = [
    ["where it runs", { crash: (model, doing) => model.name === bad.name && doing === "running" }],
    ["where it runs for a shorter time than those beside it", {
      crash: (model, doing) => model.name === bad.name && doing === "running",
      latencyMs: ({ model }) => (model.name === bad.name ? 1 : 40)
    }]
  ]
  for (const [where, executor] of cases) {
    it.live(`is found and taken out, so that the others serve: ${where}`, () =>
      withScheduler({ executor, scheduler: oneModelPerGlet }, Effect.gen(function*() {
        yield* register(...all)
        const deaths = yield* underLoad(all, 3000)
        assert.isAtLeast(deaths, defaultRestartOptions.culpritExits)
        assert.isAtMost(deaths, defaultRestartOptions.culpritExits + 2)
        const reason = yield* reasonOf(bad.name)
        assert.match(reason ?? "", /^model "bad" was taken off glet gpu0\/\d+ \(crashed\): \d processes in a row died on gpu0 while it alone was running, at last the process of glet gpu0\/\d+ ended with signal SIGSEGV; mend the model, then load it again$/)
        for (const { name } of others) assert.strictEqual(yield* reasonOf(name), "ready")
        const [forBad, ...forOthers] = yield* Effect.forEach(all, (model, i) => Effect.fork(load(model, 20, 1000, 10 + i))).pipe(
          Effect.flatMap(Effect.forEach(Fiber.join))
        )
        yield* pass(200)
        assert.deepStrictEqual(count(forBad!), { "model-not-ready": forBad!.offered })
        for (const tally of forOthers) assert.deepStrictEqual(count(tally), { ok: tally.offered })
      })))
  }

  it.live("as a new version is not taken, however often it is tried, and the one before it stays", () =>
    withScheduler({ executor: { crash: ({ version }, doing) => version === 2 && doing === "loading" }, scheduler: oneModelPerGlet }, Effect.gen(function*() {
      const scheduler = yield* Scheduler
      yield* register(one)
      for (let attempt = 0; attempt < 2 * defaultRestartOptions.culpritExits; attempt++) {
        const next = { ...one, version: 2 }
        // At once, before what served is back.
        const registering = yield* Effect.fork(scheduler.register(next, profileOf(next)))
        let readiness: ModelReadiness | undefined
        yield* Effect.fork(Effect.map(Fiber.join(registering), (joined) => readiness = joined))
        for (let ms = 0; readiness === undefined && ms < 5000; ms++) yield* pass(1)
        assert.isDefined(readiness)
      }
      yield* pass(5000)
      assert.strictEqual(yield* reasonOf(one.name), "ready")
      const tally = yield* load(one, 20, 1000, 1)
      yield* pass(200)
      assert.deepStrictEqual(count(tally), { ok: tally.offered })
      assert.deepStrictEqual((yield* scheduler.status).models.map(({ version }) => version), [1])
    })))

  it.live("is found where it is loaded, and serves once it is mended and registered again", () => {
    let mended = false
    return withScheduler({
      executor: { crash: (model, doing) => !mended && model.name === bad.name && doing === "loading" }, scheduler: oneModelPerGlet
    }, Effect.gen(function*() {
      const scheduler = yield* Scheduler
      yield* register(...others)
      const registering = yield* Effect.fork(scheduler.register(bad, profileOf(bad)))
      const deaths = yield* underLoad(others, 3000)
      yield* Fiber.join(registering)
      assert.isAtLeast(deaths, defaultRestartOptions.culpritExits)
      assert.isAtMost(deaths, defaultRestartOptions.culpritExits + 2)
      assert.include(yield* reasonOf(bad.name), "while it alone was loading")
      for (const { name } of others) assert.strictEqual(yield* reasonOf(name), "ready")
      mended = true
      assert.deepStrictEqual(yield* register({ ...bad }), [{ state: "ready" }])
    }))
  })

  it.live("is not one that others kill between batches that it runs well", () =>
    withScheduler({ scheduler: { ...oneModelPerGlet, restart: { ...defaultRestartOptions, crashLoopExits: 100, maxBackoffMs: 100 } } }, Effect.gen(function*() {
      const control = yield* MemoryExecutor.MemoryExecutorControl
      yield* register(one)
      for (let kill = 0; kill < 6; kill++) {
        yield* load(one, 200, 700, kill)
        for (const { id } of yield* control.open) yield* control.kill(id)
      }
      yield* load(one, 200, 1500, 9)
      yield* pass(100)
      assert.strictEqual(yield* reasonOf(one.name), "ready")
    })))
})

describe("a model that changes while it is loaded anew", () => {
  it.live("whose objective changes stays loaded: what it was is not unloaded later", () =>
    withScheduler({ executor: { loadMs: 70 } }, Effect.gen(function*() {
      const model = critical("a")
      const other = critical("b")
      yield* register(model, other)
      yield* pass(1000)
      const scheduler = yield* Scheduler
      const control = yield* MemoryExecutor.MemoryExecutorControl
      for (const { id } of yield* control.open) yield* control.kill(id)
      // Opened again, and in the midst of loading.
      yield* pass(80)
      const amending = yield* Effect.fork(scheduler.amend(model.name, { sloMs: 45 }))
      yield* pass(2000)
      assert.isTrue(yield* Fiber.join(amending))
      const replanning = yield* Effect.fork(scheduler.amend(other.name, { sloMs: 45 }))
      yield* pass(1000)
      yield* Fiber.join(replanning)
      const tally = yield* load(model, 20, 500, 1)
      yield* pass(200)
      assert.deepStrictEqual(count(tally), { ok: tally.offered })
    })))

  // From a death on: 27 ms until the glet is opened, 20 for that, 70 for each model.
  for (const [offMs, againMs] of [[60, 130], [120, 90], [150, 60], [180, 10], [220, 30]] as const) {
    it.live(`that is unregistered ${offMs} ms after a death and registered again ${againMs} ms later stays loaded`, () =>
      withScheduler({ executor: { loadMs: 70 } }, Effect.gen(function*() {
        const model = critical("b")
        yield* register(critical("a"), model)
        yield* pass(1000)
        const scheduler = yield* Scheduler
        const control = yield* MemoryExecutor.MemoryExecutorControl
        for (const { id } of yield* control.open) yield* control.kill(id)
        yield* pass(offMs)
        yield* Effect.fork(scheduler.unregister(model.name))
        yield* pass(againMs)
        yield* Effect.fork(scheduler.register({ ...model }, profileOf(model)))
        yield* pass(2000)
        assert.deepStrictEqual(scheduler.readiness(model.name), { state: "ready" })
        const tally = yield* load(model, 20, 500, 1)
        yield* pass(200)
        assert.deepStrictEqual(count(tally), { ok: tally.offered })
      })))
  }
})
