import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import { gletsOf } from "../../src/core/Plan.js"
import type { InferRequest, RequestEnd } from "../../src/core/Request.js"
import * as MemoryExecutor from "../../src/scheduler/MemoryExecutor.js"
import { greedy } from "../../src/scheduler/planners/Greedy.js"
import { orion } from "../../src/scheduler/planners/Orion.js"
import type { PlannerAlgorithm } from "../../src/scheduler/Planner.js"
import { Infeasible } from "../../src/scheduler/Planner.js"
import { Scheduler } from "../../src/scheduler/Scheduler.js"
import * as SchedulerLive from "../../src/scheduler/SchedulerLive.js"
import { statusStream } from "../../src/scheduler/StatusStream.js"
import { makeModel, request } from "./harness.js"
import { makeVirtualClock } from "./virtualClock.js"
import type { Tally } from "./service.js"
import { count, critical, layer, load, observed, offer, outcome, pass, profileOf, register, withScheduler } from "./service.js"

describe("Scheduler", () => {
  it.live("answers within the SLO at moderate load, and says what it predicted and measured", () =>
    withScheduler({}, Effect.gen(function*() {
      const a = critical("a")
      const b = critical("b", { sloMs: 100 })
      assert.deepStrictEqual(yield* register(a, b), [{ state: "ready" }, { state: "ready" }])
      const forA = yield* Effect.fork(load(a, 100, 2000, 1))
      const tally = yield* Fiber.join(forA)
      yield* pass(60)
      assert.deepStrictEqual(count(tally), { ok: tally.offered })
      assert.strictEqual(tally.within, tally.offered)
      const status = yield* (yield* Scheduler).status
      const model = status.models.find((entry) => entry.model === a.name)!
      assert.strictEqual(model.answered, tally.offered)
      assert.strictEqual(model.withinSlo, tally.offered)
      assert.isAtLeast(model.rateRps, 60)
      assert.isAbove(model.latency.p50Ms, 0)
      const work = status.glets.flatMap((glet) => glet.assignments).filter((entry) => entry.model === a.name && entry.measured.count > 0)
      assert.isNotEmpty(work)
      for (const entry of work) assert.isAtMost(entry.measured.p50Ms, 1.1 * entry.predictedMs)
    })))

  it.live("estimates how many items come at once, and says it", () =>
    withScheduler({}, Effect.gen(function*() {
      const a = critical("a", { expectedRateRps: 800 })
      yield* register(a)
      const modelStatus = Effect.map((yield* Scheduler).status, ({ models }) => models[0]!)
      assert.isUndefined((yield* modelStatus).itemsPerRequest, "before any request was seen")
      for (let ms = 0; ms < 4000; ms += 5) {
        yield* offer(request(a, { items: 4 }))
        yield* pass(5)
      }
      assert.strictEqual((yield* modelStatus).itemsPerRequest, 4)
    })))

  it.live("plans again within a second of a step in the rate, and no request fails because of it", () =>
    withScheduler({ gpus: 2 }, Effect.gen(function*() {
      const a = critical("a", { expectedRateRps: 20 })
      const stepRps = 3000
      const plans: Array<{ readonly atMs: number; readonly capacityRps: number }> = []
      const scheduler = yield* Scheduler
      yield* Effect.scoped(Effect.gen(function*() {
        yield* observed({
          planDeployed: ({ plan }) =>
            plans.push({
              atMs: scheduler.nowMs(),
              capacityRps: gletsOf(plan).reduce((sum, { glet }) => sum + glet.assignments.reduce((total, work) => total + work.capacityRps, 0), 0)
            })
        })
        yield* register(a)
        yield* load(a, 20, 3000, 2)
        const stepMs = scheduler.nowMs()
        const before = plans.length
        assert.isBelow(plans[before - 1]!.capacityRps, stepRps, "the step must exceed what the plan carries")
        const tally = yield* load(a, stepRps, 3000, 3)
        yield* pass(100)
        const after = plans.slice(before)
        assert.isNotEmpty(after)
        // The new glets are open by then.
        assert.isAtMost(after[0]!.atMs - stepMs, 1000)
        assert.isAbove(after[after.length - 1]!.capacityRps, plans[before - 1]!.capacityRps)
        const counts = count(tally)
        assert.strictEqual(tally.ends.length, tally.offered)
        assert.isUndefined(counts["no-glet"])
        assert.isUndefined(counts["glet-exited"])
        assert.isUndefined(counts["model-not-ready"])
      }))
    })))

  it.live("judges rates by the plan it has: none is asked for while one is being carried out", () =>
    withScheduler({ gpus: 2, executor: { openMs: 900 } }, Effect.gen(function*() {
      const scheduler = yield* Scheduler
      const a = critical("a", { expectedRateRps: 20 })
      const registering = yield* Effect.fork(scheduler.register(a, profileOf(a)))
      yield* pass(2000)
      yield* Fiber.join(registering)
      const plannedMs = new Set<number>()
      yield* Effect.fork(scheduler.usePlanner({
        ...orion,
        plan: (problem, current) => {
          plannedMs.add(scheduler.nowMs())
          return orion.plan(problem, current)
        }
      }))
      yield* load(a, 20, 3000, 2)
      plannedMs.clear()
      yield* load(a, 1500, 3000, 3)
      // Whatever is being opened is open by then.
      yield* pass(3000)
      assert.strictEqual(plannedMs.size, 1, [...plannedMs].join())
    })))

  it.live("changes the plan under load without failing a request", () =>
    withScheduler({ gpus: 2 }, Effect.gen(function*() {
      const a = critical("a")
      const others = ["b", "c", "d"].map((name) => critical(name, { expectedRateRps: 400 }))
      yield* register(a)
      const generation = (yield* (yield* Scheduler).plan).generation
      const running = yield* Effect.fork(Effect.forEach(others, (model) => Effect.flatMap(Scheduler, (s) => s.register(model, profileOf(model))), {
        concurrency: 1
      }))
      const tally = yield* load(a, 200, 1500, 4)
      yield* pass(100)
      yield* Fiber.join(running)
      assert.isAbove((yield* (yield* Scheduler).plan).generation, generation)
      assert.deepStrictEqual(count(tally), { ok: tally.offered })
      assert.strictEqual(tally.within, tally.offered)
    })))

  it.live("replaces a model without failing its requests", () =>
    withScheduler({}, Effect.gen(function*() {
      const a = critical("a")
      yield* register(a)
      const next = critical("a", { version: 2 })
      const versions: Array<number> = []
      const scheduler = yield* Scheduler
      yield* Effect.scoped(Effect.gen(function*() {
        yield* observed({ requestEnded: ({ model }) => versions.push(model.version) })
        const replacing = yield* Effect.fork(scheduler.register(next, profileOf(next)))
        const tally = yield* load(a, 200, 500, 5)
        yield* pass(100)
        assert.deepStrictEqual(yield* Fiber.join(replacing), { state: "ready" })
        assert.deepStrictEqual(count(tally), { ok: tally.offered })
        assert.include(versions, 1)
        assert.strictEqual(versions[versions.length - 1], 2)
        assert.deepStrictEqual(versions, [...versions].sort())
      }))
    })))

  it.live("says of a plan for many changes that there are more than it names", () =>
    withScheduler({}, Effect.scoped(Effect.gen(function*() {
      const reasons: Array<string> = []
      yield* observed({ planDeployed: ({ reason }) => reasons.push(reason) })
      yield* register(...["a", "b", "c"].map((name) => critical(name, { expectedRateRps: 1 })))
      yield* register(...["d", "e", "f", "g", "h"].map((name) => critical(name, { expectedRateRps: 1 })))
      assert.deepStrictEqual(reasons, [
        "model a registered, model b registered, model c registered", "model d registered, model e registered, model f registered and 2 more"
      ])
    }))))

  it.live("keeps the old model where its replacement cannot be loaded", () =>
    withScheduler({ executor: { failLoad: (model) => (model.version === 2 ? "invalid-model" : undefined) } }, Effect.gen(function*() {
      const a = critical("a")
      yield* register(a)
      const [readiness] = yield* register(critical("a", { version: 2 }))
      assert.isTrue(readiness?.state === "ready" && /version 2 was not taken: .*invalid-model/.test(readiness.notTaken ?? ""), JSON.stringify(readiness))
      const tally = yield* load(a, 100, 300, 6)
      yield* pass(50)
      assert.deepStrictEqual(count(tally), { ok: tally.offered })
      const status = yield* (yield* Scheduler).status
      assert.strictEqual(status.models[0]!.version, 1)
      assert.include(status.models[0]!.detail, "invalid-model")
    })))

  it.live("isolates a model that cannot be loaded", () =>
    withScheduler({ executor: { failLoad: (model) => (model.name === "bad" ? "invalid-model" : undefined) } }, Effect.gen(function*() {
      const good = critical("good")
      const bad = critical("bad")
      const [first, second] = yield* register(good, bad)
      assert.strictEqual(first!.state, "ready")
      assert.strictEqual(second!.state, "failed")
      if (second!.state === "failed") assert.include(second!.reason, "invalid-model")
      const refused = yield* offer(request(bad))
      assert.strictEqual(outcome(refused.end!), "model-not-ready")
      const tally = yield* load(good, 100, 300, 7)
      yield* pass(50)
      assert.deepStrictEqual(count(tally), { ok: tally.offered })
    })))

  it.live("brings a killed glet back, and its requests in flight are answered by the successor", () =>
    // One glet: with two a request might meet both deaths, and two are one too many.
    withScheduler({
      executor: { latencyMs: () => 30, openMs: 50 },
      scheduler: { plan: { ...SchedulerLive.defaultSchedulerOptions.plan, maxGletsPerGpu: 1 } }
    }, Effect.gen(function*() {
      const a = critical("a", { sloMs: 2000 })
      yield* register(a)
      const scheduler = yield* Scheduler
      const exits: Array<string> = []
      yield* Effect.scoped(Effect.gen(function*() {
        yield* observed({ gletExited: ({ glet }) => exits.push(glet) })
        const sent = [yield* offer(request(a)), yield* offer(request(a))]
        yield* pass(5)
        const control = yield* MemoryExecutor.MemoryExecutorControl
        for (const { id } of yield* control.open) yield* control.kill(id)
        yield* pass(1)
        assert.isNotEmpty(exits)
        assert.strictEqual(scheduler.readiness(a.name)!.state, "waiting")
        yield* pass(400)
        assert.strictEqual(scheduler.readiness(a.name)!.state, "ready")
        assert.deepStrictEqual(sent.map(({ end }) => end?.ok), [true, true])
        assert.isAtLeast((yield* scheduler.status).glets[0]!.restarts, 1)
      }))
    })))

  it.live("answers 503 at once where the successor would come too late", () =>
    withScheduler({ executor: { latencyMs: () => 10, openMs: 500 } }, Effect.gen(function*() {
      const a = critical("a", { sloMs: 100 })
      const scheduler = yield* Scheduler
      const fiber = yield* Effect.fork(scheduler.register(a, profileOf(a)))
      yield* pass(1200)
      yield* Fiber.join(fiber)
      const sent = yield* offer(request(a))
      yield* pass(2)
      const control = yield* MemoryExecutor.MemoryExecutorControl
      for (const { id } of yield* control.open) yield* control.kill(id)
      yield* pass(1)
      assert.strictEqual(outcome(sent.end!), "glet-exited")
      assert.strictEqual(outcome((yield* offer(request(a))).end!), "glet-exited")
      yield* pass(1500)
      const later = yield* offer(request(a))
      yield* pass(50)
      assert.strictEqual(later.end?.ok, true)
    })))

  it.live("reports a crash loop and retries rarely", () =>
    Effect.gen(function*() {
      let opened = 0
      yield* withScheduler({
        executor: {
          failOpen: () => {
            opened += 1
            return undefined
          }
        }
      }, Effect.gen(function*() {
        const a = critical("a")
        yield* register(a)
        const scheduler = yield* Scheduler
        const control = yield* MemoryExecutor.MemoryExecutorControl
        for (let round = 0; round < 200; round++) {
          for (const { id } of yield* control.open) yield* control.kill(id)
          yield* pass(100)
        }
        const status = yield* scheduler.status
        assert.isTrue(status.glets.every((glet) => glet.state === "crash-loop"), JSON.stringify(status.glets))
        assert.isAtMost(opened, 12 * status.glets.length)
        assert.strictEqual(outcome((yield* offer(request(a))).end!), "glet-exited")
      }))
    }))

  it.live("refuses what cannot be answered, with the reason", () =>
    withScheduler({ scheduler: { dispatcher: { ...SchedulerLive.defaultSchedulerOptions.dispatcher, maxQueued: 10 } } }, Effect.gen(function*() {
      const a = critical("a", { maxBatch: 4 })
      const background = makeModel("background", { serviceClass: "best-effort", maxBatch: 4 })
      yield* register(a, background)
      assert.strictEqual(outcome((yield* offer(request(makeModel("nobody")))).end!), "ModelNotFound")
      assert.strictEqual(outcome((yield* offer(request(a, { items: 5 }))).end!), "InvalidRequest")
      assert.strictEqual(outcome((yield* offer(request(a, { timeoutMs: 0.1 }))).end!), "deadline-unreachable")
      const many = yield* Effect.forEach(Array.from({ length: 200 }), () => offer(request(background)))
      const refused = many.filter(({ end }) => end !== undefined)
      assert.isNotEmpty(refused)
      for (const { end } of refused) {
        assert.strictEqual(outcome(end!), "queue-full")
        if (!end!.ok && end!.error._tag === "RequestDropped") assert.isAbove(end!.error.retryAfterMs, 0)
      }
      yield* pass(2000)
      assert.isTrue(many.every(({ end }) => end !== undefined))
    })))

  it.live("forgets canceled requests: in the queue at once, in flight when the batch ends", () =>
    withScheduler({ executor: { latencyMs: () => 20, depth: 1 }, scheduler: { defer: undefined } }, Effect.gen(function*() {
      const a = critical("a", { sloMs: 1000, maxBatch: 1 })
      yield* register(a)
      const glets = gletsOf(yield* (yield* Scheduler).plan).length
      const running = yield* Effect.forEach(Array.from({ length: glets }), () => offer(request(a)))
      const queued = yield* offer(request(a))
      queued.cancel()
      assert.strictEqual(outcome(queued.end!), "RequestCanceled")
      running[0]!.cancel()
      running[0]!.cancel()
      assert.isUndefined(running[0]!.end)
      yield* pass(10)
      assert.isUndefined(running[0]!.end)
      yield* pass(15)
      assert.strictEqual(outcome(running[0]!.end!), "RequestCanceled")
      const status = yield* (yield* Scheduler).status
      assert.strictEqual(status.models[0]!.canceled, 2)
    })))

  it.live("cancels by interruption, which ends when the slot is free", () =>
    withScheduler({ executor: { latencyMs: () => 20 } }, Effect.gen(function*() {
      const a = critical("a", { sloMs: 1000 })
      yield* register(a)
      const scheduler = yield* Scheduler
      const submitted = yield* Effect.fork(scheduler.submit(request(a)))
      yield* pass(5)
      const interrupting = yield* Effect.fork(Fiber.interrupt(submitted))
      yield* pass(5)
      assert.isTrue(Option.isNone(yield* Fiber.poll(interrupting)))
      yield* pass(20)
      assert.isTrue(Option.isSome(yield* Fiber.poll(interrupting)))
      const answered = yield* Effect.fork(scheduler.submit(request(a)))
      yield* pass(30)
      assert.strictEqual((yield* Fiber.join(answered)).batchItems, 1)
    })))

  it.live("fails only the request that makes its batch fail", () =>
    withScheduler({
      executor: {
        latencyMs: () => 5,
        failBatch: (batch) => (batch.entries.some((entry) => (entry as InferRequest).id === "poison") ? "index out of range" : undefined)
      }
    }, Effect.gen(function*() {
      const a = critical("a", { sloMs: 500 })
      yield* register(a)
      const sent = yield* Effect.forEach(["1", "2", "poison", "4", "5"], (id) => offer(request(a, { id })))
      yield* pass(200)
      assert.deepStrictEqual(sent.map(({ end }) => outcome(end!)), ["ok", "ok", "ExecutionFailed", "ok", "ok"])
    })))

  it.live("drains: refuses new requests, answers the accepted ones", () =>
    withScheduler({ executor: { latencyMs: () => 20 } }, Effect.gen(function*() {
      const a = critical("a", { sloMs: 1000 })
      yield* register(a)
      const scheduler = yield* Scheduler
      const accepted = yield* offer(request(a))
      const draining = yield* Effect.fork(scheduler.drain)
      yield* pass(2)
      assert.strictEqual(outcome((yield* offer(request(a))).end!), "draining")
      assert.isTrue(Option.isNone(yield* Fiber.poll(draining)))
      yield* pass(30)
      yield* Fiber.join(draining)
      assert.strictEqual(accepted.end?.ok, true)
      assert.isTrue((yield* scheduler.status).draining)
    })))

  it.live("forgets an unregistered model: what waits ends, the others go on", () =>
    withScheduler({ executor: { latencyMs: () => 50, depth: 1 } }, Effect.gen(function*() {
      const a = critical("a", { sloMs: 1000 })
      const background = makeModel("background", { serviceClass: "best-effort", maxBatch: 1 })
      yield* register(a, background)
      const scheduler = yield* Scheduler
      const sent = yield* Effect.forEach(Array.from({ length: 20 }), () => offer(request(background)))
      yield* pass(5)
      const leaving = yield* Effect.fork(scheduler.unregister(background.name))
      yield* pass(400)
      yield* Fiber.join(leaving)
      assert.isUndefined(scheduler.readiness(background.name))
      assert.isTrue(sent.every(({ end }) => end !== undefined))
      assert.include(sent.map(({ end }) => outcome(end!)), "model-not-ready")
      assert.strictEqual(outcome((yield* offer(request(background))).end!), "ModelNotFound")
      assert.strictEqual(scheduler.readiness(a.name)!.state, "ready")
    })))

  it.live("loads the new file of a model that was unregistered in vain, and serves nothing from the old one", () => {
    const loaded: Array<string> = []
    const ran: Array<string> = []
    return withScheduler({
      executor: {
        failLoad: (model) => {
          loaded.push(model.path)
          return undefined
        },
        latencyMs: ({ model }) => {
          ran.push(`${model.path}, of which ${loaded.filter((path) => path === model.path).length} loaded`)
          return 1
        }
      },
      scheduler: { plan: { ...SchedulerLive.defaultSchedulerOptions.plan, maxGletsPerGpu: 1 } }
    }, Effect.gen(function*() {
      const a = critical("a", { path: "old" })
      const b = critical("b", { path: "b" })
      yield* register(a, b)
      const scheduler = yield* Scheduler
      const refusing: PlannerAlgorithm = { ...orion, plan: () => Either.left(new Infeasible({ planner: "refusing", culprits: [{ model: b.name, reason: "invalid", detail: "is not for today" }] })) }
      yield* Effect.fork(scheduler.usePlanner(refusing))
      yield* pass(100)
      yield* Effect.fork(scheduler.unregister(a.name))
      yield* pass(100)
      yield* Effect.fork(scheduler.usePlanner(orion))
      const [readiness] = yield* register(critical("a", { path: "new" }))
      assert.deepStrictEqual(readiness, { state: "ready" })
      assert.include(loaded, "new")
      assert.isTrue((yield* offer(request(a))).end === undefined)
      yield* pass(100)
      assert.deepStrictEqual(ran, ["new, of which 1 loaded"])
    }))
  })

  it.live("runs best-effort work beside latency-critical work without hurting it", () =>
    withScheduler({}, Effect.gen(function*() {
      const a = critical("a", { expectedRateRps: 100 })
      const background = makeModel("background", { serviceClass: "best-effort", maxBatch: 8 })
      yield* register(a, background)
      const filler: Tally = { offered: 0, ends: [], within: 0 }
      const filling = yield* Effect.fork(Effect.gen(function*() {
        for (let i = 0; i < 100; i++) {
          yield* Effect.sleep(10)
          for (let j = 0; j < 5; j++) {
            filler.offered += 1
            ;(yield* Scheduler).offer(request(background), (end) => filler.ends.push(end))
          }
        }
      }))
      const tally = yield* load(a, 100, 1200, 9)
      yield* pass(300)
      yield* Fiber.join(filling)
      assert.deepStrictEqual(count(tally), { ok: tally.offered })
      assert.strictEqual(tally.within, tally.offered)
      assert.deepStrictEqual(count(filler), { ok: filler.offered })
    })))

  it.live("tells its status at every change", () =>
    withScheduler({}, Effect.gen(function*() {
      const scheduler = yield* Scheduler
      const seen = yield* Effect.fork(Stream.runCollect(Stream.takeUntil(statusStream(scheduler), (status) =>
        status.models.length === 1 && status.models[0]!.state === "ready")))
      yield* pass(5)
      yield* register(critical("a"))
      const statuses = [...yield* Fiber.join(seen)]
      assert.strictEqual(statuses[0]!.models.length, 0)
      assert.isAbove(statuses[statuses.length - 1]!.plan.generation, 0)
    })))

  it.live("changes objective, class, rate and planner without loading anything again or losing a request", () => {
    const loads: Array<string> = []
    return withScheduler({ executor: { failLoad: (model) => void loads.push(model.name) } }, Effect.gen(function*() {
      const scheduler = yield* Scheduler
      const a = critical("a")
      yield* register(a)
      const before = yield* scheduler.plan
      loads.length = 0
      const loading = yield* Effect.fork(load(a, 100, 800, 3))
      yield* Effect.fork(scheduler.amend(a.name, { sloMs: 49 }))
      yield* pass(200)
      assert.deepStrictEqual(gletsOf(yield* scheduler.plan).map(({ glet: { id } }) => id), gletsOf(before).map(({ glet: { id } }) => id))
      assert.deepStrictEqual(loads, [])
      const amending = yield* Effect.fork(scheduler.amend(a.name, { sloMs: 20 }))
      yield* pass(200)
      assert.isTrue(yield* Fiber.join(amending))
      assert.strictEqual((yield* scheduler.status).models[0]!.sloMs, 20)
      const tightened = gletsOf(yield* scheduler.plan)
      assert.isTrue(tightened.every(({ glet: { assignments } }) => assignments.every((work) => work.worstMs + work.slackMs <= 20 + 1e-9)))
      yield* Effect.fork(scheduler.amend(a.name, { expectedRateRps: 700 }))
      yield* pass(100)
      const planned = gletsOf(yield* scheduler.plan).flatMap(({ glet: { assignments } }) => assignments).reduce((sum, { capacityRps }) => sum + capacityRps, 0)
      assert.isAtLeast(planned, 700)
      const tally = yield* Fiber.join(loading)
      yield* pass(60)
      assert.deepStrictEqual(count(tally), { ok: tally.offered })
      yield* Effect.fork(scheduler.usePlanner(greedy))
      yield* pass(200)
      assert.strictEqual((yield* scheduler.plan).planner, greedy.name)
      yield* Effect.fork(scheduler.usePlanner(orion))
      yield* Effect.fork(scheduler.amend(a.name, { serviceClass: "best-effort" }))
      yield* pass(200)
      const status = yield* scheduler.status
      assert.strictEqual(status.models[0]!.serviceClass, "best-effort")
      assert.strictEqual(status.models[0]!.sloMs, undefined)
      assert.isTrue(gletsOf(status.plan).every(({ glet: { assignments } }) => assignments.length === 0))
      assert.isFalse(yield* scheduler.amend(critical("unknown").name, { sloMs: 1 }))
    }))
  })

  it.effect("keeps time by Effect's Clock, so TestClock drives it", () =>
    Effect.scoped(Effect.gen(function*() {
      const context = yield* Layer.build(layer({ executor: { latencyMs: () => 40 } }))
      const scheduler = Context.get(context, Scheduler)
      const a = critical("a", { sloMs: 100 })
      const registering = yield* Effect.fork(scheduler.register(a, profileOf(a)))
      yield* TestClock.adjust("200 millis")
      assert.deepStrictEqual(yield* Fiber.join(registering), { state: "ready" })
      const submitted = yield* Effect.fork(scheduler.submit(request(a)))
      yield* TestClock.adjust("39 millis")
      assert.isTrue(Option.isNone(yield* Fiber.poll(submitted)))
      yield* TestClock.adjust("1 millis")
      const { times } = yield* Fiber.join(submitted)
      assert.strictEqual(times.endedMs - times.startedMs, 40)
    })))

  it.live("plans on paper without deploying", () =>
    withScheduler({}, Effect.gen(function*() {
      yield* register(critical("a"))
      const scheduler = yield* Scheduler
      const before = yield* scheduler.plan
      const paper = yield* Effect.fork(scheduler.replan({ dryRun: true }))
      yield* pass(5)
      assert.isAbove(gletsOf(yield* Fiber.join(paper)).length, 0)
      assert.strictEqual(yield* scheduler.plan, before)
    })))

  it.live("ends every request when it is closed", () =>
    Effect.gen(function*() {
      const sent: Array<{ end: RequestEnd | undefined }> = []
      const clock = makeVirtualClock()
      const run = yield* Effect.fork(withScheduler({ executor: { latencyMs: () => 20, depth: 1 } }, Effect.gen(function*() {
        const background = makeModel("background", { serviceClass: "best-effort", maxBatch: 1 })
        yield* register(background)
        for (let i = 0; i < 10; i++) sent.push(yield* offer(request(background)))
        yield* pass(1)
      }), clock))
      for (let step = 0; step < 500 && Option.isNone(yield* Fiber.poll(run)); step++) yield* clock.advance(5)
      yield* Fiber.join(run)
      assert.strictEqual(sent.length, 10)
      assert.isTrue(sent.every(({ end }) => end !== undefined))
    }))
})
