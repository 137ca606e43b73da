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
import type { StartWorker } from "../webgpu/WorkerLink.js"

/** @since 0.1.0 @category options */
export interface DeviceStartOptions {
  /** Address of a file that the page's server hands out, e.g. `resource/demo/glet.json`. */
  readonly address: (path: string) => string
  readonly startWorker: StartWorker
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

/** Looks what the device is and starts its first worker. @since 0.1.0 @category worlds */
export const startDevice = async ({ address, provider, startWorker }: DeviceStartOptions): Promise<DeviceStart> => {
  const capabilities = preferred(await probeOnce(), provider, "?provider=webgpu")
  const runtime = (file: string): string => address(runtimePath(file))
  const workers = new GletWorkers({
    provider: capabilities.provider,
    startWorker,
    runtime: {
      modules: { jspi: runtime("ort.jspi.min.mjs"), webgpu: runtime("ort.webgpu.min.mjs"), wasm: runtime("ort.wasm.min.mjs") }, wasmPaths: runtime("")
    }
  })
  workers.begin()
  return { address, capabilities, workers }
}
