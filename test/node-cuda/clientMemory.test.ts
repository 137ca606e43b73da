/** Tensors in clients' memory, from the executor to the engine and back: over the CPU's engines, and over the GPU's on a fake of its driver. */
import { afterAll, assert, beforeEach, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import type { ClientMemory, ClientObject, DirectTensor } from "../../src/core/ClientMemory.js"
import type { BatchEntry, GletHandle } from "../../src/core/Executor.js"
import { Executor, runBatch } from "../../src/core/Executor.js"
import type { Gpu } from "../../src/core/Gpu.js"
import { unsafeGletId, unsafeGpuId } from "../../src/core/Ids.js"
import { makeSlotLayout } from "../../src/core/SlotLayout.js"
import * as CpuExecutor from "../../src/node-cuda/CpuExecutor.js"
import { cpuGpu } from "../../src/node-cuda/CpuInventory.js"
import * as CudaExecutor from "../../src/node-cuda/CudaExecutor.js"
import { modelFile } from "../contract/models.js"
import { add, identity, makeModel } from "../support/onnx.js"
import { bytesAt, clientObject, makeObject, putAt } from "../support/sharedObject.js"
import { fakeNvidia, h200, h200Probe } from "./support/fakeNvidia.js"
import { putIn } from "./support/putFile.js"

const host = await fakeNvidia()
const folder = fs.mkdtempSync(path.join(os.tmpdir(), "glet-test-"))
afterAll(() => {
  host.close()
  fs.rmSync(folder, { recursive: true, force: true })
})
host.setProbe(h200Probe)
const locksSegmentOnly = path.join(host.folder, "locks-segment-only")
const lockingTakesTime = path.join(host.folder, "locking-takes-time")
beforeEach(() => {
  for (const file of [locksSegmentOnly, lockingTakesTime]) fs.rmSync(file, { force: true })
})

/** An item of each tensor has 32 KiB. */
const width = 8192
const itemBytes = 4 * width
const signature = {
  inputs: [{ name: "a", datatype: "FP32", shape: ["batch", width] }, { name: "b", datatype: "FP32", shape: ["batch", width] }],
  outputs: [{ name: "sum", datatype: "FP32", shape: ["batch", width] }, { name: "a_copy", datatype: "FP32", shape: ["batch", width] }],
  batchSymbol: "batch"
} as const
const model = modelFile(putIn(folder), "sum", makeModel({
  inputs: [{ name: "a", shape: ["batch", width] }, { name: "b", shape: ["batch", width] }],
  outputs: [{ name: "sum", shape: ["batch", width] }, { name: "a_copy", shape: ["batch", width] }],
  nodes: [add(["a", "b"], "sum"), identity("a", "a_copy")]
}), signature, 8)
const layout = makeSlotLayout(signature)

const gpu: Gpu = { id: unsafeGpuId(h200), type: "h200", units: 132, memoryBytes: 140e9, isolation: "stream", sharesPct: [100] }
const cudaLayer = (options: CudaExecutor.CudaExecutorOptions = {}) => CudaExecutor.layer({ runnerPath: host.runnerPath, libraryFolders: ["/opt/cuda-of-test/lib"], ...options }).pipe(Layer.orDie)
const cuda = cudaLayer()
/** `isDirect`: whether the engine itself moves such tensors. */
const ways = [
  { name: "cpu, ort-c", layer: CpuExecutor.layer({ engine: "ort-c" }), gpu: cpuGpu({ cores: 2 }), sharePct: 50, isDirect: true },
  { name: "cpu, ort-js", layer: CpuExecutor.layer({ engine: "ort-js" }), gpu: cpuGpu({ cores: 2 }), sharePct: 50, isDirect: false },
  { name: "cuda, faked", layer: cuda, gpu, sharePct: 100, isDirect: true }
]

let glets = 0
const floatsOf = (seed: number, items: number) => Float32Array.from({ length: items * width }, (_, i) => seed + (i % 101))
const bytesOf = (floats: Float32Array) => new Uint8Array(floats.buffer)

const until = (what: string, holds: () => boolean) =>
  Effect.gen(function*() {
    for (let i = 0; i < 1000; i++) {
      if (holds()) return
      yield* Effect.sleep(10)
    }
    assert.fail(`never: ${what}`)
  })

/** A request with `a` and `b`, whose slot is full of what must not be read. */
const entryOf = (items: number, direct: ReadonlyArray<DirectTensor>, a: Float32Array, b: Float32Array) =>
  Effect.gen(function*() {
    const { arena } = yield* Executor
    const placement = layout.placement(items, [])
    const slot = arena.allocate(placement.totalBytes)!
    yield* Effect.addFinalizer(() => Effect.sync(() => slot.release()))
    slot.bytes.fill(0xaa)
    for (const [index, data] of [a, b].entries()) {
      if (!direct.some((tensor) => tensor.side === "inputs" && tensor.index === index)) slot.bytes.set(bytesOf(data), placement.inputOffsets[index])
    }
    const entry: BatchEntry = { slot, items, bindings: [], ...(direct.length === 0 ? {} : { direct }) }
    const output = (index: number) => Buffer.from(slot.bytes.subarray(placement.outputOffsets[index], placement.outputOffsets[index]! + placement.outputBytes[index]!))
    return { entry, output, placement }
  })

const runEntries = (handle: GletHandle, entries: ReadonlyArray<BatchEntry>) =>
  Effect.map(runBatch(handle, { model, entries, items: entries.reduce((sum, { items }) => sum + items, 0) }), (end) => {
    assert(end.ok, JSON.stringify(end))
    return end
  })

describe.skipIf(process.platform !== "linux").each(ways)("clients' memory, $name", ({ gpu, isDirect, layer, sharePct }) => {
  const withGlet = <A, E>(body: (handle: GletHandle, memory: ClientMemory) => Effect.Effect<A, E, Executor | Scope.Scope>) =>
    Effect.scoped(Effect.gen(function*() {
      const executor = yield* Executor
      const handle = yield* executor.open({ id: unsafeGletId(`${gpu.id}/${glets++}`), gpu, sharePct, priority: 0 })
      yield* handle.load(model, [1])
      return yield* body(handle, executor.clientMemory!)
    })).pipe(Effect.provide(layer), Effect.orDie)

  /** Whether glets take it directly, as far as they have said. */
  const opened = (memory: ClientMemory, object: ClientObject) => {
    const said: Array<boolean> = []
    const region = memory.open(object, (direct) => said.push(direct))
    return { region, said }
  }

  it.live("inputs are read and outputs written where they are, beside those of slots, in batches of any mixture", () =>
    withGlet((handle, memory) =>
      Effect.gen(function*() {
        const object = yield* makeObject(40 * itemBytes)
        const { region, said } = opened(memory, clientObject(object))
        if (isDirect) yield* until("the glet says that it reaches it", () => said.at(-1) === true)
        const tensor = (side: DirectTensor["side"], index: number, position: number): DirectTensor => ({ side, index, region: region.number, position })
        const [a1, b1, a2, b2, a3, b3] = [floatsOf(1, 1), floatsOf(2, 1), floatsOf(3, 2), floatsOf(4, 2), floatsOf(5, 1), floatsOf(6, 1)]
        // At odd places too.
        putAt(object.file, 4, bytesOf(a1))
        putAt(object.file, 2 * itemBytes, bytesOf(b1))
        putAt(object.file, 4 * itemBytes, bytesOf(b2))
        const before = fs.readFileSync(object.file)
        for (const alone of [true, false]) {
          putAt(object.file, 0, before)
          const first = yield* entryOf(1, [
            tensor("inputs", 0, 4), tensor("inputs", 1, 2 * itemBytes), tensor("outputs", 0, 10 * itemBytes + 12), tensor("outputs", 1, 20 * itemBytes)
          ], a1!, b1!)
          const second = yield* entryOf(2, [tensor("inputs", 1, 4 * itemBytes), tensor("outputs", 1, 30 * itemBytes)], a2!, b2!)
          const third = yield* entryOf(1, [], a3!, b3!)
          const all = [first, second, third]
          for (const entries of alone ? all.map(({ entry }) => [entry]) : [all.map(({ entry }) => entry)]) {
            assert.isUndefined((yield* runEntries(handle, entries)).directProblems)
          }
          const sum = (a: Float32Array, b: Float32Array) => Buffer.from(Float32Array.from(a, (value, i) => value + b[i]!).buffer)
          assert.isTrue(bytesAt(object.file, 10 * itemBytes + 12, itemBytes).equals(sum(a1!, b1!)))
          assert.isTrue(bytesAt(object.file, 20 * itemBytes, itemBytes).equals(bytesOf(a1!)))
          assert.isTrue(second.output(0).equals(sum(a2!, b2!)))
          assert.isTrue(bytesAt(object.file, 30 * itemBytes, 2 * itemBytes).equals(bytesOf(a2!)))
          assert.isTrue(third.output(0).equals(sum(a3!, b3!)))
          assert.isTrue(third.output(1).equals(bytesOf(a3!)))
          // No copy through the slot.
          if (isDirect) assert.isTrue(first.entry.slot.bytes.subarray(0, first.placement.totalBytes).every((byte) => byte === 0xaa))
          // Nothing else is written.
          const after = fs.readFileSync(object.file)
          assert.isTrue(after.subarray(0, 10 * itemBytes + 12).equals(before.subarray(0, 10 * itemBytes + 12)))
          assert.isTrue(after.subarray(32 * itemBytes).equals(before.subarray(32 * itemBytes)))
        }
        region.release()
      })))

  it.live("one who shrinks it fails alone, in a batch with others too, and the glet lives; as does one outside it, or of one that is gone", () =>
    withGlet((handle, memory) =>
      Effect.gen(function*() {
        const object = yield* makeObject(8 * itemBytes)
        const { region, said } = opened(memory, clientObject(object, { endBytes: 6 * itemBytes }))
        if (isDirect) yield* until("the glet says that it reaches it", () => said.at(-1) === true)
        const tensor = (side: DirectTensor["side"], position: number, number = region.number): DirectTensor => ({ side, index: 0, region: number, position })
        const [a, b] = [floatsOf(1, 1), floatsOf(2, 1)]
        const outside = yield* entryOf(1, [tensor("inputs", 6 * itemBytes - 4)], a, b)
        const unknown = yield* entryOf(1, [tensor("outputs", 0, region.number + 1000)], a, b)
        const reads = yield* entryOf(1, [tensor("inputs", 4 * itemBytes)], a, b)
        const writes = yield* entryOf(1, [tensor("outputs", 4 * itemBytes)], a, b)
        const other = yield* entryOf(1, [], a, b)
        fs.truncateSync(object.file, 3 * itemBytes)
        const problems = (yield* runEntries(handle, [outside, unknown, reads, other, writes].map(({ entry }) => entry))).directProblems
        assert.deepStrictEqual([...problems!.keys()].sort(), [0, 1, 2, 4])
        assert.strictEqual(problems!.get(0), "is not known to the glet")
        assert.strictEqual(problems!.get(1), "is not known to the glet")
        assert.include(problems!.get(2), "shrunk")
        assert.include(problems!.get(4), "shrunk")
        assert.isTrue(other.output(1).equals(bytesOf(a)))
        assert.strictEqual(fs.statSync(object.file).size, 3 * itemBytes)
        // One that has grown again is read as it is now: its pages are others.
        fs.truncateSync(object.file, 8 * itemBytes)
        putAt(object.file, 4 * itemBytes, bytesOf(floatsOf(70, 1)))
        assert.isUndefined((yield* runEntries(handle, [reads.entry, other.entry])).directProblems)
        assert.isTrue(reads.output(1).equals(bytesOf(floatsOf(70, 1))))
        region.release()
      })))

  it.live("a glet that opens later knows it, and none has it open once it is released", () =>
    withGlet((handle, memory) =>
      Effect.gen(function*() {
        const object = yield* makeObject(4 * itemBytes)
        const { region, said } = opened(memory, clientObject(object))
        if (isDirect) yield* until("the glet says that it reaches it", () => said.at(-1) === true)
        const pid = (yield* handle.stats).pid!
        const holds = (process: number) =>
          fs.readdirSync(`/proc/${process}/fd`).filter((fd) => {
            try {
              return fs.readlinkSync(`/proc/${process}/fd/${fd}`) === object.file
            } catch {
              return false
            }
          }).length > 0 || fs.readFileSync(`/proc/${process}/maps`, "utf8").includes(object.file)
        yield* until("it is open", () => holds(pid))
        process.kill(pid, "SIGKILL")
        yield* handle.exited
        const executor = yield* Executor
        const next = yield* executor.open({ id: unsafeGletId(`${gpu.id}/${glets++}`), gpu, sharePct, priority: 0 })
        yield* next.load(model, [1])
        const nextPid = (yield* next.stats).pid!
        assert.notStrictEqual(nextPid, pid)
        putAt(object.file, 0, bytesOf(floatsOf(9, 1)))
        const { entry } = yield* entryOf(1, [
          { side: "inputs", index: 0, region: region.number, position: 0 }, { side: "outputs", index: 1, region: region.number, position: 2 * itemBytes }
        ], floatsOf(9, 1), floatsOf(1, 1))
        yield* runEntries(next, [entry])
        assert.isTrue(bytesAt(object.file, 2 * itemBytes, itemBytes).equals(bytesOf(floatsOf(9, 1))))
        assert.strictEqual(said.at(-1) ?? false, isDirect)
        assert.isTrue(holds(nextPid))
        region.release()
        yield* until("it is closed", () => !holds(nextPid))
      })))

  it.live("is never taken where it is another object by now", () =>
    withGlet((_, memory) =>
      Effect.gen(function*() {
        const object = yield* makeObject(itemBytes)
        const told = clientObject(object)
        fs.rmSync(object.file)
        fs.writeFileSync(object.file, Buffer.alloc(itemBytes))
        const { region, said } = opened(memory, told)
        const next = opened(memory, clientObject(object))
        if (isDirect) yield* until("the glet says that it reaches the next", () => next.said.at(-1) === true)
        assert.deepStrictEqual(said, [])
        region.release()
        next.region.release()
      })))
})

describe.skipIf(process.platform !== "linux")("clients' memory that a GPU's driver does not lock", () => {
  it.live("goes through the slot, and nobody is told to leave tensors there", () =>
    Effect.scoped(Effect.gen(function*() {
      fs.writeFileSync(locksSegmentOnly, "")
      const executor = yield* Executor
      const handle = yield* executor.open({ id: unsafeGletId(`${gpu.id}/${glets++}`), gpu, sharePct: 100, priority: 0 })
      yield* handle.load(model, [1])
      const object = yield* makeObject(4 * itemBytes)
      const said: Array<boolean> = []
      const region = executor.clientMemory!.open(clientObject(object), (direct) => said.push(direct))
      putAt(object.file, 0, bytesOf(floatsOf(9, 1)))
      const { entry, output } = yield* entryOf(1, [
        { side: "inputs", index: 0, region: region.number, position: 0 }, { side: "outputs", index: 1, region: region.number, position: 2 * itemBytes }
      ], floatsOf(9, 1), floatsOf(1, 1))
      assert.isUndefined((yield* runEntries(handle, [entry])).directProblems)
      assert.isTrue(bytesAt(object.file, 2 * itemBytes, itemBytes).equals(bytesOf(floatsOf(9, 1))))
      assert.isTrue(output(1).equals(bytesOf(floatsOf(9, 1))))
      assert.deepStrictEqual(said, [])
      region.release()
    })).pipe(Effect.provide(cuda), Effect.orDie))
})

describe.skipIf(process.platform !== "linux")("clients' memory while a GPU's driver locks it", () => {
  const openGlet = Effect.gen(function*() {
    const executor = yield* Executor
    const handle = yield* executor.open({ id: unsafeGletId(`${gpu.id}/${glets++}`), gpu, sharePct: 100, priority: 0 })
    return { handle, memory: executor.clientMemory!, pid: (yield* handle.stats).pid! }
  })
  const isLocking = (pid: number) => fs.existsSync(path.join(host.folder, `locking-${pid}`))
  const inAndOut = (region: number): ReadonlyArray<DirectTensor> => [
    { side: "inputs", index: 0, region, position: 0 }, { side: "outputs", index: 1, region, position: 2 * itemBytes }
  ]
  const a = floatsOf(9, 1)
  const b = floatsOf(1, 1)
  const started = Effect.gen(function*() {
    const object = yield* makeObject(4 * itemBytes)
    putAt(object.file, 0, bytesOf(a))
    return { object, first: yield* openGlet }
  })

  it.live("holds nothing up: batches run, also those that name it, and requests leave tensors there once it is locked", () =>
    Effect.scoped(Effect.gen(function*() {
      const { first: { handle, memory, pid }, object } = yield* started
      yield* handle.load(model, [1])
      fs.writeFileSync(lockingTakesTime, "")
      const said: Array<boolean> = []
      const region = memory.open(clientObject(object), (direct) => said.push(direct))
      yield* until("the driver is at it", () => isLocking(pid))
      const plain = yield* entryOf(1, [], a, b)
      const named = yield* entryOf(1, inAndOut(region.number), a, b)
      for (const { entry, output } of [plain, named]) {
        assert.isUndefined((yield* runEntries(handle, [entry])).directProblems)
        assert.isTrue(output(1).equals(bytesOf(a)))
      }
      assert.isTrue(bytesAt(object.file, 2 * itemBytes, itemBytes).equals(bytesOf(a)))
      // More clients come, and one goes.
      memory.open(clientObject(object), () => {}).release()
      yield* runEntries(handle, [plain.entry])
      assert.deepStrictEqual(said, [])
      fs.rmSync(lockingTakesTime)
      yield* until("the glet says that it reaches it", () => said.at(-1) === true)
      const direct = yield* entryOf(1, inAndOut(region.number), a, b)
      yield* runEntries(handle, [direct.entry])
      assert.isTrue(direct.entry.slot.bytes.subarray(direct.placement.outputOffsets[1]).every((byte) => byte === 0xaa))
      region.release()
    })).pipe(Effect.provide(cuda), Effect.orDie))

  it.live("has a glet in a new process wait, which nobody asks yet: it begins with what is there", () =>
    Effect.scoped(Effect.gen(function*() {
      const { first, object } = yield* started
      const said: Array<boolean> = []
      const region = first.memory.open(clientObject(object), (direct) => said.push(direct))
      yield* until("the glet says that it reaches it", () => said.at(-1) === true)
      process.kill(first.pid, "SIGKILL")
      yield* first.handle.exited
      fs.writeFileSync(lockingTakesTime, "")
      const next = yield* openGlet
      const loading = yield* Effect.fork(next.handle.load(model, [1]))
      yield* until("the driver is at it", () => isLocking(next.pid))
      yield* until("the model is there", () => fs.existsSync(path.join(host.folder, `loaded-${next.pid}`)))
      // What is asked later is answered later.
      const other = yield* openGlet
      assert.strictEqual(other.pid, next.pid)
      assert.isTrue(Option.isNone(yield* Fiber.poll(loading)))
      fs.rmSync(lockingTakesTime)
      yield* Fiber.join(loading)
      const { entry, placement } = yield* entryOf(1, inAndOut(region.number), a, b)
      yield* runEntries(next.handle, [entry])
      assert.isTrue(bytesAt(object.file, 2 * itemBytes, itemBytes).equals(bytesOf(a)))
      assert.isTrue(entry.slot.bytes.subarray(placement.outputOffsets[1]).every((byte) => byte === 0xaa))
      assert.deepStrictEqual(said, [true])
      region.release()
    })).pipe(Effect.provide(cuda), Effect.orDie))

  it.live("is a thread's of its own, which is there before the first client where some are expected", () =>
    Effect.gen(function*() {
      for (const expectsClients of [true, false]) {
        yield* Effect.scoped(Effect.gen(function*() {
          const { first: { handle, memory, pid }, object } = yield* started
          yield* handle.load(model, [1])
          const isThere = () => fs.existsSync(path.join(host.folder, `lock-thread-${pid}`))
          if (expectsClients) yield* until("the thread is there", isThere)
          else assert.isFalse(isThere())
          const region = memory.open(clientObject(object), () => {})
          yield* until("the thread is there", isThere)
          region.release()
        })).pipe(Effect.provide(cudaLayer({ expectsClients })), Effect.orDie)
      }
    }))
})
