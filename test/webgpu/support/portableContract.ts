/** The Executor contract over the WebGPU executor, as a bundle runs it in Chromium and in Deno. */
import digits from "../../../resource/demo/digits-test.json" with { type: "json" }
import { lenetAt, enlargeAll, lenetContract } from "../../contract/lenetContract.js"
import type { ContractModel } from "../../contract/Executor.js"
import { executorContract } from "../../contract/Executor.js"
import type { PutFile } from "../../contract/models.js"
import { contractModels, contractVersions } from "../../contract/models.js"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Executor } from "../../../src/core/Executor.js"
import { unsafeModelName } from "../../../src/core/Ids.js"
import { describeProvider, probeCapabilities } from "../../../src/webgpu/Capabilities.js"
import { fetchModel } from "../../../src/webgpu/internal/fetchModel.js"
import type { ModelBytes } from "../../../src/webgpu/internal/protocol.js"
import * as WebGpuExecutor from "../../../src/webgpu/WebGpuExecutor.js"
import { webGpu } from "../../../src/webgpu/WebGpuInventory.js"
import type { StartWorker, WorkerLink } from "../../../src/webgpu/WorkerLink.js"
import type { PortableResult } from "./portableTests.js"
import { runAll } from "./portableTests.js"

/** How the suite is to be run; where the files are depends on who runs it. */
export interface PortableSettings {
  readonly provider: "auto" | "webgpu" | "wasm"
  readonly runtime: WebGpuExecutor.RuntimeLocation
  readonly lenet: string
  /** A file that is no model. */
  readonly noModel: string
  readonly startWorker: StartWorker
}

/** Workers of which the one that was spoken to last can be killed, as a crash would: it is ended, and whoever listens is told. */
const killable = (start: StartWorker) => {
  let last: { readonly link: WorkerLink; readonly tell: () => void } | undefined
  const startWorker: StartWorker = () => {
    const link = start()
    let tell: () => void = () => undefined
    const made: WorkerLink = {
      ...link,
      post: (message, transfer) => {
        last = { link, tell: () => tell() }
        link.post(message, transfer)
      },
      listen: (onMessage, onExit) => {
        tell = () => onExit("killed by the test")
        link.listen(onMessage, onExit)
      }
    }
    return made
  }
  const killLast = Effect.sync(() => {
    last?.link.terminate()
    last?.tell()
  })
  return { startWorker, killLast }
}

/** Contract models in memory: read by the executor as files would be. */
const memoryFiles = () => {
  const files = new Map<string, Uint8Array>()
  const put: PutFile = (name, bytes) => {
    files.set(name, bytes)
    return name
  }
  const copy = (name: string): ArrayBuffer => files.get(name)!.slice().buffer as ArrayBuffer
  const readModel: NonNullable<WebGpuExecutor.WebGpuExecutorOptions["readModel"]> = async (model): Promise<ModelBytes> =>
    files.has(model.path)
      ? { bytes: copy(model.path), external: model.path === "external.onnx" ? [{ path: "weights.bin", bytes: copy("weights.bin") }] : [] }
      : fetchModel(model)
  return { put, readModel }
}

/** Runs the suite; every test's result. */
export const runContract = async (
  settings: PortableSettings,
  onResult?: (result: PortableResult) => void
): Promise<{ readonly provider: string; readonly results: ReadonlyArray<PortableResult> }> => {
  const capabilities = await Effect.runPromise(probeCapabilities)
  const { killLast, startWorker } = killable(settings.startWorker)
  const { put, readModel } = memoryFiles()
  const executor = WebGpuExecutor.make({ provider: settings.provider, runtime: settings.runtime, startWorker, readModel })
  // Every batch size is compiled anew, on a software GPU for a second.
  const lenetModel = { ...lenetAt(settings.lenet, 0), maxBatch: 3 }
  const all = enlargeAll(digits)
  // A software GPU compiles shaders for seconds: the model that every test loads is a small one.
  const [first, ...others] = contractModels(put) as [ContractModel, ...Array<ContractModel>]
  executorContract(`webgpu, ${settings.provider}`, Layer.succeed(Executor, executor), {
    gpu: webGpu(capabilities),
    sharePct: 50,
    versions: contractVersions(put),
    models: [first, ...others, lenetContract(lenetModel, () => all)],
    badModel: { ...lenetModel, name: unsafeModelName("bad"), path: settings.noModel },
    kill: () => killLast
  })
  return { provider: describeProvider(capabilities), results: await runAll(onResult) }
}
