/** Batches that give way, over a fake driver whose waits wait: who claims, who pauses, who goes on. */
import { afterAll, assert, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import type { TensorArena } from "../../../src/core/TensorArena.js"
import { makeSegmentArena } from "../../../src/core/internal/segmentArena.js"
import { Claims, claimsBytes, ClaimsPlaces } from "../../../src/node-cuda/internal/claims.js"
import { loadKoffi } from "../../../src/node-cuda/internal/native.js"
import { CudaError } from "../../../src/node-cuda/runner/cuda/driver/CudaDriver.js"
import { makeCudaEngine } from "../../../src/node-cuda/runner/cuda/OrtCuda.js"
import type { Engine, EngineModel, RunEnd } from "../../../src/node-cuda/runner/Engine.js"
import { unsafeGpuId } from "../../../src/core/Ids.js"
import { contractModels } from "../../contract/models.js"
import type { PreparedRequest } from "../../contract/requests.js"
import { prepare, verify } from "../../contract/requests.js"
import { putIn } from "../support/putFile.js"
import type { FakeCuda, FakeOptions } from "./fakeCuda.js"
import { makeFakeCuda } from "./fakeCuda.js"

const folder = fs.mkdtempSync(path.join(os.tmpdir(), "glet-preemption-"))
afterAll(() => fs.rmSync(folder, { recursive: true }))

const gpu = unsafeGpuId("gpu")
const contracts = contractModels(putIn(folder))
const fixed = contracts.find(({ model }) => model.signature.batchSymbol !== undefined && model.signature.inputs.every(({ shape }) => shape.slice(1).every((size) => typeof size === "number")))!

interface World {
  readonly fake: FakeCuda
  readonly arena: TensorArena
  readonly engine: Engine
  /** What is claimed, in percent. */
  readonly claimed: () => number
  /** Another runner's claims. */
  readonly others: Claims
}

const world = (isolation: "mps" | "stream", options: FakeOptions = {}): World => {
  const fake = makeFakeCuda({ runMs: () => 1, ...options })
  const memory = new ArrayBuffer(16 << 20)
  const places = new ClaimsPlaces(memory)
  const engine = makeCudaEngine(
    { bytes: new Uint8Array(memory), address: loadKoffi().address(memory) }, { isolation, claims: places.take(gpu) }, fake.runtime()
  )
  const sum = new Int32Array(memory, 0, 1)
  return {
    fake, engine, arena: makeSegmentArena(memory, { offset: claimsBytes }), claimed: () => 0 - sum[0]!, others: new Claims(memory, places.take(gpu)!)
  }
}

const loadOn = async (engine: Engine, glet: { readonly sharePct: number; readonly givesWay?: boolean }, warm: ReadonlyArray<number> = [1, 2, 4]) => {
  const opened = await engine.openGlet({ units: 132, priority: 0, ...glet })
  return opened.load({ path: fixed.model.path, signature: fixed.model.signature, warmBatches: warm })
}

/** Starts a batch of one request; `hasEnded` is set when it has. */
const start = (model: EngineModel, request: PreparedRequest): { end: RunEnd | undefined } => {
  const state: { end: RunEnd | undefined } = { end: undefined }
  model.run({ items: request.items, bindings: request.bindings, offsets: [request.slot.offset], entryItems: [request.items] }, (end) => {
    state.end = end
  })
  return state
}

const check = (request: PreparedRequest, { end }: { readonly end: RunEnd | undefined }): void => {
  assert.isTrue(end?.ok === true, end?.ok === false ? end.detail : "it has not ended")
  if (end?.ok === true) verify(request, { ...end, outputBindings: [end.outputBindings] }, 0)
}

const turns = async (count: number): Promise<void> => {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve))
}
/** Long enough for a batch that nothing holds up. */
const until = async (isSo: () => boolean): Promise<void> => {
  for (let i = 0; i < 5000 && !isSo(); i++) await new Promise((resolve) => setTimeout(resolve, 1))
  assert.isTrue(isSo())
}

describe("preemption", () => {
  for (const isolation of ["mps", "stream"] as const) {
    it(`${isolation}: a batch that gives way waits while others claim too much, and goes on with right results`, async () => {
      const { arena, engine, others } = world(isolation)
      const { loaded, model } = await loadOn(engine, { sharePct: 40, givesWay: true })
      assert.isAtLeast(loaded.preemptMs ?? 0, 0.1)
      assert.include(loaded.detail, "gives way")
      for (const claim of [61, 100]) {
        others.add(claim)
        const requests = [1, 2, 3].map((seed) => prepare(arena, fixed, 2, seed))
        const batches = requests.map((request) => start(model, request))
        await turns(300)
        await new Promise((resolve) => setTimeout(resolve, 20))
        for (const { end } of batches) assert.isUndefined(end, `${claim} % are claimed`)
        others.add(-claim)
        await until(() => batches.every(({ end }) => end !== undefined))
        requests.forEach((request, i) => check(request, batches[i]!))
      }
      others.add(60)
      const request = prepare(arena, fixed, 4, 9)
      const beside = start(model, request)
      await until(() => beside.end !== undefined)
      check(request, beside)
    })
  }

  it("a batch that waits for others is asked for once in a millisecond at most, and its end is noticed", async () => {
    const { arena, engine, fake, others } = world("mps")
    const { model } = await loadOn(engine, { sharePct: 100, givesWay: true })
    others.add(30)
    const request = prepare(arena, fixed, 2, 1)
    const batch = start(model, request)
    const asked = () => fake.calls.get("isDone") ?? 0
    const [before, beganMs] = [asked(), performance.now()]
    for (let i = 0; i < 30; i++) await new Promise((resolve) => setTimeout(resolve, 1))
    // The first question comes at once. On a busy machine there are fewer.
    assert.isAtMost(asked() - before, 10 + 2 * (performance.now() - beganMs))
    assert.isUndefined(batch.end)
    others.add(-30)
    await until(() => batch.end !== undefined)
    check(request, batch)
  })

  it("a glet claims its share as long as it has batches, and one that gives way nothing", async () => {
    const { arena, claimed, engine } = world("mps")
    const critical = await loadOn(engine, { sharePct: 70 })
    assert.isUndefined(critical.loaded.preemptMs)
    const over = await loadOn(engine, { sharePct: 30, givesWay: true })
    assert.strictEqual(claimed(), 0)
    const requests = [1, 2, 3, 4].map((seed) => prepare(arena, fixed, 1, seed))
    const batches = requests.map((request, i) => start(i === 3 ? over.model : critical.model, request))
    assert.strictEqual(claimed(), 70)
    await until(() => batches.every(({ end }) => end !== undefined))
    assert.strictEqual(claimed(), 0)
    requests.forEach((request, i) => check(request, batches[i]!))
  })

  it("kernels that are launched one by one give way too, where the process has no other glets", async () => {
    for (const isolation of ["mps", "stream"] as const) {
      const { arena, engine, others } = world(isolation, { graphProblem: () => "it is not to be" })
      const { loaded, model } = await loadOn(engine, { sharePct: 100, givesWay: true })
      assert.strictEqual(loaded.preemptMs !== undefined, isolation === "mps", isolation)
      others.add(10)
      const request = prepare(arena, fixed, 2, 1)
      const batch = start(model, request)
      await turns(300)
      assert.strictEqual(batch.end === undefined, isolation === "mps", isolation)
      others.add(-10)
      await until(() => batch.end !== undefined)
      check(request, batch)
    }
  })

  it("a driver that cannot wait for memory runs batches to their end, and the load says so", async () => {
    const { arena, engine, others } = world("stream", {
      onCall: (call) => {
        if (call === "waitUntil") throw new CudaError("cuStreamWaitValue32", 801, "CUDA_ERROR_NOT_SUPPORTED")
      }
    })
    const { loaded, model } = await loadOn(engine, { sharePct: 100, givesWay: true })
    assert.isUndefined(loaded.preemptMs)
    assert.include(loaded.detail, "runs to its end because cuStreamWaitValue32")
    others.add(100)
    const request = prepare(arena, fixed, 2, 1)
    const batch = start(model, request)
    await until(() => batch.end !== undefined)
    check(request, batch)
  })
})
