/** The CUDA engine over a fake driver: right answers whatever order the streams run in, nothing left behind, and what fails. */
import { afterAll, assert, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { makeRandom } from "../../../src/core/internal/random.js"
import type { BatchEnd } from "../../../src/core/Executor.js"
import type { TensorArena } from "../../../src/core/TensorArena.js"
import { loadKoffi } from "../../../src/node-cuda/internal/native.js"
import { makeSegmentArena } from "../../../src/core/internal/segmentArena.js"
import { CudaError } from "../../../src/node-cuda/runner/cuda/driver/CudaDriver.js"
import { makeCudaEngine } from "../../../src/node-cuda/runner/cuda/OrtCuda.js"
import type { EngineGlet, EngineModel, RunEnd } from "../../../src/node-cuda/runner/Engine.js"
import { LoadFailure } from "../../../src/core/internal/loadFailure.js"
import { passedThrough } from "../../../src/core/internal/passThrough.js"
import type { ContractModel, PreparedRequest } from "../../contract/requests.js"
import { prepare, verify } from "../../contract/requests.js"
import { conv, makeModel } from "../../support/onnx.js"
import { contractModels, modelFile } from "../../contract/models.js"
import { putIn } from "../support/putFile.js"
import type { FakeCuda, FakeOptions } from "./fakeCuda.js"
import { makeFakeCuda } from "./fakeCuda.js"

const folder = fs.mkdtempSync(path.join(os.tmpdir(), "glet-cuda-"))
afterAll(() => fs.rmSync(folder, { recursive: true }))

const floats = (bytes: Uint8Array): Float32Array => new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4)

/** A 1x1 convolution with weight `factor`: has a choice of layouts. */
const convolution = (factor = 3): ContractModel => ({
  model: modelFile(putIn(folder), `convolution-${factor}`, makeModel({
    inputs: [{ name: "x", shape: ["batch", 1, 40, 40] }],
    outputs: [{ name: "y", shape: ["batch", 1, 40, 40] }],
    nodes: [conv(["x", "w"], "y", { kernel_shape: { ints: [1, 1] } })],
    initializers: [{ name: "w", dims: [1, 1, 1, 1], data: Float32Array.of(factor) }]
  }), {
    inputs: [{ name: "x", datatype: "FP32", shape: ["batch", 1, 40, 40] }],
    outputs: [{ name: "y", datatype: "FP32", shape: ["batch", 1, 40, 40] }],
    batchSymbol: "batch"
  }, 8),
  fill: ({ inputs, seed }) => floats(inputs[0]!).forEach((_, i, all) => all[i] = seed + (i % 7)),
  check: ({ inputs }, outputs) => assert.deepStrictEqual([...floats(outputs[0]!)], [...floats(inputs[0]!)].map((value) => factor * value))
})

interface Open {
  readonly fake: FakeCuda
  readonly arena: TensorArena
  readonly glet: EngineGlet
  readonly notes: ReadonlyArray<string>
  readonly another: (units: number, priority?: number) => Promise<EngineGlet>
}

const open = async (options: FakeOptions = {}, units = 132, isolation: "green" | "stream" = "stream", onFatal?: (error: CudaError) => void): Promise<Open> => {
  const fake = makeFakeCuda(options)
  const memory = new ArrayBuffer(16 << 20)
  const arena = makeSegmentArena(memory)
  const engine = makeCudaEngine({ bytes: new Uint8Array(memory), address: loadKoffi().address(memory) }, { isolation }, fake.runtime(onFatal))
  const notes = engine.cuda?.notes ?? []
  const another = (units: number, priority = 0) => engine.openGlet({ units, sharePct: Math.round((100 * units) / 132), priority })
  return { fake, arena, glet: await another(units), another, notes }
}

const load = async (glet: EngineGlet, { model }: ContractModel, warmBatches: ReadonlyArray<number>) =>
  glet.load({ path: model.path, signature: model.signature, warmBatches })

/** Runs requests as one batch and checks each of them. */
const runAndCheck = async (model: EngineModel, requests: ReadonlyArray<PreparedRequest>): Promise<RunEnd> => {
  const items = requests.reduce((sum, request) => sum + request.items, 0)
  const end = await new Promise<RunEnd>((resolve) =>
    model.run({
      items,
      bindings: requests[0]!.bindings,
      offsets: requests.map(({ slot }) => slot.offset),
      entryItems: requests.map((request) => request.items)
    }, resolve))
  const batchEnd: BatchEnd = end.ok
    ? { ...end, outputBindings: requests.map(() => end.outputBindings) }
    : { ok: false, error: { _tag: "BatchFailed", detail: end.detail } }
  requests.forEach((request, i) => {
    verify(request, batchEnd, i)
    request.slot.release()
  })
  return end
}

/** Batches of random sizes, several in flight. */
const runMany = async (arena: TensorArena, contracts: ReadonlyArray<readonly [ContractModel, EngineModel]>, count: number, seed: number): Promise<void> => {
  const random = makeRandom(seed)
  const pick = (n: number) => Math.floor(random() * n)
  const one = async (index: number): Promise<void> => {
    const [contract, model] = contracts[pick(contracts.length)]!
    let left = contract.model.signature.batchSymbol === undefined ? 1 : 1 + pick(contract.model.maxBatch)
    const requests: Array<PreparedRequest> = []
    while (left > 0) {
      const items = 1 + pick(left)
      requests.push(prepare(arena, contract, items, 10 * index + requests.length))
      left -= items
    }
    await runAndCheck(model, requests)
  }
  let next = 0
  const worker = async (): Promise<void> => {
    while (next < count) await one(next++)
  }
  await Promise.all(Array.from({ length: 5 }, worker))
}

const nothing = { memory: 0, host: 0, locked: 1, green: 0, streams: 0, events: 0, graphs: 0, executables: 0 }

describe("CudaGlet", () => {
  for (let seed = 1; seed <= 4; seed++) {
    it(`answers rightly with batches of all kinds of models in flight, streams in order ${seed}, and frees everything`, async () => {
      const { arena, fake, glet } = await open({ seed }, 56, "green")
      // Outputs that are inputs are the runner's to copy.
      const contracts = [...contractModels(putIn(folder)).filter(({ model }) => passedThrough(model.signature).length === 0), convolution()]
      const loaded: Array<readonly [ContractModel, EngineModel]> = []
      for (const contract of contracts) {
        const { model } = await load(glet, contract, contract.model.signature.batchSymbol === undefined ? [1] : [1, 2, contract.model.maxBatch])
        loaded.push([contract, model])
      }
      await runMany(arena, loaded, 150, seed)
      assert.isAbove(fake.calls.get("launch") ?? 0, 20, "graphs run")
      for (const [, model] of loaded) await model.release()
      await glet.close()
      assert.deepStrictEqual(fake.live(), nothing)
    })
  }

  it("lets the GPU gather and scatter small tensors, and does it on the host where it cannot or they are few bytes", async () => {
    const contract = contractModels(putIn(folder)).find(({ model }) => model.signature.batchSymbol !== undefined)!
    const runs = async (options: FakeOptions) => {
      const { arena, fake, glet, notes } = await open(options)
      const { model } = await load(glet, contract, [1, contract.model.maxBatch])
      await runMany(arena, [[contract, model]], 40, 7)
      await model.release()
      await glet.close()
      assert.deepStrictEqual(fake.live(), nothing)
      const count = (call: string) => fake.calls.get(call) ?? 0
      return { notes, moves: [count("moveIn") > 10, count("moveOut") > 10], isStaged: count("copyIn") > 10 }
    }
    assert.deepStrictEqual(await runs({}), { notes: [], moves: [true, true], isStaged: false })
    assert.deepStrictEqual(await runs({ moveFromBytes: 2 ** 30 }), { notes: [], moves: [false, true], isStaged: true })
    const without = await runs({
      onCall: (call) => {
        if (call === "openMover") throw new CudaError("cuModuleLoadData", 222, "CUDA_ERROR_UNSUPPORTED_PTX_VERSION")
      }
    })
    assert.deepStrictEqual(without, {
      notes: ["small tensors are gathered on the host: cuModuleLoadData failed with CUDA_ERROR_UNSUPPORTED_PTX_VERSION (222)"],
      moves: [false, false], isStaged: true
    })
  })

  it("keeps batches in flight and computes one after the other", async () => {
    const { arena, glet } = await open()
    const contract = convolution()
    const { model } = await load(glet, contract, [1, 4])
    assert.strictEqual(glet.opened.depth, 3)
    const order: Array<number> = []
    await Promise.all([0, 1, 2, 3, 4].map((i) => runAndCheck(model, [prepare(arena, contract, 4, i)]).then(() => order.push(i))))
    assert.deepStrictEqual(order, [0, 1, 2, 3, 4])
  })

  it("runs a size between two that are ready as the larger one, without a new graph", async () => {
    const { arena, fake, glet } = await open()
    const contract = convolution()
    const { model } = await load(glet, contract, [1, 4, 8])
    const before = fake.calls.get("beginCapture")
    for (const items of [3, 5, 7]) await runAndCheck(model, [prepare(arena, contract, items, items)])
    assert.strictEqual(fake.calls.get("beginCapture"), before)
  })

  it("records graphs of shapes that recur", async () => {
    const { arena, fake, glet } = await open()
    const contract = contractModels(putIn(folder)).find(({ model }) => model.name === "sequence")!
    const { loaded, model } = await load(glet, contract, [1])
    assert.include(loaded.detail, "graphs when sizes recur")
    const warmed = fake.calls.get("launch") ?? 0
    for (let i = 0; i < 8; i++) await runAndCheck(model, [prepare(arena, contract, 2, i)])
    assert.isAtLeast((fake.calls.get("launch") ?? 0) - warmed, 4)
  })

  it("records few sizes of a shape that recurs, and runs the sizes between as the larger ones", async () => {
    const { arena, fake, glet } = await open()
    const contract = contractModels(putIn(folder)).find(({ model }) => model.name === "sequence")!
    const { model } = await load(glet, contract, [1])
    const run = async (items: number) => {
      for (let i = 0; i < 6; i++) await runAndCheck(model, [prepare(arena, contract, items, 3)])
    }
    const recorded = () => fake.calls.get("beginCapture") ?? 0
    await run(8)
    const [before, launched] = [recorded(), fake.calls.get("launch") ?? 0]
    await run(7)
    assert.strictEqual(recorded(), before)
    assert.strictEqual(fake.calls.get("launch"), launched + 6)
    await run(6)
    assert.isAbove(recorded(), before)
    const six = recorded()
    await run(5)
    assert.strictEqual(recorded(), six)
  })

  it("records anew what was recorded before its session ran a larger shape", async () => {
    const { arena, fake, glet } = await open()
    const contract = contractModels(putIn(folder)).find(({ model }) => model.name === "sequence")!
    const { model } = await load(glet, contract, [1])
    const run = async (items: number, times: number) => {
      for (let i = 0; i < times; i++) await runAndCheck(model, [prepare(arena, contract, items, 3)])
    }
    const count = (call: string) => fake.calls.get(call) ?? 0
    await run(2, 6)
    const [recorded, launched] = [count("beginCapture"), count("launch")]
    assert.isAbove(launched, 0)
    await run(8, 1)
    await run(2, 3)
    assert.isAbove(count("beginCapture"), recorded)
    assert.isAbove(count("launch"), launched)
    await model.release()
    await glet.close()
    assert.deepStrictEqual(fake.live(), nothing)
  })

  it("launches kernels one by one, and says why, where a graph would not repeat them", async () => {
    const { arena, fake, glet } = await open({ graphProblem: () => "it calls back into the host" })
    const contract = convolution()
    const { loaded, model } = await load(glet, contract, [1, 2])
    assert.include(loaded.detail, "no graphs because it calls back into the host")
    await runMany(arena, [[contract, model]], 20, 1)
    assert.isUndefined(fake.calls.get("launch"))
    assert.strictEqual(fake.live()["executables"], 0)
  })

  it("does the same where a graph cannot be made for the context", async () => {
    const { arena, glet } = await open({
      onCall: (call) => {
        if (call === "instantiate") throw new CudaError("cuGraphInstantiate", 912, "CUDA_ERROR_INVALID_CLUSTER_SIZE")
      }
    })
    const contract = convolution()
    const { loaded, model } = await load(glet, contract, [1, 2])
    assert.include(loaded.detail, "no graphs because a kernel needs more SMs side by side")
    await runMany(arena, [[contract, model]], 20, 1)
  })

  it("forgets a graph whose outputs differ from a run without it", async () => {
    const { arena, glet } = await open({ tamper: () => undefined })
    const contract = convolution()
    const { loaded, model } = await load(glet, contract, [1, 2])
    assert.include(loaded.detail, "no graphs because its outputs were others than those of a run without it")
    await runMany(arena, [[contract, model]], 20, 1)
  })

  it("takes the faster layout, and remembers it", async () => {
    const slow = { runMs: (nhwc: boolean) => nhwc ? 0.1 : 1 }
    const { another, fake, glet } = await open(slow)
    const contract = convolution()
    const { loaded, model } = await load(glet, contract, [1, 8])
    assert.include(loaded.detail, "nhwc")
    const sessions = fake.calls.get("openSession")!
    await model.release()
    const again = await load(await another(132), contract, [1, 8])
    assert.include(again.loaded.detail, "nhwc")
    assert.strictEqual(fake.calls.get("openSession"), sessions + 2, "one for each of the two sizes")
    const other = await open({ runMs: (nhwc) => nhwc ? 1 : 0.1 })
    assert.notInclude((await load(other.glet, convolution(), [1, 8])).loaded.detail, "nhwc")
  })

  it("takes the faster layout though others disturb its trials", async () => {
    // A neighbour begins to load in the middle of the trials, and from then on most runs take three times as long.
    let runs = 0
    const { glet } = await open({ runMs: (nhwc) => (nhwc ? 0.8 : 1) * (++runs > 11 && runs % 4 > 0 ? 3 : 1) })
    assert.include((await load(glet, convolution(), [1])).loaded.detail, "nhwc")
  })

  it("takes the layout that can have a graph where that makes it faster, size by size", async () => {
    let instantiated = 0
    const { arena, glet } = await open({
      runMs: (nhwc) => nhwc ? 3 : 0.1,
      onCall: (call) => {
        // The first is batch 1 in the first layout.
        if (call === "instantiate" && ++instantiated === 1) throw new CudaError("cuGraphInstantiate", 912, "CUDA_ERROR_INVALID_CLUSTER_SIZE")
      }
    })
    const contract = convolution()
    const { loaded, model } = await load(glet, contract, [1, 8])
    assert.include(loaded.detail, "graphs for 8, no graphs for 1 because a kernel needs more SMs")
    await runMany(arena, [[contract, model]], 20, 1)
  })

  it("takes a slower layout with a graph before a faster one without, which would hold up other glets", async () => {
    let instantiated = 0
    const failed = new Set<number>()
    const { glet } = await open({
      runMs: (nhwc) => nhwc ? 2 : 3,
      onCall: (call) => {
        // Batch 1: the layout without choice comes first and has a graph, channels last has none.
        if (call !== "instantiate" || ++instantiated !== 4) return
        failed.add(instantiated)
        throw new CudaError("cuGraphInstantiate", 912, "CUDA_ERROR_INVALID_CLUSTER_SIZE")
      }
    })
    const { loaded } = await load(glet, convolution(), [1])
    assert.strictEqual(failed.size, 1)
    assert.include(loaded.detail, "graphs for 1")
    assert.notInclude(loaded.detail, "nhwc")
  })

  it("launches a graph that takes long on another thread", async () => {
    const { arena, fake, glet } = await open({ launchMs: 0.2 })
    const contract = convolution()
    const { model } = await load(glet, contract, [1, 4, 8])
    await runMany(arena, [[contract, model]], 60, 3)
    const before = fake.calls.get("launch")
    const launched = fake.calls.get("launchAsync") ?? 0
    await runMany(arena, [[contract, model]], 20, 4)
    assert.strictEqual(fake.calls.get("launch"), before)
    assert.strictEqual(fake.calls.get("launchAsync"), launched + 20)
  })

  it("lets another thread put copies on a stream that take long, and puts them there itself where that one cannot", async () => {
    const broken = new Set<string>()
    const { arena, fake, glet } = await open({
      copyMs: 0.2,
      onCall: (call) => {
        if (broken.has(call)) throw new CudaError("cuMemcpyBatchAsync", 1, "CUDA_ERROR_INVALID_VALUE")
      }
    })
    const contract = convolution()
    const { model } = await load(glet, contract, [1, 4, 8])
    // Batches of each size in turn: they overtake nothing, and their answers are right.
    await runMany(arena, [[contract, model]], 90, 3)
    const before = fake.calls.get("copyAllIn")
    const apart = fake.calls.get("copyAllInAsync") ?? 0
    assert.isAbove(apart, 0)
    await runMany(arena, [[contract, model]], 20, 4)
    assert.strictEqual(fake.calls.get("copyAllIn"), before)
    assert.isAbove(fake.calls.get("copyAllInAsync") ?? 0, apart)

    broken.add("copiedAllIn")
    await runMany(arena, [[contract, model]], 20, 5)
    broken.add("copyAllIn")
    const request = prepare(arena, contract, 1, 1)
    const end = await new Promise<RunEnd>((resolve) => model.run({ items: 1, bindings: [], offsets: [request.slot.offset], entryItems: [1] }, resolve))
    assert.isFalse(end.ok)
    assert.include(end.ok ? "" : end.detail, "cuMemcpyBatchAsync failed with CUDA_ERROR_INVALID_VALUE")
    broken.clear()
    await runAndCheck(model, [prepare(arena, contract, 1, 2)])
  })

  it("loads models side by side, and records none of them while another runs first", async () => {
    const { arena, glet } = await open()
    const contracts = Array.from({ length: 5 }, (_, i) => convolution(2 + i))
    const serving = (await load(glet, contracts[0]!, [1, 8])).model
    const loaded = contracts.slice(1).map((contract) => load(glet, contract, [1, 2, 4, 8]))
    await runMany(arena, [[contracts[0]!, serving]], 60, 3)
    for (const { loaded: { detail } } of await Promise.all(loaded)) assert.include(detail, "graphs for 1 2 4 8")
    await runMany(arena, await Promise.all(loaded.map(async (one, i) => [contracts[1 + i]!, (await one).model] as const)), 60, 4)
  })

  it("says what does not load, and leaves nothing behind", async () => {
    const { fake, glet } = await open()
    const { model } = convolution()
    const failure = async (promise: Promise<unknown>): Promise<LoadFailure> =>
      promise.then(() => assert.fail("it loaded"), (error: unknown) => {
        assert.instanceOf(error, LoadFailure)
        return error as LoadFailure
      })
    const before = fake.live()
    const missing = await failure(glet.load({ path: path.join(folder, "none.onnx"), signature: model.signature, warmBatches: [1] }))
    assert.strictEqual(missing.reason, "unreadable")
    assert.deepStrictEqual(fake.live(), before)
  })

  it("reports a device without memory for a model, and leaves nothing behind", async () => {
    const { fake, glet } = await open({ device: { memoryBytes: 20_000 } })
    const before = fake.live()
    const error = await load(glet, convolution(), [1, 8]).then(() => assert.fail("it loaded"), (error: unknown) => error as LoadFailure)
    assert.strictEqual(error.reason, "no-memory")
    assert.deepStrictEqual(fake.live(), before)
  })

  it("fails a batch whose copy fails, and runs the next", async () => {
    let isBroken = false
    const { arena, glet } = await open({
      onCall: (call) => {
        if (isBroken && call === "copyAllIn") throw new CudaError("cuMemcpyHtoDAsync", 1, "CUDA_ERROR_INVALID_VALUE")
      }
    })
    const contract = convolution()
    const { model } = await load(glet, contract, [1])
    isBroken = true
    const request = prepare(arena, contract, 1, 1)
    const end = await new Promise<RunEnd>((resolve) => model.run({ items: 1, bindings: [], offsets: [request.slot.offset], entryItems: [1] }, resolve))
    assert.isFalse(end.ok)
    assert.include(end.ok ? "" : end.detail, "cuMemcpyHtoDAsync failed with CUDA_ERROR_INVALID_VALUE")
    isBroken = false
    await runAndCheck(model, [prepare(arena, contract, 1, 2)])
  })

  it("ends the process where the device is lost", async () => {
    const seen: Array<CudaError> = []
    let isLost = false
    const { arena, glet } = await open({
      onCall: (call) => {
        if (isLost && call === "isDone") throw new CudaError("cuEventQuery", 700, "CUDA_ERROR_ILLEGAL_ADDRESS")
      }
    }, 132, "stream", (error) => void seen.push(error))
    const contract = convolution()
    const { model } = await load(glet, contract, [1])
    isLost = true
    const request = prepare(arena, contract, 1, 1)
    const end = await new Promise<RunEnd>((resolve) => model.run({ items: 1, bindings: [], offsets: [request.slot.offset], entryItems: [1] }, resolve))
    assert.isFalse(end.ok)
    assert.strictEqual(seen[0]?.code, 700)
  })

  it("refuses a batch that is outside the segment", async () => {
    const { glet } = await open()
    const { model } = await load(glet, convolution(), [1])
    const end = await new Promise<RunEnd>((resolve) => model.run({ items: 1, bindings: [], offsets: [(16 << 20) - 64], entryItems: [1] }, resolve))
    assert.isFalse(end.ok)
  })

  it("gives green glets SMs of their own and streams of their priority", async () => {
    const { another, fake, glet } = await open({}, 56, "green")
    const other = await another(56, -2)
    assert.strictEqual(glet.opened.units, 56)
    assert.strictEqual(other.opened.units, 56)
    const priorities = new Set(fake.priorityOf.values())
    assert.strictEqual(priorities.size, 2)
    // The device has 132 SMs: a third glet shares with others, as while a plan is replaced, and says so when it loads.
    const third = await another(56)
    assert.include((await load(third, convolution(), [1])).loaded.detail, "SMs shared with another glet")
    const error = await another(129).then(() => undefined, (error: unknown) => error)
    assert.isUndefined(error, "the last group has what is left over")
  })
})
