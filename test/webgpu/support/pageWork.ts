/** What a page does beside the contract: run one model on given inputs, run out of memory, lose its device. */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type { Scope } from "effect/Scope"
import type { GletHandle } from "../../../src/core/Executor.js"
import { runBatch } from "../../../src/core/Executor.js"
import { unsafeGletId } from "../../../src/core/Ids.js"
import type { Model } from "../../../src/core/Model.js"
import { makeSlotLayout } from "../../../src/core/SlotLayout.js"
import { probeCapabilities } from "../../../src/webgpu/Capabilities.js"
import type { WebGpuExecutorOptions } from "../../../src/webgpu/WebGpuExecutor.js"
import * as WebGpuExecutor from "../../../src/webgpu/WebGpuExecutor.js"
import { webGpu } from "../../../src/webgpu/WebGpuInventory.js"

let glets = 0
type Executor = ReturnType<typeof WebGpuExecutor.make>

const open = (executor: Executor): Effect.Effect<GletHandle, unknown, Scope> =>
  Effect.flatMap(probeCapabilities, (capabilities) =>
    executor.open({ id: unsafeGletId(`page/${glets++}`), gpu: webGpu(capabilities), sharePct: 100, priority: 0 }))

const infer = (executor: Executor, glet: GletHandle, model: Model, inputs: ReadonlyArray<ReadonlyArray<number>>) =>
  Effect.gen(function*() {
    const place = makeSlotLayout(model.signature).placement(1, [])
    const slot = executor.arena.allocate(place.totalBytes)!
    inputs.forEach((bytes, i) => slot.bytes.set(bytes, place.inputOffsets[i]!))
    const end = yield* runBatch(glet, { model, entries: [{ slot, items: 1, bindings: [] }], items: 1 })
    const outputs = place.outputOffsets.map((offset, i) => [...slot.bytes.slice(offset, offset + place.outputBytes[i]!)])
    slot.release()
    return end.ok ? outputs : yield* Effect.fail(end.error._tag === "GletExited" ? end.error.message : end.error.detail)
  })

/** One item of a model, inputs and outputs as bytes; and what it ran on. */
export const runModel = (options: WebGpuExecutorOptions, model: Model, inputs: ReadonlyArray<ReadonlyArray<number>>) =>
  Effect.runPromise(Effect.scoped(Effect.gen(function*() {
    const executor = WebGpuExecutor.make(options)
    const glet = yield* open(executor)
    const { detail, memoryBytes } = yield* glet.load(model, [])
    return { detail, memoryBytes, outputs: yield* infer(executor, glet, model, inputs) }
  })))

/** A model too large for its glet, then a small one on the same glet. */
export const runOutOfMemory = (options: WebGpuExecutorOptions, large: Model, small: Model, inputs: ReadonlyArray<ReadonlyArray<number>>) =>
  Effect.runPromise(Effect.scoped(Effect.gen(function*() {
    const executor = WebGpuExecutor.make(options)
    const glet = yield* open(executor)
    const failed = yield* Effect.either(glet.load(large, [1]))
    yield* glet.load(small, [1])
    const outputs = yield* infer(executor, glet, small, inputs)
    const error = Either.isLeft(failed) ? failed.left : undefined
    return { tag: error?._tag, reason: error !== undefined && "reason" in error ? error.reason : undefined, message: error?.message, outputs }
  })))

let lose: Promise<{ readonly message: string; readonly late: string; readonly outputs: ReadonlyArray<ReadonlyArray<number>> }> | undefined

/** Opens a glet that the driver's test will take the device from, then another; `lost` says what came of it. */
export const awaitLoss = (options: WebGpuExecutorOptions, model: Model, inputs: ReadonlyArray<ReadonlyArray<number>>): Promise<void> =>
  new Promise((ready, failed) => {
    lose = Effect.runPromise(Effect.scoped(Effect.gen(function*() {
      const executor = WebGpuExecutor.make(options)
      const glet = yield* open(executor)
      yield* glet.load(model, [1])
      ready()
      const { message } = yield* glet.exited
      const late = yield* Effect.flip(infer(executor, glet, model, inputs))
      const fresh = yield* open(executor)
      yield* fresh.load(model, [1])
      return { message, late: String(late), outputs: yield* infer(executor, fresh, model, inputs) }
    })))
    lose.catch(failed)
  })

export const lost = () => lose
