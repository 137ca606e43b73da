/**
 * What of "This device" can begin before the rest of the page's code is read: the first worker, which compiles and starts onnxruntime-web. That
 * takes longer than all else. No Effect here, so that it is a file of its own.
 *
 * @since 0.1.0
 */
import type { WebGpuCapabilities } from "../webgpu/WebGpuCapabilities.js"
import { GletWorkers } from "../webgpu/GletWorkers.js"
import { preferred, probeOnce } from "../webgpu/internal/adapter.js"
import { runtimeVersion } from "../webgpu/RuntimePackage.js"
import type { KeptFiles } from "./KeptFiles.js"
import type { StartWorker } from "../webgpu/WorkerLink.js"

/** @since 0.1.0 @category options */
export interface DeviceStartOptions {
  /** Address of a file that the page's server hands out, e.g. `resource/demo/glet.json`. */
  readonly address: (path: string) => string
  readonly startWorker: StartWorker
  /** Where onnxruntime-web is kept for workers to come. */
  readonly kept: KeptFiles
  /** `auto`: the GPU unless it is software. */
  readonly provider: "auto" | "webgpu" | "wasm"
}

/** @since 0.1.0 @category worlds */
export interface DeviceStart {
  readonly address: DeviceStartOptions["address"]
  readonly capabilities: WebGpuCapabilities
  readonly workers: GletWorkers
}

/** Where `glet dev` serves a file of onnxruntime-web: of this version only, hence the browser may keep it. @since 0.1.0 @category worlds */
export const runtimePath = (file: string): string => `onnxruntime-web/${runtimeVersion}/${file}`

/** The scripts of each build of onnxruntime-web: the module, and what stands between it and its .wasm file. */
const scripts = {
  jspi: ["ort.jspi.min.mjs", "ort-wasm-simd-threaded.jspi"],
  webgpu: ["ort.webgpu.min.mjs", "ort-wasm-simd-threaded.asyncify"],
  wasm: ["ort.wasm.min.mjs", "ort-wasm-simd-threaded"]
} as const

/** Looks what the device is and starts its first worker; those after it need no server. @since 0.1.0 @category worlds */
export const startDevice = async ({ address, kept, provider, startWorker }: DeviceStartOptions): Promise<DeviceStart> => {
  const capabilities = preferred(await probeOnce(), provider, "?provider=webgpu")
  const runtime = (file: string): string => address(runtimePath(file))
  const build = capabilities.provider === "wasm" ? "wasm" : capabilities.jspi ? "jspi" : "webgpu"
  const [module, glue] = scripts[build]
  const files = { module: runtime(module), mjs: runtime(`${glue}.mjs`), wasm: runtime(`${glue}.wasm`) }
  const workers = new GletWorkers({
    provider: capabilities.provider,
    startWorker,
    runtime: () => ({ modules: { [build]: kept.addressOf(files.module) }, wasmPaths: { mjs: kept.addressOf(files.mjs), wasm: files.wasm } })
  })
  // The .wasm file itself is compiled once, and handed from worker to worker.
  void workers.begin().then(() => kept.keep([files.module, files.mjs]))
  return { address, capabilities, workers }
}
