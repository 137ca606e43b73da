/** Files of a model that are written over, replaced or cut off after it was loaded: what is open goes on with what it was, and nothing else is served as that. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as fs from "node:fs"
import * as path from "node:path"
import type { GletHandle } from "../../src/core/Executor.js"
import { Executor, runBatch } from "../../src/core/Executor.js"
import { unsafeGletId } from "../../src/core/Ids.js"
import type { Model } from "../../src/core/Model.js"
import { makeSlotLayout } from "../../src/core/SlotLayout.js"
import * as CpuExecutor from "../../src/node-cuda/CpuExecutor.js"
import { cpuGpu } from "../../src/node-cuda/CpuInventory.js"
import { defaultSettings } from "../../src/server/repository/ModelSettings.js"
import { readModel } from "../../src/server/repository/ReadModel.js"
import { scanRepository } from "../../src/server/repository/Scan.js"
import { add, floats, makeModel } from "../support/onnx.js"
import { folderOf } from "../server/repository/folder.js"

/** Several pages of weights. */
const width = 4096
const filled = (value: number): Float32Array => new Float32Array(width).fill(value)
const bytesOf = (values: Float32Array): Uint8Array => new Uint8Array(values.buffer)

/** `y = x + inside + beside`: weights in the file itself, and in one beside it. */
const modelFile = (inside: number): Uint8Array =>
  makeModel({
    inputs: [{ name: "x", shape: ["batch", width] }], outputs: [{ name: "y", shape: ["batch", width] }], nodes: [add(["x", "inside"], "a"), add(["a", "beside"], "y")],
    initializers: [
      floats("inside", [width], filled(inside)),
      { name: "beside", dims: [width], data: new Float32Array(0), external: { location: "weights/beside.bin", offset: 0, length: 4 * width } }
    ]
  })

const folderOfModel = folderOf({ "m/1/model.onnx": modelFile(1), "m/1/weights/beside.bin": bytesOf(filled(10)) })

/** The model as a load finds it. */
const loadOf = (directory: string): Effect.Effect<Model> =>
  scanRepository(directory, { followLinks: false }).pipe(
    Effect.flatMap(([found]) => readModel(found!, { followLinks: false, defaults: defaultSettings, settings: [] })),
    Effect.map(({ model }) => model),
    Effect.orDie
  )

/** What `y` is for a request of zeros: one number, or the model is a mixture. */
const answerOf = (glet: GletHandle, model: Model) =>
  Effect.gen(function*() {
    const { arena } = yield* Executor
    const layout = makeSlotLayout(model.signature)
    const placement = layout.placement(1, [])
    const slot = arena.allocate(placement.totalBytes)!
    slot.bytes.fill(0)
    const end = yield* runBatch(glet, { model, entries: [{ slot, items: 1, bindings: [] }], items: 1 })
    const numbers = new Float32Array(slot.bytes.slice(placement.outputOffsets[0], placement.outputOffsets[0]! + 4 * width).buffer)
    slot.release()
    if (!end.ok) return end.error._tag === "BatchFailed" ? end.error.detail : end.error.message
    return [...new Set(numbers)].join(" and ")
  })

const gpu = cpuGpu({ cores: 2 })
let glets = 0
const openGlet = Effect.flatMap(Executor, (executor) => executor.open({ id: unsafeGletId(`cpu/${glets++}`), gpu, sharePct: 50, priority: 0 }))

const inPlace = (file: string, bytes: Uint8Array): void => {
  const fd = fs.openSync(file, "r+")
  fs.writeSync(fd, bytes)
  fs.closeSync(fd)
}

/** As tools do that keep times: moved to its place, as old and as large as what it replaces. */
const moved = (file: string, bytes: Uint8Array): void => {
  const { atime, mtime } = fs.statSync(file)
  fs.writeFileSync(`${file}.next`, bytes)
  fs.utimesSync(`${file}.next`, atime, mtime)
  fs.renameSync(`${file}.next`, file)
}

const changes: ReadonlyArray<readonly [what: string, change: (model: string, weights: string) => void, answer: string | undefined]> = [
  ["its own file, written over", (model) => inPlace(model, modelFile(2)), "12"],
  ["its own file, replaced by one as old and large", (model) => moved(model, modelFile(3)), "13"],
  ["its weights, written over", (_, weights) => inPlace(weights, bytesOf(filled(20))), "21"],
  ["its weights, replaced by some as old and large", (_, weights) => moved(weights, bytesOf(filled(30))), "31"],
  ["its weights, gone", (_, weights) => fs.rmSync(weights), undefined],
  ["its own file, gone", (model) => fs.rmSync(model), undefined]
]

describe.each(["ort-c", "ort-js"] as const)("files of a model that change under %s", (engine) => {
  const withExecutor = <A, E, R>(body: Effect.Effect<A, E, R>) => Effect.provideServiceEffect(body, Executor, CpuExecutor.make({ engine }))

  it.scopedLive("what is loaded goes on as it was, written over or cut off", () =>
    withExecutor(Effect.gen(function*() {
      const directory = yield* folderOfModel
      const model = yield* loadOf(directory)
      const glet = yield* openGlet
      yield* glet.load(model, [1])
      assert.strictEqual(yield* answerOf(glet, model), "11")
      const [own, weights] = model.files!.map((file) => file.path) as [string, string]
      inPlace(weights, bytesOf(filled(20)))
      inPlace(own, modelFile(2))
      assert.strictEqual(yield* answerOf(glet, model), "11")
      fs.truncateSync(weights, 0)
      fs.truncateSync(own, 0)
      assert.strictEqual(yield* answerOf(glet, model), "11")
    })))

  it.scopedLive("nothing else is loaded as it, until it is loaded anew", () =>
    withExecutor(Effect.gen(function*() {
      const first = yield* openGlet
      for (const [what, change, answer] of changes) {
        const directory = yield* folderOfModel
        const model = yield* loadOf(directory)
        yield* first.load(model, [1])
        const [own, weights] = model.files!.map((file) => file.path) as [string, string]
        change(own, weights)
        // As one that comes back after a death, or by another plan.
        const second = yield* openGlet
        const error = yield* Effect.flip(second.load(model, [1]))
        assert(error._tag === "ModelLoadFailed", error.message)
        assert.strictEqual(error.reason, "changed", what)
        assert.include(error.message, what.startsWith("its own") ? "m/1/model.onnx" : "m/1/weights/beside.bin")
        assert.include(error.message, "load it again")
        assert.strictEqual(yield* answerOf(first, model), "11", what)
        if (answer !== undefined) {
          const next = yield* loadOf(directory)
          yield* second.load(next, [1])
          assert.strictEqual(yield* answerOf(second, next), answer, what)
          assert.strictEqual(yield* answerOf(first, model), "11", what)
        }
        yield* first.unload(model)
      }
    })))

  it.scopedLive("what nobody knows the files of is loaded as it is found", () =>
    withExecutor(Effect.gen(function*() {
      const { files: _, ...model } = yield* loadOf(yield* folderOfModel)
      const glet = yield* openGlet
      inPlace(path.join(path.dirname(model.path), "weights/beside.bin"), bytesOf(filled(20)))
      yield* glet.load(model, [1])
      assert.strictEqual(yield* answerOf(glet, model), "21")
    })))
})
