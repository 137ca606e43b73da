/** What a runner makes of tensors in clients' memory for engines that reach it and for those that do not, and of owners that shrink it at any moment. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as fs from "node:fs"
import type { DirectTensor } from "../../../src/core/ClientMemory.js"
import type { RunBatch } from "../../../src/core/internal/batchAssembly.js"
import { makeSlotLayout } from "../../../src/core/SlotLayout.js"
import { ClientRegions, type DeviceRegion } from "../../../src/node-cuda/runner/ClientRegions.js"
import { DirectBatch } from "../../../src/node-cuda/runner/directBatch.js"
import type { Engine } from "../../../src/node-cuda/runner/Engine.js"
import { bytesAt, clientObject, makeObject, putAt } from "../../support/sharedObject.js"

/** 64 bytes an item: an input at the beginning of a slot, an output behind it. */
const layout = makeSlotLayout({
  inputs: [{ name: "x", datatype: "UINT8", shape: ["batch", 64] }], outputs: [{ name: "y", datatype: "UINT8", shape: ["batch", 64] }], batchSymbol: "batch"
})
const batch: RunBatch = { items: 2, bindings: [], offsets: [0, 1024], entryItems: [1, 1] }
const input = (entry: number, position: number, region = 1): DirectTensor & { readonly entry: number } => ({ entry, side: "inputs", index: 0, region, position })
const output = (entry: number, position: number, region = 1): DirectTensor & { readonly entry: number } => ({ entry, side: "outputs", index: 0, region, position })

const setUp = (by: "files" | "device" | undefined, byteLength = 4096) =>
  Effect.gen(function*() {
    const object = yield* makeObject(byteLength)
    const lost: Array<number> = []
    const regions = new ClientRegions((region) => lost.push(region))
    const device = { isWhole: true, locked: 0 }
    const lock = async (): Promise<DeviceRegion> => {
      device.locked++
      return { address: 4096, isWhole: () => device.isWhole, release: () => device.locked-- }
    }
    const file = regions.open(1, clientObject(object))
    if (by === "device") yield* Effect.promise(() => file.lock(lock))
    const engine: Pick<Engine, "clientMemory"> = by === undefined ? {} : { clientMemory: by === "files" ? { by } : { by, lock } }
    const memory = new Uint8Array(4096).fill(0xaa)
    const make = (tensors: ReadonlyArray<DirectTensor & { readonly entry: number }>) => new DirectBatch(batch, tensors, layout, regions, engine, memory)
    return { object, regions, file, lost, device, memory, make }
  })

describe.skipIf(process.platform !== "linux")("DirectBatch", () => {
  it.scopedLive("moves what its engine does not reach through the slots, when the batch begins and once it has run", () =>
    Effect.gen(function*() {
      const { make, memory, object } = yield* setUp(undefined)
      putAt(object.file, 100, new Uint8Array(64).fill(5))
      const direct = make([input(0, 100), output(1, 200)])
      assert.isUndefined(direct.batch.direct)
      assert.isTrue(memory.subarray(0, 64).every((byte) => byte === 5))
      assert.isTrue(memory.subarray(64, 1024).every((byte) => byte === 0xaa))
      memory.fill(7, 1024 + 64, 1024 + 128)
      direct.finish(true)
      assert.isTrue(bytesAt(object.file, 200, 64).equals(Buffer.alloc(64, 7)))
      assert.strictEqual(direct.problems.size, 0)
    }))

  it.scopedLive("writes nothing where the batch failed", () =>
    Effect.gen(function*() {
      const { make, object } = yield* setUp(undefined)
      make([output(1, 200)]).finish(false)
      assert.isTrue(fs.readFileSync(object.file).every((byte) => byte === 0))
    }))

  it.scopedLive("leaves to its engine what that reaches", () =>
    Effect.gen(function*() {
      for (const by of ["files", "device"] as const) {
        const { make, memory } = yield* setUp(by)
        const direct = make([input(0, 100), output(1, 200)])
        assert.strictEqual(direct.batch.direct?.parts.length, 2)
        assert.isDefined(direct.batch.direct?.find("inputs", 0, 0))
        assert.isUndefined(direct.batch.direct?.find("inputs", 1, 0))
        direct.finish(true)
        assert.isTrue(memory.every((byte) => byte === 0xaa))
        assert.strictEqual(direct.problems.size, 0)
      }
    }))

  it.scopedLive("reads what a device does not reach any more by itself, and says so once", () =>
    Effect.gen(function*() {
      const { device, lost, make, memory, object } = yield* setUp("device")
      putAt(object.file, 100, new Uint8Array(64).fill(5))
      device.isWhole = false
      for (let i = 0; i < 2; i++) {
        memory.fill(0xaa)
        const direct = make([input(0, 100)])
        assert.isUndefined(direct.batch.direct)
        assert.isTrue(memory.subarray(0, 64).every((byte) => byte === 5))
        direct.finish(true)
        assert.strictEqual(direct.problems.size, 0)
      }
      assert.deepStrictEqual(lost, [1])
    }))

  it.scopedLive("fails those, and only those, whose memory was shrunk while a device used it", () =>
    Effect.gen(function*() {
      const { device, make } = yield* setUp("device")
      const direct = make([input(1, 100)])
      device.isWhole = false
      direct.finish(true)
      assert.deepStrictEqual([...direct.problems], [[1, "was shrunk by its owner while it was in use"]])
    }))

  it.scopedLive("fails those outside their region, behind its end or in one that is unknown, and gives their models zeros", () =>
    Effect.gen(function*() {
      const { make, memory } = yield* setUp("files")
      const direct = make([input(0, 4096 - 63), input(1, 0, 2)])
      assert.deepStrictEqual([...direct.problems.keys()], [0, 1])
      assert.isTrue(memory.subarray(0, 64).every((byte) => byte === 0))
      assert.isTrue(memory.subarray(1024, 1024 + 64).every((byte) => byte === 0))
      assert.isTrue(memory.subarray(64, 1024).every((byte) => byte === 0xaa))
      direct.finish(true)
    }))

  it.scopedLive("keeps a region that is forgotten until the last batch in it has ended", () =>
    Effect.gen(function*() {
      const { device, make, regions } = yield* setUp("device")
      const [one, other] = [make([input(0, 0)]), make([output(0, 0)])]
      regions.forget(1)
      one.finish(true)
      assert.strictEqual(device.locked, 1)
      other.finish(false)
      assert.strictEqual(device.locked, 0)
      assert.deepStrictEqual([...make([input(0, 0)]).problems.keys()], [0])
    }))

  it.scopedLive("does not lock what was forgotten meanwhile", () =>
    Effect.gen(function*() {
      const object = yield* makeObject(64)
      const regions = new ClientRegions(() => {})
      const file = regions.open(1, clientObject(object))
      let locked = 0
      let release = (): void => {}
      const locking = file.lock(() => new Promise((resolve) => {
        release = () => resolve({ address: 4096, isWhole: () => true, release: () => locked-- })
        locked++
      }))
      regions.forget(1)
      release()
      yield* Effect.promise(() => locking)
      assert.strictEqual(locked, 0)
      assert.isUndefined(file.address)
    }))
})
