import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { createHash } from "node:crypto"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { unsafeModelName } from "../../src/core/Ids.js"
import type { ModelProfile, Profile } from "../../src/core/Profile.js"
import { ProfileError, ProfileStore } from "../../src/core/Profile.js"
import { maxModels, withModel } from "../../src/core/internal/profiles.js"
import * as ProfileStoreFile from "../../src/node-cuda/ProfileStoreFile.js"

const key = { gpuType: "cpu", isolation: "threads", units: 2 } as const
const modelProfile = (name: string, sha256: string, p50Ms = 1): ModelProfile => ({
  model: unsafeModelName(name),
  sha256,
  memoryBytes: 1000,
  loadMs: 3,
  points: [{ sharePct: 50, batch: 1, meanMs: p50Ms, p50Ms, p90Ms: p50Ms, p99Ms: p50Ms, count: 10 }]
})
const folder = Effect.acquireRelease(
  Effect.sync(() => fs.mkdtempSync(path.join(os.tmpdir(), "glet-profiles-"))),
  (directory) => Effect.sync(() => fs.rmSync(directory, { recursive: true, force: true }))
)
const get = (store: typeof ProfileStore.Service, name: string, sha256?: string, units?: number) =>
  Effect.map(
    store.get({
      gpuType: key.gpuType, isolation: key.isolation, model: unsafeModelName(name),
      ...(sha256 === undefined ? {} : { sha256 }), ...(units === undefined ? {} : { units })
    }),
    Option.getOrUndefined
  )

const stores = {
  file: Layer.scoped(ProfileStore, Effect.map(folder, (directory) => ProfileStoreFile.make({ directories: [directory] }))),
  memory: ProfileStoreFile.layerMemory()
}
for (const [name, layer] of Object.entries(stores)) {
  describe(`ProfileStore, ${name}`, () => {
    it.scopedLive("gives back what was put, by model, weights and units", () =>
      Effect.gen(function*() {
        const store = yield* ProfileStore
        assert.isUndefined(yield* get(store, "a"))
        yield* store.put(key, modelProfile("a", "s1"))
        yield* store.put(key, modelProfile("b", "s1"))
        assert.deepStrictEqual(yield* get(store, "a", "s1"), modelProfile("a", "s1"))
        assert.deepStrictEqual(yield* get(store, "b"), modelProfile("b", "s1"))
        assert.isUndefined(yield* get(store, "a", "s2"))
        assert.isUndefined(yield* get(store, "a", "s1", 4))
        assert.isDefined(yield* get(store, "a", "s1", 2))
        assert.isTrue(Option.isNone(yield* store.get({ ...key, isolation: "mps", model: unsafeModelName("a") })))
        assert.isTrue(Option.isNone(yield* store.get({ ...key, gpuType: "h200", model: unsafeModelName("a") })))
      }).pipe(Effect.provide(layer)))

    it.scopedLive("keeps versions apart, replaces the same one, and gives the newest", () =>
      Effect.gen(function*() {
        const store = yield* ProfileStore
        yield* store.put(key, modelProfile("a", "s1", 1))
        yield* store.put(key, modelProfile("a", "s2", 2))
        yield* store.put(key, modelProfile("a", "s1", 3))
        assert.strictEqual((yield* get(store, "a", "s2"))?.points[0].p50Ms, 2)
        assert.strictEqual((yield* get(store, "a", "s1"))?.points[0].p50Ms, 3)
        assert.strictEqual((yield* get(store, "a"))?.points[0].p50Ms, 3)
      }).pipe(Effect.provide(layer)))

    it.scopedLive("gives another model of the same file its profile, unless it has its own", () =>
      Effect.gen(function*() {
        const store = yield* ProfileStore
        yield* store.put(key, modelProfile("a", "s1", 1))
        assert.deepStrictEqual(yield* get(store, "copy", "s1"), modelProfile("copy", "s1", 1))
        assert.isUndefined(yield* get(store, "copy", "s2"))
        assert.isUndefined(yield* get(store, "copy"), "without a file to compare")
        yield* store.put(key, modelProfile("copy", "s1", 2))
        yield* store.put(key, modelProfile("a", "s1", 3))
        assert.strictEqual((yield* get(store, "copy", "s1"))?.points[0].p50Ms, 2)
      }).pipe(Effect.provide(layer)))

    it.scopedLive("forgets what a device of other units measured", () =>
      Effect.gen(function*() {
        const store = yield* ProfileStore
        yield* store.put(key, modelProfile("a", "s1"))
        yield* store.put({ ...key, units: 8 }, modelProfile("b", "s1"))
        assert.isUndefined(yield* get(store, "a"))
        assert.isDefined(yield* get(store, "b", "s1", 8))
      }).pipe(Effect.provide(layer)))
  })
}

describe("ProfileStoreFile", () => {
  it.scopedLive("prefers the first folder and writes only there", () =>
    Effect.gen(function*() {
      const cache = path.join(yield* folder, "not", "there", "yet")
      const shipped = yield* folder
      yield* ProfileStoreFile.make({ directories: [shipped] }).put(key, modelProfile("a", "s1", 1))
      const before = fs.readFileSync(ProfileStoreFile.profilePath(shipped, "cpu", "threads"), "utf8")
      const store = ProfileStoreFile.make({ directories: [cache, shipped], provenance: "a test" })
      assert.strictEqual((yield* get(store, "a", "s1"))?.points[0].p50Ms, 1)
      yield* store.put(key, modelProfile("a", "s1", 2))
      assert.strictEqual((yield* get(store, "a", "s1"))?.points[0].p50Ms, 2)
      assert.strictEqual(fs.readFileSync(ProfileStoreFile.profilePath(shipped, "cpu", "threads"), "utf8"), before)
      const written = yield* ProfileStoreFile.readProfile(ProfileStoreFile.profilePath(cache, "cpu", "threads"))
      assert.strictEqual(written.provenance, "a test")
      assert.strictEqual(written.models.length, 1)
    }))

  it.scopedLive("loses nothing of many writers, and leaves no files behind", () =>
    Effect.gen(function*() {
      const directory = yield* folder
      const writers = Array.from({ length: 8 }, () => ProfileStoreFile.make({ directories: [directory] }))
      yield* Effect.forEach(Array.from({ length: 40 }), (_, i) => writers[i % 8]!.put(key, modelProfile(`m${i}`, "s")), { concurrency: "unbounded" })
      for (let i = 0; i < 40; i++) assert.isDefined(yield* get(writers[0]!, `m${i}`))
      assert.deepStrictEqual(fs.readdirSync(path.join(directory, "cpu")), ["threads.json"])
    }))

  it.scopedLive("breaks the lock of a writer that died", () =>
    Effect.gen(function*() {
      const directory = yield* folder
      const file = ProfileStoreFile.profilePath(directory, "cpu", "threads")
      fs.mkdirSync(path.dirname(file), { recursive: true })
      // No process has so high a number.
      fs.writeFileSync(`${file}.lock`, "2147483646")
      const store = ProfileStoreFile.make({ directories: [directory] })
      yield* store.put(key, modelProfile("a", "s"))
      assert.isDefined(yield* get(store, "a"))
      assert.isFalse(fs.existsSync(`${file}.lock`))
    }))

  const faults: ReadonlyArray<readonly [string, string, RegExp]> = [
    ["no JSON", "{", /not JSON/],
    ["another kind", JSON.stringify({ apiVersion: "glet/v1alpha1", kind: "Plan" }), /field kind|field gpuType/],
    ["another version", JSON.stringify({ apiVersion: "glet/v9" }), /field apiVersion/],
    ["a bad latency", JSON.stringify({
      apiVersion: "glet/v1alpha1", kind: "Profile", gpuType: "cpu", isolation: "threads", units: 2,
      models: [{ ...modelProfile("a", "s"), points: [{ sharePct: 50, batch: 1, meanMs: 1, p50Ms: -1, p90Ms: 1, p99Ms: 1, count: 1 }] }]
    }), /field models\[0\]\.points\[0\]\.p50Ms/]
  ]
  for (const [name, text, expected] of faults) {
    it.scopedLive(`names file and field: ${name}`, () =>
      Effect.gen(function*() {
        const directory = yield* folder
        const file = ProfileStoreFile.profilePath(directory, "cpu", "threads")
        fs.mkdirSync(path.dirname(file), { recursive: true })
        fs.writeFileSync(file, text)
        const store = ProfileStoreFile.make({ directories: [directory] })
        for (const effect of [get(store, "a"), store.put(key, modelProfile("a", "s"))]) {
          const error = yield* Effect.flip(effect)
          assert.instanceOf(error, ProfileError)
          assert.strictEqual(error.reason, "invalid")
          assert.strictEqual(error.subject, file)
          assert.match(error.detail, expected)
        }
        assert.strictEqual(fs.readFileSync(file, "utf8"), text)
      }))
  }

  it.scopedLive("sees that another process changed the file", () =>
    Effect.gen(function*() {
      const directory = yield* folder
      const one = ProfileStoreFile.make({ directories: [directory] })
      const other = ProfileStoreFile.make({ directories: [directory] })
      yield* one.put(key, modelProfile("a", "s", 1))
      assert.strictEqual((yield* get(one, "a"))?.points[0].p50Ms, 1)
      yield* other.put(key, modelProfile("a", "s", 2))
      assert.strictEqual((yield* get(one, "a"))?.points[0].p50Ms, 2)
    }))

  it.scopedLive("says where it cannot write", () =>
    Effect.gen(function*() {
      const directory = path.join(yield* folder, "file")
      fs.writeFileSync(directory, "")
      const error = yield* Effect.flip(ProfileStoreFile.make({ directories: [directory] }).put(key, modelProfile("a", "s")))
      assert.strictEqual(error.reason, "unwritable")
      assert.include(error.subject, directory)
    }))

  it.effect("says that a file is missing", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(ProfileStoreFile.readProfile("/nowhere/profile.json"))
      assert.strictEqual(error.reason, "missing")
    }))

  it("keeps GPU types within the folder", () => {
    for (const type of ["..", ".", "../../etc", "a/b", "NVIDIA H200", "\ud800", ""]) {
      const file = ProfileStoreFile.profilePath("/root/profiles", type, "mps")
      assert.match(path.relative("/root/profiles", file), /^([^/.][^/]*\/)?mps\.json$/)
    }
    assert.notStrictEqual(ProfileStoreFile.profilePath("d", "a b", "mps"), ProfileStoreFile.profilePath("d", "a%20b", "mps"))
  })

  it("takes the user's cache from the environment, where that is absolute", () => {
    assert.strictEqual(ProfileStoreFile.defaultDirectories({ XDG_CACHE_HOME: "/x" })[0], path.join("/x", "glet-orion", "profiles"))
    const home = path.join(os.homedir(), ".cache", "glet-orion", "profiles")
    assert.strictEqual(ProfileStoreFile.defaultDirectories({ XDG_CACHE_HOME: "relative" })[0], home)
    assert.strictEqual(ProfileStoreFile.defaultDirectories({})[0], home)
    assert.match(ProfileStoreFile.defaultDirectories({})[1] ?? "", /resource[\\/]profiles$/)
    assert.match(ProfileStoreFile.defaultDirectories({})[2] ?? "", /resource[\\/]zoo$/)
  })

  it.effect("knows the models that were measured for the package by their weights, on their GPU alone", () =>
    Effect.gen(function*() {
      const sha256 = createHash("sha256").update(fs.readFileSync("resource/demo/lenet-digits.onnx")).digest("hex")
      const store = ProfileStoreFile.make({ directories: ["/nowhere", ...ProfileStoreFile.defaultDirectories().slice(1)] })
      const asked = { gpuType: "h200", isolation: "mps", units: 132, model: unsafeModelName("digits-by-another-name"), sha256 } as const
      const found = Option.getOrThrow(yield* store.get(asked))
      assert.isAtLeast(new Set(found.points.map(({ sharePct }) => sharePct)).size, 5)
      assert.isTrue(Option.isNone(yield* store.get({ ...asked, units: 114 })))
      assert.isTrue(Option.isNone(yield* store.get({ ...asked, sha256: "0" })))
    }))

  it("is bounded: the oldest leave", () => {
    let profile: Profile = { apiVersion: "glet/v1alpha1", kind: "Profile", ...key, models: [] }
    for (let i = 0; i < maxModels + 5; i++) profile = withModel(profile, modelProfile(`m${i}`, "s"))
    assert.strictEqual(profile.models.length, maxModels)
    assert.strictEqual(profile.models[0]?.model as string, "m5")
  })
})
