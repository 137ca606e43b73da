/** The WebGPU executor in Node's threads: with dawn on a software driver, and in WebAssembly. */
import { afterAll, assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { vi } from "vitest"
import { pathToFileURL } from "node:url"
import type { GletHandle } from "../../src/core/Executor.js"
import { unsafeModelName } from "../../src/core/Ids.js"
import type { Model } from "../../src/core/Model.js"
import { GletWorkers } from "../../src/webgpu/GletWorkers.js"
import { Realm } from "../../src/webgpu/internal/workerRealm.js"
import * as NodeWorkers from "../../src/webgpu/NodeWorkers.js"
import * as WebGpuExecutor from "../../src/webgpu/WebGpuExecutor.js"
import { webGpu } from "../../src/webgpu/WebGpuInventory.js"
import type { StartWorker, WorkerLink } from "../../src/webgpu/WorkerLink.js"
import { executorContract } from "../contract/Executor.js"
import { lenet } from "../contract/lenet.js"
import type { ContractModel } from "../contract/Executor.js"
import { contractModels, contractVersions } from "../contract/models.js"
import { putIn } from "../node-cuda/support/putFile.js"
import { dawnPath } from "./support/deno.js"
import { skipped } from "./support/report.js"
import { useSoftwareVulkan } from "./support/vulkan.js"
import { builtFolder, buildWorker, removeBuilt } from "./support/workers.js"

useSoftwareVulkan()
// A software driver compiles shaders for seconds, beside other tests for tens of them.
vi.setConfig({ testTimeout: 120_000 })

const worker = pathToFileURL(await buildWorker("webgpu-node-worker"))
afterAll(removeBuilt)

/** Threads of which the one that was spoken to last can be killed as a crash would: nobody says so but its end. */
const killable = (start: StartWorker) => {
  let last: WorkerLink | undefined
  const startWorker: StartWorker = () => {
    const link = start()
    return { ...link, post: (message, transfer) => (last = link).post(message, transfer) }
  }
  return { startWorker, kill: () => Effect.sync(() => last?.terminate()) }
}

const suite = (name: string, capabilities: Parameters<typeof webGpu>[0], options: NodeWorkers.NodeWorkerOptions, models = Infinity) => {
  const { kill, startWorker } = killable(NodeWorkers.startThreads({ ...options, worker }))
  const [first, ...others] = contractModels(putIn(builtFolder)).filter(({ model }) => model.name !== "external") as [ContractModel, ...Array<ContractModel>]
  const badModel: Model = { ...first.model, name: unsafeModelName("bad"), path: new URL(import.meta.url).pathname }
  executorContract(name, WebGpuExecutor.layer({ startWorker, readModel: NodeWorkers.readModelFile }), {
    gpu: webGpu(capabilities), sharePct: 50, versions: contractVersions(putIn(builtFolder)), models: [first, ...others.slice(0, models - 2), { ...lenet, model: { ...lenet.model, maxBatch: 3 } }], badModel,
    kill: (_: GletHandle) => kill()
  })
}

const wasm = await NodeWorkers.probeThread({ dawn: false, worker })
describe("in Node without dawn", () => {
  it("says why it is WebAssembly", () => {
    assert(typeof wasm !== "string", String(wasm))
    assert.strictEqual(wasm.provider, "wasm")
    assert.include(wasm.fallback!, "install the package webgpu")
  })
})
if (typeof wasm !== "string") suite("WebAssembly in Node", wasm, { dawn: false })

describe("workers", () => {
  it("compile onnxruntime-web once while one of them lives, also when they start side by side", async () => {
    const start = NodeWorkers.startThreads({ dawn: false, worker })
    const given: Array<object | undefined> = []
    const made: Array<object | undefined> = []
    const workers = new GletWorkers({
      startWorker: () => {
        const link = start()
        return {
          ...link,
          post: (message, transfer) => {
            given.push((message as { readonly compiled?: object }).compiled)
            link.post(message, transfer)
          },
          listen: (onMessage, onExit) => link.listen((message) => {
            made.push((message as { readonly compiled?: object }).compiled)
            onMessage(message)
          }, onExit)
        }
      }
    })
    workers.begin()
    const realms = await Promise.all([workers.takeBegun()!, workers.start(), workers.start()])
    assert.isTrue(realms.every((realm) => realm instanceof Realm))
    assert.isTrue(made.every((module) => Object.prototype.toString.call(module) === "[object WebAssembly.Module]"))
    assert.deepStrictEqual(given, [undefined, made[0], made[0]])
    assert.isUndefined(workers.takeBegun())
    for (const realm of realms) (realm as Realm).end("the test is over")
    await Promise.all(realms.map((realm) => (realm as Realm).exited))
    // What they compiled goes with them.
    const last = await workers.start() as Realm
    assert.isUndefined(given[3])
    last.end("the test is over")
  })

  it("start without the first one where that cannot", async () => {
    const start = NodeWorkers.startThreads({ dawn: false, worker })
    let started = 0
    const workers = new GletWorkers({
      startWorker: () => {
        if (started++ === 0) throw new Error("no room")
        return start()
      }
    })
    const [first, second] = await Promise.all([workers.start(), workers.start()])
    assert.deepStrictEqual(first, { reason: "spawn-failed", detail: "no room" })
    assert.isTrue(second instanceof Realm)
    ;(second as Realm).end("the test is over")
  })
})

const dawn = dawnPath()
const found = dawn === undefined ? "dawn's package is not installed" : await NodeWorkers.probeThread({ dawn, worker })
if (typeof found === "string") skipped("WebGPU in Node", found)
else if (found.provider === "wasm") skipped("WebGPU in Node", found.fallback!)
// The kinds of models are the same code in Chromium and Deno, where all of them are tried; a software driver takes its time for each.
else suite(`WebGPU in Node on ${found.adapter!.name}`, found, { dawn: dawn! }, 3)
