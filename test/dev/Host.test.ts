import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import * as Queue from "effect/Queue"
import * as TestClock from "effect/TestClock"
import * as fs from "node:fs"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import { gletsOf } from "../../src/core/Plan.js"
import type { Profile } from "../../src/core/Profile.js"
import type { HostOptions } from "../../src/dev/HostOptions.js"
import * as Host from "../../src/dev/Host.js"
import type { Frame, FromHost, HostState, ToHost } from "../../src/dev/Messages.js"
import { batchStride } from "../../src/dev/Messages.js"
import * as ReplayWorld from "../../src/dev/ReplayWorld.js"
import { answerTask } from "../../src/dev/Tasks.js"
import type { World } from "../../src/dev/World.js"
import { planners } from "../../src/scheduler/PlannerRegistry.js"

const root = fileURLToPath(new URL("../..", import.meta.url))
const profile = JSON.parse(fs.readFileSync(path.join(root, "resource/profiles/h200/green.json"), "utf8")) as Profile

/** What a page would know, and ways to wait for it. */
class Listener {
  readonly messages: Array<FromHost> = []
  private waiting: Array<() => void> = []

  readonly post = (message: FromHost): void => {
    this.messages.push(message)
    for (const wake of this.waiting.splice(0)) wake()
  }

  get state(): HostState | undefined {
    return this.messages.findLast((message): message is HostState => message.kind === "state")
  }

  get frames(): ReadonlyArray<Frame> {
    return this.messages.filter((message): message is Frame => message.kind === "frame")
  }

  until(what: string, holds: () => boolean): Effect.Effect<void> {
    const waits: Effect.Effect<void> = Effect.suspend(() => (holds() ? Effect.void : Effect.zipRight(
      Effect.async<void>((resume) => void this.waiting.push(() => resume(Effect.void))), waits)))
    return Effect.timeoutFail(waits, { duration: "20 seconds", onTimeout: () => new Error(`${what} did not come`) }).pipe(Effect.orDie)
  }
}

const withHost = <A, E>(
  options: Partial<HostOptions>, body: (page: Listener, send: (message: ToHost) => void) => Effect.Effect<A, E>, world: World = ReplayWorld.make(profile)
) =>
  Effect.gen(function*() {
    const page = new Listener()
    const send = yield* Host.run({
      world, planner: "orion", traffic: true, profiles: [], post: page.post,
      startWorker: () => ({ ask: (task) => Effect.sync(() => answerTask(task)), close: () => {} }),
      connect: () => Effect.fail("there is no server"),
      measure: () => Effect.dieMessage("replayed models are known"), ...options
    })
    yield* page.until("a plan with all models served", () => page.state?.models.length === 6 && page.state.models.every(({ state }) => state === "ready"))
    return yield* body(page, send)
  }).pipe(Effect.scoped, Effect.provide(Logger.remove(Logger.defaultLogger)))

const controlsOf = (page: Listener, model: string) => page.state!.models.find(({ name }) => name === model)!.controls

describe("the page's host", { timeout: 60_000 }, () => {
  it.live("plans, sends traffic, and tells of batches and latencies in its world's time", () =>
    withHost({}, (page) => Effect.gen(function*() {
      yield* page.until("frames", () => page.frames.length >= 8)
      const { frames } = page
      const names = frames.flatMap(({ batches, glets, models }) =>
        Array.from({ length: batches.length / batchStride }, (_, i) => [
          glets[batches[i * batchStride]!], models[batches[i * batchStride + 1]!]?.name, batches[i * batchStride + 3]!, batches[i * batchStride + 4]!
        ] as const))
      assert.isAbove(names.length, 20)
      const glets = new Set(gletsOf(page.state!.plan).map(({ glet }) => glet.id as string))
      for (const [glet, model, startMs, endMs] of names) {
        assert.isTrue(glets.has(glet!))
        assert.isDefined(model)
        assert.isAbove(endMs, startMs)
      }
      const last = frames.at(-1)!
      for (const { answered, histogram, name, p50Ms, p99Ms } of last.models) {
        assert.isAtLeast(histogram.reduce((sum, count) => sum + count, 0), answered - 1, name)
        assert.isAtLeast(p99Ms, p50Ms)
      }
      // Slow motion: a tenth of real time.
      const passed = last.nowMs - frames[0]!.nowMs
      assert.isBelow(passed, 100 * frames.length)
    })))

  it.scoped("serves replayed GPUs after one plan and two pictures, without waiting for glets", () =>
    Effect.gen(function*() {
      const page = new Listener()
      let plans = 0
      yield* Host.run({
        world: ReplayWorld.make(profile), planner: "orion", traffic: false, profiles: [], post: page.post,
        startWorker: () => ({ ask: (task) => Effect.sync(() => (plans++, answerTask(task))), close: () => {} }),
        connect: () => Effect.fail("there is no server"), measure: () => Effect.dieMessage("replayed models are known")
      })
      // Time stands still but for the pace at which states are told.
      yield* TestClock.adjust("200 millis")
      assert.strictEqual(page.state!.models.length, 6)
      for (const { name, state } of page.state!.models) assert.strictEqual(state, "ready", name)
      assert.strictEqual(page.state!.plan.generation, 1)
      assert.strictEqual(plans, 1)
    }).pipe(Effect.provide(Logger.remove(Logger.defaultLogger))))

  it.live("serves the first model that it has measured, follows its sliders, and measures the others before it sends anything", () =>
    Effect.gen(function*() {
      const known = ReplayWorld.make(profile)
      const world: World = { ...known, models: Effect.map(known.models, (all) => all.map((one) => ({ ...one, sha256: one.model.name, profile: undefined }))) }
      const gates = yield* Queue.unbounded<void>()
      const measured: Array<string> = []
      const page = new Listener()
      const send = yield* Host.run({
        world, planner: "orion", traffic: true, profiles: [], post: page.post,
        startWorker: () => ({ ask: (task) => Effect.sync(() => answerTask(task)), close: () => {} }),
        connect: () => Effect.fail("there is no server"),
        measure: ({ model }) => Effect.as(
          Effect.zipRight(Queue.take(gates), Effect.sync(() => measured.push(model.name))), profile.models.find((one) => one.model === model.name)!
        )
      })
      const statesOf = () => page.state?.models.map(({ state }) => state)
      yield* page.until("all models", () => page.state?.models.length === 6)
      assert.deepStrictEqual(new Set(statesOf()), new Set(["measuring"]))
      yield* Queue.offer(gates, undefined)
      yield* page.until("the first", () => page.state!.models[0]!.state === "ready")
      const { generation } = page.state!.plan
      assert.deepStrictEqual(statesOf()!.slice(1), Array.from({ length: 5 }, () => "measuring"))
      send({ kind: "controls", model: "resnet50", controls: { ...controlsOf(page, "resnet50"), rateRps: 4000 }, final: true })
      yield* page.until("another plan", () => page.state!.plan.generation > generation)
      // It waits until the others are there.
      send({ kind: "remove", model: "vgg16" })
      for (let i = 0; i < 4; i++) yield* Queue.offer(gates, undefined)
      yield* page.until("five that were measured", () => page.state!.models.filter(({ state }) => state === "measuring").length === 1)
      assert.deepStrictEqual(page.frames, [])
      assert.isTrue(page.state!.traffic)
      yield* Queue.offer(gates, undefined)
      yield* page.until("all but the one that was removed", () => page.state!.models.length === 5 && page.state!.models.every(({ state }) => state === "ready"))
      yield* page.until("requests", () => page.frames.some(({ models }) => models.some(({ answered }) => answered > 0)))
      assert.deepStrictEqual(measured, ["resnet50", "bert-base", "vgg16", "mobilenet_v2", "googlenet", "densenet161"])
    }).pipe(Effect.scoped, Effect.provide(Logger.remove(Logger.defaultLogger))))

  it.live("serves a model whose requests get other answers together one at a time, also where that is known of an earlier visit", () =>
    Effect.gen(function*() {
      const replay = ReplayWorld.make(profile)
      const world: World = { ...replay, models: Effect.map(replay.models, ([one]) => [{ ...one!, sha256: "its", profile: undefined }]) }
      const [first] = yield* replay.models
      const whole = profile.models.find(({ model }) => model === first!.model.name)!
      const [single, ...singles] = whole.points.filter(({ batch }) => batch === 1)
      const asked: Array<readonly [maxBatch: number, batchSymbol: string | undefined]> = []
      const visit = (profiles: HostOptions["profiles"]) =>
        Effect.gen(function*() {
          const page = new Listener()
          yield* Host.run({
            world, planner: "orion", traffic: true, profiles, post: page.post,
            startWorker: () => ({ ask: (task) => Effect.sync(() => answerTask(task)), close: () => {} }),
            connect: () => Effect.fail("there is no server"),
            measure: ({ model }) => Effect.suspend(() => {
              asked.push([model.maxBatch, model.signature.batchSymbol])
              return model.maxBatch > 1 ? Effect.fail({ message: "they differ", reason: "items-depend" }) : Effect.succeed({ ...whole, maxBatch: 1, points: [single!, ...singles] as const })
            })
          })
          yield* page.until("requests", () => page.frames.some(({ models }) => models.some(({ answered }) => answered > 0)))
          assert.deepStrictEqual(page.state!.models.map(({ state }) => state), ["ready"])
          assert.isTrue(page.frames.every(({ batches }) => Array.from(batches).every((value, i) => i % batchStride !== 2 || value === 1)))
          return page.messages.flatMap((message) => (message.kind === "profiled" ? [message.stored] : []))
        }).pipe(Effect.scoped)
      const stored = yield* visit([])
      assert.deepStrictEqual(asked, [[first!.model.maxBatch, first!.model.signature.batchSymbol], [1, undefined]])
      yield* visit(stored)
      assert.strictEqual(asked.length, 2)
    }).pipe(Effect.provide(Logger.remove(Logger.defaultLogger))))

  it.live("plans for sliders while they move, deploys when they stop, and says when there is no plan", () =>
    withHost({ traffic: false }, (page, send) => Effect.gen(function*() {
      const { generation } = page.state!.plan
      const controls = controlsOf(page, "resnet50")
      send({ kind: "controls", model: "resnet50", controls: { ...controls, rateRps: 4000 }, final: false })
      yield* page.until("a preview", () => page.state!.preview !== undefined)
      assert.strictEqual(page.state!.plan.generation, generation)
      const rateOf = (plan: HostState["plan"]) => gletsOf(plan).flatMap(({ glet }) => glet.assignments).filter(({ model }) => model === "resnet50").reduce((sum, one) => sum + one.rateRps, 0)
      assert.isAbove(rateOf(page.state!.preview!), rateOf(page.state!.plan))
      send({ kind: "controls", model: "resnet50", controls: { ...controls, rateRps: 4000 }, final: true })
      yield* page.until("the plan", () => page.state!.preview === undefined && page.state!.plan.generation > generation)
      assert.isAtLeast(rateOf(page.state!.plan), 4000)
      // Nobody can be served within a thousandth of a millisecond; the published planners then have no plan at all.
      send({ kind: "planner", name: "elastic" })
      yield* page.until("elastic's plan", () => page.state!.plan.planner === "elastic")
      const served = page.state!.plan
      send({ kind: "controls", model: "resnet50", controls: { ...controls, sloMs: 0.001 }, final: true })
      yield* page.until("a reason", () => page.state!.planProblem !== "" || page.state!.plan.shortfalls.some(({ model }) => model === "resnet50"))
      if (page.state!.planProblem !== "") assert.strictEqual(page.state!.plan.generation, served.generation)
    })))

  it.live("keeps still while the traffic is paused, and keeps the plan", () =>
    withHost({}, (page, send) => Effect.gen(function*() {
      yield* page.until("frames", () => page.frames.length >= 3)
      send({ kind: "traffic", on: false })
      yield* page.until("the pause", () => page.state!.traffic === false)
      yield* Effect.sleep(1000)
      const { generation } = page.state!.plan
      const messages = page.messages.length
      yield* Effect.sleep(1000)
      assert.strictEqual(page.messages.length, messages)
      assert.strictEqual(page.state!.plan.generation, generation)
      send({ kind: "traffic", on: true })
      yield* page.until("frames again", () => page.messages.slice(messages).some(({ kind }) => kind === "frame"))
    })))

  it.live("compares all planners by simulation", () =>
    withHost({ traffic: false }, (page, send) => Effect.gen(function*() {
      // Little load: simulations of a moment.
      for (const { controls, name } of page.state!.models) send({ kind: "controls", model: name, controls: { ...controls, rateRps: 5 }, final: false })
      send({ kind: "compare" })
      const rows = () => page.messages.filter((message) => message.kind === "compared")
      yield* page.until("rows", () => rows().length === planners.length - 1)
      // All but `static`, which needs a given partition.
      for (const { row } of rows()) {
        assert.strictEqual(row.problem, "", row.planner)
        assert.isAbove(row.sloKept, 0.9, row.planner)
        assert.isAtLeast(row.peakFactor, 1, row.planner)
      }
    })))
})
