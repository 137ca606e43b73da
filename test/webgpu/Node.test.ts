/** The WebGPU executor in Node's threads: with dawn on a software driver, and in WebAssembly. */
import { afterAll, assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { pathToFileURL } from "node:url"
import type { GletHandle } from "../../src/core/Executor.js"
import { unsafeModelName } from "../../src/core/Ids.js"
import type { Model } from "../../src/core/Model.js"
import * as NodeWorkers from "../../src/webgpu/NodeWorkers.js"
import * as WebGpuExecutor from "../../src/webgpu/WebGpuExecutor.js"
import { webGpu } from "../../src/webgpu/WebGpuInventory.js"
import type { StartWorker, WorkerLink } from "../../src/webgpu/WorkerLink.js"
import { executorContract } from "../contract/Executor.js"
import { lenet } from "../contract/lenet.js"
import type { ContractModel } from "../contract/Executor.js"
import { contractModels } from "../contract/models.js"
import { putIn } from "../node-cuda/support/putFile.js"
import { dawnPath } from "./support/deno.js"
import { skipped } from "./support/report.js"
import { useSoftwareVulkan } from "./support/vulkan.js"
import { builtFolder, buildWorker, removeBuilt } from "./support/workers.js"

useSoftwareVulkan()

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
    gpu: webGpu(capabilities), sharePct: 50, models: [first, ...others.slice(0, models - 2), { ...lenet, model: { ...lenet.model, maxBatch: 3 } }], badModel,
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

const dawn = dawnPath()
const found = dawn === undefined ? "dawn's package is not installed" : await NodeWorkers.probeThread({ dawn, worker })
if (typeof found === "string") skipped("WebGPU in Node", found)
else if (found.provider === "wasm") skipped("WebGPU in Node", found.fallback!)
// The kinds of models are the same code in Chromium and Deno, where all of them are tried; a software driver takes its time for each.
else suite(`WebGPU in Node on ${found.adapter!.name}`, found, { dawn: dawn! }, 3)
