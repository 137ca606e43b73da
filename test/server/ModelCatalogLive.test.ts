import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import * as fs from "node:fs"
import * as path from "node:path"
import { ModelLoadFailed } from "../../src/core/ExecutorError.js"
import type { Gpu } from "../../src/core/Gpu.js"
import { layerStatic } from "../../src/core/Gpu.js"
import { unsafeGletId, unsafeGpuId } from "../../src/core/Ids.js"
import type { Model } from "../../src/core/Model.js"
import { emptyPlan } from "../../src/core/Plan.js"
import type { ModelProfile } from "../../src/core/Profile.js"
import { ProfileStore } from "../../src/core/Profile.js"
import { Profiler } from "../../src/core/Profiler.js"
import type { ModelReadiness, SchedulerObserver } from "../../src/scheduler/Scheduler.js"
import { Scheduler } from "../../src/scheduler/Scheduler.js"
import type { ModelCatalogOptions } from "../../src/server/ModelCatalogLive.js"
import { make } from "../../src/server/ModelCatalogLive.js"
import { sha256OfFile } from "../../src/server/repository/ModelProfiles.js"
import * as onnx from "../support/onnx.js"
import type { Files } from "./repository/folder.js"
import { folderOf, writeFiles } from "./repository/folder.js"

const cpu: Gpu = { id: unsafeGpuId("cpu"), type: "cpu", isolation: "threads", units: 2, memoryBytes: 1e9, sharesPct: [50, 100] }

/** Records what the catalog does to the rest of the world. */
class World {
  /** The store gives models of the same file each other's profiles. */
  sharesProfiles = false
  readonly events: Array<string> = []
  readonly registered = new Map<string, Model>()
  readonly readiness = new Map<string, ModelReadiness>()
  readonly stored = new Map<string, ModelProfile>()
  readonly observers: Array<SchedulerObserver> = []
  measuring = 0
  mostMeasuring = 0
  /** How long the scheduler takes to take a model in, or to forget it. */
  taking: Effect.Effect<void> = Effect.void
  /** What becomes of a model that is registered. */
  onRegister: (model: Model) => ModelReadiness = () => ({ state: "ready" })

  /** A glet does not load what is registered of that name. */
  refuse(name: string, reason: ModelLoadFailed["reason"] = "changed"): void {
    const model = this.registered.get(name)!
    const glet = unsafeGletId("cpu/1")
    const error = new ModelLoadFailed({ model: model.name, glet, reason, detail: "as the test says" })
    for (const observer of this.observers) observer.loadFailed?.({ glet, gpu: cpu.id, model, error })
  }

  readonly profileOf = (model: Model, sha256?: string): ModelProfile => ({
    model: model.name,
    ...(sha256 === undefined ? {} : { sha256 }),
    memoryBytes: 1,
    loadMs: 1,
    points: [{ sharePct: 100, batch: 1, meanMs: 1, p50Ms: 1, p90Ms: 1, p99Ms: 1, count: 1 }]
  })

  get layer() {
    const scheduler = Layer.succeed(Scheduler, {
      nowMs: () => 0,
      offer: () => () => undefined,
      wouldRefuse: () => undefined,
      admissionEdge: () => ({ arrivedMs: -Infinity, retryAfterMs: 0 }),
      refusedUnread: () => undefined,
      submit: () => Effect.dieMessage("not asked"),
      register: (model, profiles, onTaken) =>
        Effect.sync(() => {
          this.events.push(`register ${model.name} v${model.version} ${[...profiles.keys()].join()}`)
          this.registered.set(model.name, model)
          const readiness = this.onRegister(model)
          this.readiness.set(model.name, readiness)
          return readiness
        }).pipe(
          Effect.tap(() => this.taking),
          Effect.tap((readiness) => {
            if (readiness.state !== "ready" || readiness.notTaken === undefined) onTaken?.()
          })
        ),
      learn: () => Effect.succeed(false),
      setGpus: () => Effect.void,
      usePlanner: () => Effect.void,
      amend: () => Effect.succeed(false),
      unregister: (model) =>
        Effect.sync(() => {
          this.events.push(`unregister ${model}`)
          this.registered.delete(model)
          this.readiness.delete(model)
        }).pipe(Effect.tap(() => this.taking)),
      readiness: (model) => this.readiness.get(model),
      plan: Effect.succeed(emptyPlan),
      replan: () => Effect.succeed(emptyPlan),
      status: Effect.dieMessage("not asked"),
      follow: Effect.succeed(Effect.never),
      observe: (observer) => Effect.sync(() => void this.observers.push(observer)),
      drain: Effect.void
    })
    const profiler = Layer.succeed(Profiler, {
      coRuns: () => Effect.succeed([]),
      profile: ({ mayJoin, model, onProgress, sha256 }) =>
        Effect.gen(this, function*() {
          this.measuring++
          this.mostMeasuring = Math.max(this.mostMeasuring, this.measuring)
          yield* Effect.yieldNow()
          this.measuring--
          this.events.push(`measure ${model.name}`)
          if (model.name === "poison") {
            return yield* new ModelLoadFailed({ model: model.name, glet: unsafeGletId("cpu/0"), reason: "invalid-model", detail: "no such operator" })
          }
          if (model.name.startsWith("steps") && model.maxBatch > 1 && mayJoin !== true) {
            return yield* new ModelLoadFailed({ model: model.name, glet: unsafeGletId("cpu/0"), reason: "items-depend", detail: "they get other answers" })
          }
          const profile = this.profileOf(model, sha256)
          onProgress?.(1, 1, profile.points[0])
          return profile
        })
    })
    const store = Layer.succeed(ProfileStore, {
      get: ({ model, sha256 }) =>
        Effect.sync(() => {
          const same = this.sharesProfiles ? [...this.stored.values()].find((one) => one.sha256 === sha256) : undefined
          return Option.filter(Option.fromNullable(this.stored.get(model) ?? same), (one) => one.sha256 === sha256)
        }),
      put: (_, profile) => Effect.sync(() => void this.stored.set(profile.model, profile))
    })
    return Layer.mergeAll(scheduler, profiler, store, layerStatic([cpu], Effect.succeed([])))
  }
}

/** Lets the real file system get on while the clock of the test stands. */
const realTime = Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 10)))

const catalogOf = (world: World, directory: string, options: Partial<ModelCatalogOptions> = {}) =>
  Effect.provide(make({ directory, ...options }), world.layer)

const settledCatalog = (world: World, files: Files, options: Partial<ModelCatalogOptions> = {}) =>
  Effect.gen(function*() {
    const directory = yield* folderOf(files)
    const catalog = yield* catalogOf(world, directory, options)
    yield* catalog.settled
    return { catalog, directory }
  })

const identity = onnx.identityModel()

describe("ModelCatalogLive", () => {
  it.scoped("loads what it finds; what is broken says why and stops nobody", () =>
    Effect.gen(function*() {
      const world = new World()
      const progress: Array<string> = []
      const { catalog } = yield* settledCatalog(world, {
        "good.onnx": identity,
        "torn.onnx": identity.subarray(0, 50),
        "text.onnx": "this is no model",
        "strings.onnx": onnx.makeModel({
          inputs: [{ name: "x", type: onnx.elemType.string, shape: ["b"] }], outputs: [{ name: "y", type: onnx.elemType.string, shape: ["b"] }], nodes: []
        }),
        "poison.onnx": identity,
        "triton/config.pbtxt": "max_batch_size: 4\nmax_que: 3",
        "triton/1/model.onnx": identity,
        "versioned/7/model.onnx": onnx.int64Model(),
        "glet.json": JSON.stringify({ apiVersion: "glet/v1alpha1", models: { good: { sloMs: 20 } } })
      }, { onProgress: (event) => progress.push(event.kind === "state" ? `${event.model} ${event.state}` : event.kind) })
      const index = new Map(catalog.index().map((line) => [line.name, line]))
      assert.deepEqual([...index.keys()], ["good", "poison", "strings", "text", "torn", "triton", "versioned"])
      assert.deepEqual(index.get("good"), { name: "good", version: "1", state: "READY", reason: "" })
      assert.deepEqual(index.get("versioned"), { name: "versioned", version: "7", state: "READY", reason: "" })
      for (const [name, reason] of [
        ["torn", /torn\.onnx at byte \d+: /], ["text", /text\.onnx at byte \d+: /], ["strings", /input "x": holds strings/],
        ["triton", /config\.pbtxt:2:1: unknown field "max_que"/], ["poison", /poison\.onnx: .*no such operator/]
      ] as const) {
        assert.strictEqual(index.get(name)!.state, "UNAVAILABLE", name)
        assert.match(index.get(name)!.reason, reason)
        assert.isUndefined(catalog.find(name))
      }
      assert.deepEqual([...world.registered.keys()].sort(), ["good", "versioned"])
      assert.strictEqual(world.registered.get("good")!.sloMs, 20)
      assert.strictEqual(world.mostMeasuring, 1, "measurements do not disturb each other")
      assert.isBelow(
        world.events.findLastIndex((event) => event.startsWith("measure")),
        world.events.findIndex((event) => event.startsWith("register")),
        "nothing opens glets while others are measured"
      )
      assert.includeMembers(progress, ["found", "measuring", "good READY", "torn UNAVAILABLE"])

      assert.strictEqual(catalog.find("good")!.state, "READY")
      assert.strictEqual(catalog.find("versioned", 7)!.model.name, "versioned")
      for (const [name, version] of [["versioned", 1], ["good", 2], ["none", undefined], ["__proto__", undefined], ["../good", undefined]] as const) {
        assert.isUndefined(catalog.find(name, version))
      }
    }))

  it.scoped("takes one request at a time of a model that answers them otherwise together, of whatever length, unless its settings join them", () =>
    Effect.gen(function*() {
      const world = new World()
      const { catalog } = yield* settledCatalog(world, {
        "steps.onnx": identity,
        "steps-joined.onnx": identity,
        "glet.json": JSON.stringify({ apiVersion: "glet/v1alpha1", models: { "steps-joined": { maxBatch: 8 } } })
      })
      const steps = catalog.find("steps")!
      assert.strictEqual(steps.state, "READY")
      assert.strictEqual(world.registered.get("steps"), steps.model)
      assert.strictEqual(steps.model.maxBatch, 1)
      assert.isUndefined(steps.model.signature.batchSymbol)
      assert.deepEqual(steps.model.signature.inputs[0]!.shape, ["batch", 4])
      assert.deepEqual(steps.layout.inputSymbols, ["batch"])
      assert.deepInclude(steps.config, { max_batch_size: 0 })
      assert.strictEqual(catalog.find("steps-joined")!.model.maxBatch, 8)
    }))

  it.scoped("measures once per file and largest batch", () =>
    Effect.gen(function*() {
      const world = new World()
      const { directory } = yield* settledCatalog(world, { "a.onnx": identity })
      assert.strictEqual(world.stored.get("a")!.sha256, yield* sha256OfFile(path.join(directory, "a.onnx")))
      yield* Effect.flatMap(catalogOf(world, directory), (again) => again.settled)
      assert.lengthOf(world.events.filter((event) => event === "measure a"), 1)
      const larger = new Map([["a", { maxBatch: 64 }]])
      yield* Effect.flatMap(catalogOf(world, directory, { overrides: larger }), (again) => again.settled)
      assert.lengthOf(world.events.filter((event) => event === "measure a"), 2)
      fs.writeFileSync(path.join(directory, "a.onnx"), onnx.identityModel(8))
      yield* Effect.flatMap(catalogOf(world, directory), (again) => again.settled)
      assert.lengthOf(world.events.filter((event) => event === "measure a"), 3)
    }))

  it.scoped("measures a file that is there under several names once", () =>
    Effect.gen(function*() {
      const world = new World()
      world.sharesProfiles = true
      const { catalog } = yield* settledCatalog(world, { "a.onnx": identity, "b.onnx": identity, "c.onnx": onnx.identityModel(8) })
      assert.deepEqual(catalog.index().map(({ state }) => state), ["READY", "READY", "READY"])
      assert.lengthOf(world.events.filter((event) => event.startsWith("measure")), 2)
    }))

  it.scoped("its state is what the scheduler says, at any time", () =>
    Effect.gen(function*() {
      const world = new World()
      world.onRegister = ({ name }) => name === "late" ? { state: "failed", reason: "not enough memory" } : { state: "ready" }
      const { catalog } = yield* settledCatalog(world, { "a.onnx": identity, "late.onnx": identity })
      const state = (name: string) => catalog.index().find((line) => line.name === name)
      assert.deepInclude(state("late"), { state: "UNAVAILABLE", reason: "not enough memory" })
      const entry = catalog.find("a")!
      world.readiness.set("a", { state: "waiting" })
      assert.strictEqual(entry.state, "LOADING")
      assert.include(state("a")!.reason, "no glet serves it yet")
      world.readiness.set("a", { state: "failed", reason: "crashed" })
      assert.strictEqual(entry.state, "UNAVAILABLE")
      world.readiness.set("a", { state: "ready" })
      assert.strictEqual(entry.state, "READY")
    }))

  it.scoped("names are known while models still load; a load waits for the start and for a glet, not forever", () =>
    Effect.gen(function*() {
      const world = new World()
      world.onRegister = () => ({ state: "waiting" })
      const directory = yield* folderOf({ "a.onnx": identity })
      const catalog = yield* catalogOf(world, directory, { readyTimeoutMs: 200 })
      assert.deepEqual(catalog.index(), [{ name: "a", state: "LOADING", reason: "" }])
      const load = yield* Effect.fork(Effect.flip(catalog.load("a")))
      // The files are read by the real system, in real time; only then does the clock of the test matter.
      yield* Effect.repeat(realTime, { until: () => world.registered.has("a") })
      yield* TestClock.adjust("300 millis")
      yield* catalog.settled
      const waiting = () => world.events.filter((event) => event.startsWith("register")).length < 2
      yield* Effect.repeat(realTime, { while: waiting })
      yield* TestClock.adjust("300 millis")
      const error = yield* Fiber.join(load)
      assert.deepInclude(error, { _tag: "CatalogLoadFailed", reason: "failed" })
      assert.include(error.message, "no glet serves it yet")
      world.readiness.set("a", { state: "ready" })
      assert.strictEqual(catalog.find("a")!.state, "READY")
    }))

  it.scoped("unloads and loads by name", () =>
    Effect.gen(function*() {
      const world = new World()
      const { catalog, directory } = yield* settledCatalog(world, { "a.onnx": identity })
      yield* catalog.unload("a")
      assert.deepEqual(catalog.index(), [{ name: "a", version: "1", state: "UNAVAILABLE", reason: "unloaded" }])
      assert.isFalse(world.registered.has("a"))
      yield* catalog.load("a")
      assert.strictEqual(catalog.index()[0]!.state, "READY")

      writeFiles(directory, { "b/1/model.onnx": onnx.int64Model() })
      yield* catalog.load("b")
      assert.strictEqual(catalog.find("b")!.state, "READY")
      for (const name of ["none", "", "../a", "__proto__", "a\0"]) {
        assert.strictEqual((yield* Effect.flip(catalog.load(name)))._tag, "ModelNotFound", name)
        assert.strictEqual((yield* Effect.flip(catalog.unload(name)))._tag, "ModelNotFound", name)
      }
      fs.rmSync(path.join(directory, "b"), { recursive: true })
      assert.strictEqual((yield* Effect.flip(catalog.load("b")))._tag, "ModelNotFound")
      assert.isFalse(world.registered.has("b"), "a model whose files are gone is not served on")
      assert.deepEqual(catalog.index().map(({ name }) => name), ["a"])
    }))

  it.scoped("who observes it has heard of a change before who asked for it, and of other tensors before they are served", () =>
    Effect.gen(function*() {
      const world = new World()
      const { catalog, directory } = yield* settledCatalog(world, { "a.onnx": identity })
      const hearing = yield* Effect.makeLatch(true)
      /** What the catalog, and the scheduler, said when it was told. */
      const heard: Array<string> = []
      const observing = yield* Scope.make()
      yield* Scope.extend(observing)(catalog.observe((name) =>
        Effect.zipRight(hearing.await, Effect.sync(() => {
          const batch = catalog.find(name)!.model.maxBatch
          heard.push(`${name} ${catalog.index()[0]!.state} ${batch}, registered ${world.registered.get(name)?.maxBatch}`)
        }))))
      yield* catalog.load("a", "{\"max_batch_size\":4}")
      // The scheduler took it, and it was ready.
      assert.deepStrictEqual(heard.splice(0), ["a READY 4, registered 4", "a READY 4, registered 4"])
      assert.strictEqual((yield* Effect.flip(catalog.load("a", "{")))._tag, "CatalogLoadFailed")
      yield* catalog.unload("a")
      assert.deepStrictEqual(heard.splice(0), ["a UNAVAILABLE 4, registered undefined"])

      yield* hearing.close
      const asked = yield* Effect.fork(catalog.load("a"))
      for (let i = 0; i < 10; i++) yield* realTime
      assert.isTrue(Option.isNone(yield* Fiber.poll(asked)), "who asked waits")
      assert.isFalse(world.registered.has("a"), "and so does the scheduler")
      yield* hearing.open
      yield* Fiber.join(asked)
      assert.deepStrictEqual(heard.splice(0), ["a LOADING 32, registered undefined", "a READY 32, registered 32"])

      // What was to take its place and did not was told of as well.
      world.onRegister = () => ({ state: "ready", notTaken: "no memory" })
      yield* Effect.flip(catalog.load("a", "{\"max_batch_size\":2}"))
      assert.deepStrictEqual(heard.splice(0), ["a READY 32, registered 2"])
      yield* Scope.close(observing, Exit.void)
      writeFiles(directory, { "a.onnx": onnx.int64Model() })
      world.onRegister = () => ({ state: "ready" })
      yield* catalog.load("a")
      assert.deepStrictEqual(heard, [])
    }))

  it.scoped("what was asked for is done, though who asked is gone", () =>
    Effect.gen(function*() {
      const world = new World()
      const { catalog } = yield* settledCatalog(world, { "a.onnx": identity })
      const taken = yield* Effect.makeLatch()
      world.taking = taken.await
      const goneWhile = <E>(asking: Effect.Effect<void, E>) =>
        Effect.gen(function*() {
          yield* taken.close
          const before = world.events.length
          const asked = yield* Effect.fork(asking)
          while (world.events.length === before) yield* realTime
          yield* Fiber.interrupt(asked)
          yield* taken.open
          yield* realTime
          return catalog.index().map(({ reason, state }) => `${state} ${reason}`.trim())
        })
      assert.deepStrictEqual(yield* goneWhile(catalog.unload("a")), ["UNAVAILABLE unloaded"])
      assert.deepStrictEqual(yield* goneWhile(catalog.load("a")), ["READY"])
    }))

  it.scoped("a model whose files come back while it is forgotten is served as any other", () =>
    Effect.gen(function*() {
      const world = new World()
      const { catalog, directory } = yield* settledCatalog(world, { "a.onnx": identity })
      const isTaken = yield* Effect.makeLatch()
      world.taking = isTaken.await
      fs.rmSync(path.join(directory, "a.onnx"))
      const forgetting = yield* Effect.fork(Effect.either(catalog.load("a")))
      while (world.events.at(-1) !== "unregister a") yield* realTime
      writeFiles(directory, { "a.onnx": identity })
      const loads = yield* Effect.forEach([1, 2], () => Effect.fork(catalog.load("a")))
      for (let i = 0; i < 5; i++) yield* realTime
      yield* isTaken.open
      assert.strictEqual((yield* Fiber.join(forgetting))._tag, "Left")
      for (const load of loads) yield* Fiber.join(load)
      assert.deepStrictEqual(catalog.index(), [{ name: "a", version: "1", state: "READY", reason: "" }])
      assert.strictEqual(catalog.find("a")?.model, world.registered.get("a"))
    }))

  it.scoped("a load request brings its own configuration", () =>
    Effect.gen(function*() {
      const world = new World()
      const { catalog } = yield* settledCatalog(world, { "a/1/model.onnx": identity, "a/config.pbtxt": "max_batch_size: 16" })
      assert.strictEqual(world.registered.get("a")!.maxBatch, 16)
      yield* catalog.load("a", JSON.stringify({ max_batch_size: 4, parameters: { "glet.slo_ms": { string_value: "7" } } }))
      assert.deepInclude(world.registered.get("a"), { maxBatch: 4, sloMs: 7 })
      assert.strictEqual(catalog.find("a")!.config["max_batch_size"], 4)
      for (const [config, text] of [["{", "the given configuration:1:2"], ["{\"max_batch\": 1}", "did you mean \"max_batch_size\"?"], ["{\"input\": [{\"name\": \"q\"}]}", "no input \"q\""]] as const) {
        const error = yield* Effect.flip(catalog.load("a", config))
        assert.deepInclude(error, { _tag: "CatalogLoadFailed", reason: "invalid" })
        assert.include(error.message, text)
        assert.strictEqual(catalog.find("a")!.state, "READY")
      }
      yield* catalog.load("a")
      assert.strictEqual(world.registered.get("a")!.maxBatch, 16, "without one, the file counts again")
    }))

  it.scoped("new files that are no good leave the old model serving", () =>
    Effect.gen(function*() {
      const world = new World()
      const { catalog, directory } = yield* settledCatalog(world, { "a.onnx": identity })
      fs.writeFileSync(path.join(directory, "a.onnx"), "broken")
      assert.strictEqual((yield* Effect.flip(catalog.load("a")))._tag, "CatalogLoadFailed")
      assert.strictEqual(catalog.find("a")!.state, "READY")
      assert.match(catalog.index()[0]!.reason, /still serving what was loaded before: .*a\.onnx at byte/)
      assert.isFalse(world.events.includes("unregister a"))
      fs.writeFileSync(path.join(directory, "a.onnx"), identity)
      yield* catalog.load("a")
      assert.deepInclude(catalog.index()[0], { state: "READY", reason: "" })
    }))

  it.scoped("says what the scheduler did not take in the place of what it serves", () =>
    Effect.gen(function*() {
      const world = new World()
      const { catalog, directory } = yield* settledCatalog(world, { "a.onnx": identity, "glet.json": JSON.stringify({ apiVersion: "glet/v1alpha1", models: { a: { sloMs: 50 } } }) })
      writeFiles(directory, { "glet.json": JSON.stringify({ apiVersion: "glet/v1alpha1", models: { a: { sloMs: 0.01, maxBatch: 4 } } }) })
      world.onRegister = () => ({ state: "ready", notTaken: "version 1 was not taken: it has an SLO of 0.01 ms" })
      const error = yield* Effect.flip(catalog.load("a"))
      assert.match(error.message, /an SLO of 0\.01 ms/)
      assert.strictEqual(catalog.find("a")?.model.sloMs, 50)
      const [line] = catalog.index()
      assert.strictEqual(line?.state, "READY")
      assert.match(line!.reason, /still serving what was loaded before: .*an SLO of 0\.01 ms/)
      world.onRegister = () => ({ state: "ready" })
      yield* catalog.load("a")
      assert.strictEqual(catalog.find("a")?.model.sloMs, 0.01)
      assert.strictEqual(catalog.index()[0]?.reason, "")
    }))

  it.scoped("what is served is so by its version until another one is taken in its place, whatever that takes, and from then on it is not", () =>
    Effect.gen(function*() {
      const world = new World()
      const { catalog, directory } = yield* settledCatalog(world, { "a/1/model.onnx": identity })
      const lines = () => catalog.index().map(({ reason, state, version }) => `${version} ${state} ${reason}`.trim())
      const served = () => [undefined, 1, 2, 3].map((version) => catalog.find("a", version)).map((entry) => entry && `${entry.model.version} ${entry.state} ${entry.model.signature.inputs[0]!.shape[1]}`)
      const isTaken = yield* Effect.makeLatch()
      world.taking = isTaken.await
      /** Starts a load, and waits until the scheduler has it. */
      const begin = Effect.gen(function*() {
        yield* isTaken.close
        const before = world.events.length
        const loading = yield* Effect.fork(Effect.either(catalog.load("a")))
        while (!world.events.slice(before).some((event) => event.startsWith("register"))) yield* realTime
        return Effect.zipRight(isTaken.open, Fiber.join(loading))
      })
      // Of other tensors too: they wait for nothing.
      writeFiles(directory, { "a/2/model.onnx": onnx.identityModel(9) })
      const second = yield* begin
      assert.deepStrictEqual(served(), ["1 READY 4", "1 READY 4", undefined, undefined])
      assert.deepStrictEqual(lines(), ["1 READY", "2 LOADING"])
      assert.strictEqual((yield* second)._tag, "Right")
      assert.deepStrictEqual(served(), ["2 READY 9", undefined, "2 READY 9", undefined])
      assert.deepStrictEqual(lines(), ["2 READY"])

      world.onRegister = () => ({ state: "ready", notTaken: "no memory" })
      writeFiles(directory, { "a/3/model.onnx": identity })
      const third = yield* begin
      assert.deepStrictEqual(lines(), ["2 READY", "3 LOADING"])
      assert.strictEqual((yield* third)._tag, "Left")
      assert.deepStrictEqual(served(), ["2 READY 9", undefined, "2 READY 9", undefined])
      assert.deepStrictEqual(lines(), ["2 READY still serving what was loaded before: no memory"])
      assert.isFalse(world.events.includes("unregister a"))
    }))

  it.scoped("fails where the folder or its settings cannot be read", () =>
    Effect.gen(function*() {
      const world = new World()
      assert.include((yield* Effect.flip(catalogOf(world, "/no/such/folder"))).message, "no such folder of models")
      const directory = yield* folderOf({ "a.onnx": identity, "glet.json": "{\"apiVersion\": 1}" })
      assert.match((yield* Effect.flip(catalogOf(world, directory))).message, /glet\.json:1:2: apiVersion: Expected "glet\/v1alpha1", actual 1/)
      writeFiles(directory, { "b.onnx": identity, "glet.json": "{\"apiVersion\": \"glet/v1alpha1\", \"models\": {\"a\": {\"slo\": 1}}}" })
      const catalog = yield* catalogOf(world, directory)
      yield* catalog.settled
      assert.match(catalog.index()[0]!.reason, /glet\.json:1:\d+: models\.a\.slo: unknown field/)
      assert.strictEqual(catalog.index()[1]!.state, "READY")
    }))

  it.scoped("loads anew what glets find changed, once it holds still, with what the last load brought", () =>
    Effect.gen(function*() {
      const world = new World()
      const { catalog, directory } = yield* settledCatalog(world, { "a.onnx": identity, "b.onnx": identity })
      yield* catalog.load("a", "{\"max_batch_size\":4}")
      const registered = () => world.events.filter((event) => event.startsWith("register a")).length
      const looks = (count: number) => Effect.forEach(Array.from({ length: count }), () => Effect.zipRight(realTime, TestClock.adjust("1 second")), { discard: true })
      const before = registered()
      // Nobody had to read it: nobody looks.
      writeFiles(directory, { "a.onnx": onnx.identityModel(6), "b.onnx": onnx.identityModel(6) })
      yield* looks(5)
      world.refuse("a", "no-memory")
      yield* looks(5)
      assert.strictEqual(registered(), before)

      // It is written until now.
      world.refuse("a")
      yield* realTime
      writeFiles(directory, { "a.onnx": "torn" })
      yield* looks(2)
      assert.strictEqual(registered(), before)
      yield* looks(6)
      assert.match(catalog.index()[0]!.reason, /still serving what was loaded before: .*a\.onnx/)
      assert.strictEqual(catalog.find("a")!.model.signature.inputs[0]!.shape[1], 4)
      // What is no good is not tried again until it changes.
      const files = catalog.find("a")!.model.files
      writeFiles(directory, { "a.onnx": onnx.identityModel(7) })
      yield* Effect.repeat(looks(1), { until: () => catalog.find("a")!.model.files !== files })
      assert.deepInclude(world.registered.get("a"), { maxBatch: 4 })
      assert.strictEqual(catalog.find("a")!.model.signature.inputs[0]!.shape[1], 7)
      assert.strictEqual(catalog.index()[0]!.reason, "")
      assert.strictEqual(registered(), before + 1)
      assert.strictEqual(world.registered.get("b")!.signature.inputs[0]!.shape[1], 4, "its glets go on")

      // Also where nothing is other than it was, as far as one sees from without: a glet does not take it.
      world.refuse("a")
      yield* Effect.repeat(looks(1), { until: () => registered() === before + 2 })
      yield* looks(3)
      assert.strictEqual(registered(), before + 2)
      // Files that are gone are nothing to load; what has them already goes on.
      fs.rmSync(path.join(directory, "b.onnx"))
      world.refuse("b")
      yield* looks(4)
      assert.strictEqual(catalog.find("b")!.state, "READY")
      yield* catalog.unload("a")
      yield* looks(3)
      assert.strictEqual(registered(), before + 2)
    }))

  it.scoped("polls where it is told to", () =>
    Effect.gen(function*() {
      const world = new World()
      const { catalog, directory } = yield* settledCatalog(world, { "a.onnx": identity, "gone.onnx": identity }, { pollMs: 1000 })
      writeFiles(directory, { "a.onnx": onnx.identityModel(6), "new/1/model.onnx": identity, "bad.onnx": "x" })
      fs.rmSync(path.join(directory, "gone.onnx"))
      const lines = () => catalog.index().map(({ name, state }) => `${name} ${state}`).join()
      yield* Effect.zipRight(TestClock.adjust("1 second"), realTime).pipe(
        Effect.repeat({ until: () => lines() === "a READY,bad UNAVAILABLE,new READY" && world.registered.get("a")?.signature.inputs[0]?.shape[1] === 6 })
      )
      assert.isFalse(world.registered.has("gone"))
    }))
})
