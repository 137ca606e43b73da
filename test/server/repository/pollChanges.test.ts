import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as fs from "node:fs"
import * as path from "node:path"
import { CatalogLoadFailed } from "../../../src/server/ModelCatalog.js"
import { stampOf } from "../../../src/server/repository/internal/modelLoader.js"
import { pollChanges } from "../../../src/server/repository/internal/pollChanges.js"
import { Shelf } from "../../../src/server/repository/internal/shelf.js"
import { readSettings } from "../../../src/server/repository/ModelSettings.js"
import { scanRepository } from "../../../src/server/repository/Scan.js"
import { folderOf, writeFiles } from "./folder.js"

/** A catalog that only remembers what it was told. */
const polled = (directory: string) => {
  const shelves = new Map<string, Shelf>()
  const events: Array<string> = []
  const shelfOf = (name: string) =>
    Effect.map(Effect.makeSemaphore(1), (lock) => {
      const shelf = shelves.get(name) ?? new Shelf(name, lock, () => ({ state: "ready" }))
      shelves.set(name, shelf)
      return shelf
    })
  const poll = pollChanges({
    look: Effect.all([scanRepository(directory, { followLinks: false }), readSettings(directory)]),
    shelves,
    load: (found, settings) =>
      Effect.flatMap(shelfOf(found.name), (shelf) => {
        events.push(`load ${shelf.name}`)
        shelf.stamp = stampOf(found, settings)
        return shelf.name === "bad" ? new CatalogLoadFailed({ model: "bad", reason: "invalid", detail: "bad" }) : Effect.void
      }),
    forget: (shelf) => Effect.sync(() => {
      events.push(`forget ${shelf.name}`)
      shelves.delete(shelf.name)
    })
  })
  return { shelves, poll: Effect.map(poll, () => events.splice(0)) }
}

describe("pollChanges", () => {
  it.scoped("a change counts once it was seen twice, and only once", () =>
    Effect.gen(function*() {
      const directory = yield* folderOf({ "a.onnx": "1", "bad.onnx": "1" })
      const { poll } = polled(directory)
      assert.deepEqual(yield* poll, [])
      assert.deepEqual(yield* poll, ["load a", "load bad"])
      assert.deepEqual(yield* poll, [])
      writeFiles(directory, { "a.onnx": "12" })
      assert.deepEqual(yield* poll, [])
      writeFiles(directory, { "a.onnx": "123" })
      assert.deepEqual(yield* poll, [], "it is still being written")
      assert.deepEqual(yield* poll, ["load a"])
      assert.deepEqual(yield* poll, [], "what is broken is not tried again until it changes")
    }))

  it.scoped("forgets what is gone, unless it comes back", () =>
    Effect.gen(function*() {
      const directory = yield* folderOf({ "a.onnx": "1", "b.onnx": "1" })
      const { poll } = polled(directory)
      yield* poll
      yield* poll
      const bytes = fs.statSync(path.join(directory, "a.onnx"))
      fs.renameSync(path.join(directory, "a.onnx"), path.join(directory, "a.old"))
      fs.rmSync(path.join(directory, "b.onnx"))
      assert.deepEqual(yield* poll, [])
      fs.renameSync(path.join(directory, "a.old"), path.join(directory, "a.onnx"))
      assert.strictEqual(fs.statSync(path.join(directory, "a.onnx")).ino, bytes.ino)
      assert.deepEqual(yield* poll, ["forget b"])
      assert.deepEqual(yield* poll, [])
    }))

  it.scoped("leaves alone what was unloaded on request", () =>
    Effect.gen(function*() {
      const directory = yield* folderOf({ "a.onnx": "1" })
      const { poll, shelves } = polled(directory)
      yield* poll
      yield* poll
      shelves.get("a")!.phase = { is: "unloaded" }
      writeFiles(directory, { "a.onnx": "12" })
      assert.deepEqual([yield* poll, yield* poll, yield* poll], [[], [], []])
    }))

  it.scoped("sees settings; broken ones change nothing", () =>
    Effect.gen(function*() {
      const directory = yield* folderOf({ "a.onnx": "1", "b.onnx": "1" })
      const { poll } = polled(directory)
      yield* poll
      yield* poll
      writeFiles(directory, { "glet.json": "{" })
      assert.deepEqual([yield* poll, yield* poll], [[], []])
      writeFiles(directory, { "glet.json": JSON.stringify({ apiVersion: "glet/v1alpha1", models: { b: { sloMs: 9 } } }) })
      assert.deepEqual([yield* poll, yield* poll, yield* poll], [[], ["load b"], []])
    }))
})
