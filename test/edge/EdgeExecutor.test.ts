/** Glets on an edge node do all that an executor must do: here the node is the CPU executor at the other end of a socket in memory. */
import { afterAll, assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import type { GletHandle } from "../../src/core/Executor.js"
import { Executor } from "../../src/core/Executor.js"
import type { Gpu } from "../../src/core/Gpu.js"
import { LoadFailure } from "../../src/core/internal/loadFailure.js"
import { unsafeGletId, unsafeGpuId, unsafeModelName } from "../../src/core/Ids.js"
import type { Model } from "../../src/core/Model.js"
import { makeHeapArena } from "../../src/core/TensorArena.js"
import type { EdgeLinkOptions } from "../../src/edge/EdgeLink.js"
import * as EdgeNode from "../../src/edge/EdgeNode.js"
import * as EdgeNodes from "../../src/edge/EdgeNodes.js"
import { encodeFrame } from "../../src/edge/EdgeProtocol.js"
import * as CpuExecutor from "../../src/node-cuda/CpuExecutor.js"
import { cpuGpu } from "../../src/node-cuda/CpuInventory.js"
import * as MemoryExecutor from "../../src/scheduler/MemoryExecutor.js"
import { executorContract } from "../contract/Executor.js"
import { lenet, lenetModel } from "../contract/lenet.js"
import { contractModels, contractVersions } from "../contract/models.js"
import { putIn } from "../node-cuda/support/putFile.js"
import { socketPair } from "./support/pair.js"

const folder = fs.mkdtempSync(path.join(os.tmpdir(), "glet-edge-"))
afterAll(() => fs.rmSync(folder, { recursive: true, force: true }))

let kept = 0
const keep = (bytes: Uint8Array) => {
  const file = path.join(folder, `${kept++}.onnx`)
  fs.writeFileSync(file, bytes)
  return { path: file, release: () => fs.rmSync(file) }
}
const read = (model: Model) => Effect.try({ try: () => new Uint8Array(fs.readFileSync(model.path)), catch: String })

/** The server's own executor: without a GPU. */
const nothing = Layer.succeed(Executor, Executor.of({ name: "none", arena: makeHeapArena(64 << 20), open: () => Effect.dieMessage("no glet is opened here") }))

const own = cpuGpu({ cores: 2 })
const edgeGpu: Gpu = { ...own, id: unsafeGpuId("edge:desk"), type: "edge-desk", isolation: "duty", units: 100 }

class NodeHandles extends Context.Tag("test/NodeHandles")<NodeHandles, Map<string, GletHandle>>() {}

/** An executor of a server with one node, whose glets can be reached from behind. */
const joined = Layer.scopedContext(Effect.gen(function*() {
  const handles = new Map<string, GletHandle>()
  const cpu = yield* CpuExecutor.make({ engine: "ort-c" })
  const behind = Executor.of({ ...cpu, open: (spec) => Effect.tap(cpu.open(spec), (handle) => Effect.sync(() => handles.set(spec.id, handle))) })
  const pair = socketPair()
  const nodes = yield* EdgeNodes.EdgeNodes
  nodes.accept(pair.server)
  yield* Effect.forkScoped(Effect.provideService(EdgeNode.run({ socket: pair.node, name: "desk", gpu: own, device: "a desk", keep }), Executor, behind))
  while (nodes.links().length === 0) yield* Effect.sleep(1)
  return Context.make(NodeHandles, handles)
})).pipe(Layer.provideMerge(Layer.provide(EdgeNodes.layer({ read }), nothing)))

const badModel: Model = { ...lenetModel, name: unsafeModelName("bad"), path: fileURLToPath(import.meta.url) }
executorContract("edge node", joined, {
  gpu: edgeGpu,
  models: [lenet, ...contractModels(putIn(folder))],
  versions: contractVersions(putIn(folder)),
  badModel,
  kill: (handle) =>
    Effect.gen(function*() {
      const { pid } = yield* (yield* NodeHandles).get(handle.spec.id)!.stats
      assert(pid !== undefined)
      process.kill(pid, "SIGKILL")
    })
})

/** One node of sleeping glets, and what breaks it. */
const withNode = <A, E>(
  options: Partial<EdgeLinkOptions> & { readonly latencyMs?: number },
  body: (pair: ReturnType<typeof socketPair>, nodes: typeof EdgeNodes.EdgeNodes.Service, executor: typeof Executor.Service) => Effect.Effect<A, E>
) =>
  Effect.gen(function*() {
    const nodes = yield* EdgeNodes.EdgeNodes
    const pair = socketPair()
    nodes.accept(pair.server)
    const node = yield* Effect.fork(Effect.provide(
      EdgeNode.run({ socket: pair.node, name: "desk", gpu: own, device: "a desk", keep }),
      MemoryExecutor.layer({ latencyMs: () => options.latencyMs ?? 5 })
    ))
    while (nodes.links().length === 0) yield* Effect.sleep(1)
    const answer = yield* body(pair, nodes, yield* Executor)
    pair.cut()
    yield* Fiber.join(node)
    return answer
  }).pipe(Effect.scoped, Effect.provide(Layer.provide(EdgeNodes.layer({ read, ...options }), nothing)))

const openLoaded = (executor: typeof Executor.Service) =>
  Effect.tap(executor.open({ id: unsafeGletId("edge:desk/1"), gpu: edgeGpu, sharePct: 50, priority: 0 }), (handle) => handle.load(lenetModel, [1]))

const runOne = (executor: typeof Executor.Service, handle: GletHandle) =>
  Effect.async<Parameters<Parameters<GletHandle["start"]>[1]>[0]>((resume) => {
    const slot = executor.arena.allocate(8192)!
    handle.start({ model: lenetModel, items: 1, entries: [{ slot, items: 1, bindings: [] }] }, (end) => {
      slot.release()
      resume(Effect.succeed(end))
    })
  })

describe("a server that edge nodes may join", () => {
  it.live("sends no file that is not the model that was loaded, and says so", () =>
    withNode({ read: () => Effect.fail(new LoadFailure("changed", "m.onnx has 2 bytes, and had 1 when it was loaded")) }, (_pair, _nodes, executor) =>
      Effect.scoped(Effect.gen(function*() {
        const handle = yield* executor.open({ id: unsafeGletId("edge:desk/1"), gpu: edgeGpu, sharePct: 50, priority: 0 })
        const error = yield* Effect.flip(handle.load(lenetModel, [1]))
        assert(error._tag === "ModelLoadFailed", error.message)
        assert.deepStrictEqual([error.reason, error.detail], ["changed", "m.onnx has 2 bytes, and had 1 when it was loaded"])
      }))))

  it.effect("never leaves tensors in memory of clients on its host: no node could read them there", () =>
    Effect.gen(function*() {
      const reaching = Layer.succeed(Executor, Executor.of({
        name: "cpu", arena: makeHeapArena(1 << 20), open: () => Effect.dieMessage("no glet is opened here"),
        clientMemory: { isDefault: true, open: () => ({ number: 1, release: () => {} }) }
      }))
      const { clientMemory, name } = yield* Effect.provide(Executor, Layer.provide(EdgeNodes.layer({ read }), reaching))
      assert.strictEqual(name, "cpu")
      assert.isUndefined(clientMemory)
    }))
})

describe("an edge node that goes wrong", () => {
  it.live("takes all its glets along when its connection breaks: what runs fails at once", () =>
    withNode({ latencyMs: 1500 }, (pair, nodes, executor) => Effect.scoped(Effect.gen(function*() {
      const handle = yield* openLoaded(executor)
      const running = yield* Effect.fork(Effect.all([runOne(executor, handle), runOne(executor, handle)], { concurrency: 2 }))
      yield* Effect.sleep(20)
      pair.cut()
      for (const end of yield* Fiber.join(running)) assert(!end.ok && end.error._tag === "GletExited")
      assert.match((yield* handle.exited).message, /edge node desk is gone: its connection ended \(1006\)/)
      assert.deepStrictEqual(nodes.links(), [])
      const again = yield* Effect.flip(Effect.scoped(openLoaded(executor)))
      assert(again._tag === "GletOpenFailed" && again.reason === "device-missing")
    }))))

  it.live("is given up when it says nothing more", () =>
    withNode({ pingMs: 20, silenceMs: 150 }, (pair, _nodes, executor) => Effect.scoped(Effect.gen(function*() {
      const handle = yield* openLoaded(executor)
      assert.isTrue((yield* runOne(executor, handle)).ok)
      pair.freeze()
      const end = yield* runOne(executor, handle)
      assert(!end.ok && end.error._tag === "GletExited")
      assert.match(end.error.message, /no word for \d+ ms/)
    }))))

  it.live("is given up when a batch takes far longer than any before", () =>
    Effect.suspend(() => {
      let latencyMs = 5
      return withNode({ pingMs: 20, batchTimeoutMs: 100, get latencyMs() { return latencyMs } }, (_pair, _nodes, executor) => Effect.scoped(Effect.gen(function*() {
        const handle = yield* openLoaded(executor)
        assert.isTrue((yield* runOne(executor, handle)).ok)
        latencyMs = 1500
        const end = yield* runOne(executor, handle)
        assert(!end.ok && end.error._tag === "GletExited")
        assert.match(end.error.message, /not answered in time/)
      })))
    }))

  it.live("is given up when it talks nonsense", () =>
    Effect.forEach([
      new Uint8Array([1, 2, 3]), new Uint8Array(64), encodeFrame({ t: "ran", id: 99, inferMs: 1, outputBindings: [], overflowBytes: [] }),
      encodeFrame({ t: "hello", name: "desk", device: "", memoryBytes: 1, sharesPct: [100] })
    ], (frame) =>
      withNode({}, (pair, nodes, executor) => Effect.scoped(Effect.gen(function*() {
        const handle = yield* openLoaded(executor)
        pair.node.send(frame as Uint8Array<ArrayBuffer>)
        yield* handle.exited
        assert.deepStrictEqual(nodes.links(), [])
      })))))

  it.live("is replaced by itself when it comes again under its name", () =>
    withNode({}, (_pair, nodes, executor) => Effect.scoped(Effect.gen(function*() {
      const handle = yield* openLoaded(executor)
      const second = socketPair()
      nodes.accept(second.server)
      second.node.listen(() => {}, () => {})
      second.node.send(encodeFrame({ t: "hello", name: "desk", device: "", memoryBytes: 1e9, sharesPct: [50, 100] }))
      assert.match((yield* handle.exited).message, /it joined again/)
      assert.strictEqual(nodes.links().length, 1)
    }))))

  it.live("is no node before it has said who it is, nor beyond the number allowed", () =>
    Effect.gen(function*() {
      const nodes = EdgeNodes.make({ read, maxNodes: 2, helloTimeoutMs: 50 })
      const ends: Array<string> = []
      const dial = (name: string, frame?: Uint8Array<ArrayBuffer>) => {
        const pair = socketPair()
        nodes.accept(pair.server)
        pair.node.listen(() => {}, (code, reason) => ends.push(`${name}: ${code} ${reason}`))
        if (frame !== undefined) pair.node.send(frame)
      }
      const hello = (name: string) => encodeFrame({ t: "hello", name, device: "", memoryBytes: 1e9, sharesPct: [100] })
      dial("silent")
      dial("rude", encodeFrame({ t: "pong", id: 1 }))
      yield* Effect.sleep(120)
      dial("a", hello("a"))
      yield* Effect.sleep(20)
      dial("b", hello("b"))
      yield* Effect.sleep(20)
      dial("c", hello("c"))
      yield* Effect.sleep(50)
      assert.deepStrictEqual(nodes.links().map(({ name }) => name), ["a", "b"])
      yield* nodes.close
      yield* Effect.sleep(20)
      assert.deepStrictEqual(ends.sort(), [
        "a: 4503 the server stops", "b: 4503 the server stops", "c: 4429 2 nodes have joined already", "rude: 4400 \"pong\" before a hello", "silent: 4408 no hello came"
      ])
    }))
})
