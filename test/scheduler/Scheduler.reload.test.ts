import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Fiber from "effect/Fiber"
import type { Model } from "../../src/core/Model.js"
import { modelKey } from "../../src/core/Model.js"
import { gletsOf } from "../../src/core/Plan.js"
import * as MemoryExecutor from "../../src/scheduler/MemoryExecutor.js"
import type { PlannerAlgorithm } from "../../src/scheduler/Planner.js"
import { Infeasible } from "../../src/scheduler/Planner.js"
import { orion } from "../../src/scheduler/planners/Orion.js"
import { Scheduler } from "../../src/scheduler/Scheduler.js"
import { makeModel, random, request } from "./harness.js"
import { critical, observed, offer, outcome, pass, profileOf, withScheduler } from "./service.js"

const names = ["a", "b", "c"]

const refusing: PlannerAlgorithm = {
  ...orion, plan: ({ demands }) => Either.left(new Infeasible({ planner: "refusing", culprits: [{ model: demands[0]?.model ?? critical("a").name, reason: "invalid", detail: "is not for today" }] }))
}

/** Registers, forgets, changes and kills at random, with requests in between, while plans now and then fail; answers what ran on the wrong file. */
const play = (seed: number) => {
  const rng = random(seed)
  const below = (n: number): number => Math.floor(rng() * n)
  /** What each glet read last, by glet and key. */
  const read = new Map<string, string>()
  const wrong: Array<string> = []
  return withScheduler({
    gpus: 2,
    executor: {
      failLoad: (model, { id }) => {
        read.set(`${id} ${modelKey(model)}`, model.path)
        return undefined
      },
      latencyMs: ({ model }, { id }) => {
        const path = read.get(`${id} ${modelKey(model)}`)
        if (path !== model.path) wrong.push(`${model.path} asked, ${path} loaded on ${id}`)
        return 1
      }
    }
  }, Effect.gen(function*() {
    const scheduler = yield* Scheduler
    const control = yield* MemoryExecutor.MemoryExecutorControl
    const registered = new Map<string, Model>()
    let files = 0
    const steps: ReadonlyArray<Effect.Effect<unknown, never, Scheduler>> = [
      Effect.suspend(() => {
        const name = names[below(names.length)]!
        const path = `file ${files++}`
        const model = name === "c" && rng() < 0.7
          ? makeModel(name, { path, serviceClass: "best-effort" })
          : critical(name, { path, sloMs: 20 + below(80), expectedRateRps: 1 + below(200) })
        registered.set(model.name, model)
        return Effect.fork(scheduler.register(model, profileOf(model)))
      }),
      Effect.suspend(() => {
        const { name } = critical(names[below(names.length)]!)
        registered.delete(name)
        return Effect.fork(scheduler.unregister(name))
      }),
      Effect.suspend(() => Effect.fork(scheduler.amend(critical(names[below(names.length)]!).name, { sloMs: 20 + below(80) }))),
      Effect.flatMap(control.open, (glets) => glets.length === 0 ? Effect.void : control.kill(glets[below(glets.length)]!.id)),
      Effect.suspend(() => Effect.fork(scheduler.usePlanner(rng() < 0.4 ? refusing : orion))),
      ...names.map((name) => Effect.suspend(() => offer(request(registered.get(name) ?? critical(name)))))
    ]
    for (let step = 0; step < 60; step++) {
      yield* steps[below(steps.length)]!
      yield* pass(rng() < 0.5 ? below(15) : below(300))
    }
    yield* Effect.fork(scheduler.usePlanner(orion))
    yield* pass(60_000)
    const ends: Array<string> = []
    for (const model of registered.values()) {
      const sent = yield* offer(request(model))
      yield* pass(200)
      ends.push(`${model.name}: ${sent.end === undefined ? "none" : outcome(sent.end)}`)
    }
    assert.deepStrictEqual(ends, [...registered.keys()].map((name) => `${name}: ok`), `seed ${seed}`)
    assert.deepStrictEqual((yield* scheduler.status).models.map(({ model }) => model as string).sort(), [...registered.keys()].sort())
    return wrong
  }))
}

describe("Scheduler, whose models come, change and go", () => {
  it.live("holds what goes on serving to what was asked since, where its replacement is not taken", () =>
    Effect.gen(function*() {
      const ways: ReadonlyArray<readonly [way: string, planner: PlannerAlgorithm]> = [["it cannot be loaded", orion], ["no plan is made", refusing]]
      for (const [way, planner] of ways) {
        yield* withScheduler({ executor: { failLoad: ({ version }) => (version === 1 ? undefined : "invalid-model") } }, Effect.gen(function*() {
          const scheduler = yield* Scheduler
          const [first, second, third] = [1, 2, 3].map((version) => critical("a", { version })) as [Model, Model, Model]
          const limits: Array<readonly [version: number, sloMs: number]> = []
          yield* Effect.scoped(Effect.gen(function*() {
            yield* observed({ requestEnded: ({ model, sloMs }) => limits.push([model.version, sloMs]) })
            yield* Effect.fork(scheduler.register(first, profileOf(first)))
            yield* pass(500)
            yield* Effect.fork(scheduler.usePlanner(planner))
            yield* Effect.fork(scheduler.register(second, profileOf(second)))
            yield* Effect.fork(scheduler.register(third, profileOf(third)))
            yield* Effect.fork(scheduler.amend(first.name, { sloMs: 37 }))
            yield* pass(500)
            yield* offer(request(first))
            yield* pass(200)
            assert.deepStrictEqual(limits, [[1, 37]], way)
            // Also where it is looked at again: glets, routes and the next plan.
            yield* Effect.fork(scheduler.usePlanner(orion))
            yield* pass(500)
            yield* offer(request(first))
            yield* pass(200)
            assert.deepStrictEqual(limits, [[1, 37], [1, 37]], way)
          }))
        }))
      }
    }))

  it.live("holds a new version to its own objective, and what it replaces to what was asked of that before", () =>
    Effect.gen(function*() {
      yield* withScheduler({ executor: { failLoad: ({ version }) => (version < 3 ? undefined : "invalid-model") } }, Effect.gen(function*() {
        const scheduler = yield* Scheduler
        const [first, second, third] = [1, 2, 3].map((version) => critical("a", { version, sloMs: 40 + version })) as [Model, Model, Model]
        const limits: Array<readonly [version: number, sloMs: number]> = []
        /** Asks something of the model, and has it replaced before a plan was made for that. */
        const replaceAsked = (sloMs: number, next: Model) =>
          Effect.gen(function*() {
            yield* Effect.fork(scheduler.amend(next.name, { sloMs }))
            yield* Effect.fork(scheduler.register(next, profileOf(next)))
            yield* pass(500)
            yield* offer(request(next))
            yield* pass(200)
          })
        yield* Effect.scoped(Effect.gen(function*() {
          yield* observed({ requestEnded: ({ model, sloMs }) => limits.push([model.version, sloMs]) })
          yield* Effect.fork(scheduler.register(first, profileOf(first)))
          yield* pass(500)
          yield* replaceAsked(37, second)
          yield* replaceAsked(36, third)
          assert.deepStrictEqual(limits, [[2, 42], [2, 36]])
        }))
      }))
    }))

  it.live("plans a new version by its own profile, not by what was measured of what it replaces", () =>
    withScheduler({}, Effect.gen(function*() {
      const scheduler = yield* Scheduler
      const [first, second] = [1, 2].map((version) => critical("a", { version })) as [Model, Model]
      const predicted = Effect.map(scheduler.plan, (plan) => gletsOf(plan).flatMap(({ glet }) => glet.assignments.map(({ latencyMs }) => latencyMs)))
      yield* Effect.fork(scheduler.register(first, profileOf(first)))
      yield* pass(500)
      const before = yield* predicted
      yield* scheduler.learn(first.name, profileOf(first, 5))
      yield* Effect.fork(scheduler.register(second, profileOf(second)))
      yield* pass(500)
      assert.deepStrictEqual(yield* predicted, before)
      // It is of those that are learnt since.
      yield* scheduler.learn(first.name, profileOf(second, 5))
      yield* Effect.fork(scheduler.replan())
      yield* pass(500)
      assert.notDeepEqual(yield* predicted, before)
    })))

  it.live("tells of the step from which on requests go to a new version, and of none where it is not taken", () =>
    withScheduler({ executor: { loadMs: 30, failLoad: ({ version }) => (version === 3 ? "invalid-model" : undefined) } }, Effect.gen(function*() {
      const scheduler = yield* Scheduler
      /** By request, what was taken when it was offered. */
      const takenThen = new Map<string, number>()
      const wrong: Array<string> = []
      let taken = 0
      let answers = 0
      const ask = (model: Model) => {
        const id = String(takenThen.size)
        takenThen.set(id, taken)
        scheduler.offer({ ...request(model), id }, (end) => {
          if (!end.ok) return void wrong.push(`${id}: ${outcome(end)}`)
          answers++
          if (end.result.version !== takenThen.get(id)) wrong.push(`${id}: version ${end.result.version} answered, ${takenThen.get(id)} was taken`)
        })
      }
      for (const version of [1, 2, 3, 4]) {
        const model = critical("a", { version, sloMs: 200 })
        const registering = yield* Effect.fork(scheduler.register(model, profileOf(model), () => {
          assert.isBelow(taken, version, "once")
          taken = version
        }))
        for (let ms = 0; ms < 300; ms++) {
          if (scheduler.readiness(model.name)?.state === "ready") ask(model)
          yield* pass(1)
        }
        const readiness = yield* Fiber.join(registering)
        assert.strictEqual(readiness.state, "ready")
        assert.strictEqual(taken, version === 3 ? 2 : version)
        assert.deepStrictEqual((yield* scheduler.status).models.map((one) => one.version), [taken])
      }
      yield* pass(500)
      assert.deepStrictEqual(wrong, [])
      assert.strictEqual(answers, takenThen.size)
    })))

  it.live("runs nothing on a file that was not registered for it, and serves all in the end, whatever dies and whichever plan fails", () =>
    Effect.gen(function*() {
      for (let seed = 1; seed <= 25; seed++) assert.deepStrictEqual(yield* play(seed), [], `seed ${seed}`)
    }))
})
