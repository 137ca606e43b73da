/**
 * The inventory of a browser, of Deno or of Node with WebGPU: one GPU, the adapter that is given; or WebAssembly in its place.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Gpu } from "../core/Gpu.js"
import { GpuInventory } from "../core/Gpu.js"
import { unsafeGpuId } from "../core/Ids.js"
import type { WebGpuCapabilities } from "./WebGpuCapabilities.js"
import { probeCapabilities } from "./Capabilities.js"

/** How the device is described; every field has a default. @since 0.1.0 @category options */
export interface WebGpuInventoryOptions {
  /** What the executor was told: with `wasm` the adapter is not what models run on. Default `auto`. */
  readonly provider?: "auto" | "webgpu" | "wasm"
  /** WebGPU does not tell a device's memory. Default: the larger of 1 GiB and the largest buffer it takes. */
  readonly memoryBytes?: number
}

const leastMemoryBytes = 2 ** 30

/** A vendor's or architecture's name as part of a GPU type. */
const plain = (name: string): string => name.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "").slice(0, 40)

/**
 * What was probed as a GPU: id `webgpu:0`, type e.g. `webgpu-nvidia-hopper-browser` or `wasm-deno`; a unit is a hundredth of the time. Shares are
 * quarters: every glet has a worker with the runtime and its own copy of the model.
 * @since 0.1.0
 * @category constructors
 */
export const webGpu = (capabilities: WebGpuCapabilities, options: WebGpuInventoryOptions = {}): Gpu => {
  const { adapter, environment, maxBufferBytes } = capabilities
  // The same device is driven by other software in each of them: its profiles are not the same.
  const type = adapter === undefined || options.provider === "wasm" ? `wasm-${environment}` : `webgpu-${plain(adapter.vendor)}-${plain(adapter.architecture)}-${environment}`
  return {
    id: unsafeGpuId("webgpu:0"),
    type,
    isolation: "duty",
    units: 100,
    memoryBytes: options.memoryBytes ?? Math.max(leastMemoryBytes, maxBufferBytes),
    sharesPct: [25, 50, 75, 100]
  }
}

/** Lists what `probeCapabilities` finds. WebGPU has no telemetry. @since 0.1.0 @category layers */
export const layer = (options: WebGpuInventoryOptions = {}): Layer.Layer<GpuInventory> =>
  Layer.effect(GpuInventory, Effect.map(probeCapabilities, (capabilities) =>
    GpuInventory.of({ gpus: [webGpu(capabilities, options)], telemetry: Effect.succeed([]) })))
