/** What `--executor webgpu` finds on this host: which adapters there are, whether they are taken, and why not. */
import * as Effect from "effect/Effect"
import * as NativeWebGpu from "../../node-cuda/NativeWebGpu.js"
import { installRuntime } from "../../webgpu/RuntimePackage.js"
import type { Check } from "./doctorChecks.js"
import { findDawn, hasOnnxruntimeWeb } from "./webgpuBackend.js"

const name = "WebGPU"

const driverHint = process.platform === "linux"
  ? "it needs a Vulkan driver: the GPU vendor's, or Mesa 25 or newer; in a container the device and its driver's libraries must be let in"
  : "it needs a GPU that Metal or Direct3D 12 drives"

/** What is tried instead, in the order that `serve` takes. */
const otherWays = (): string => {
  const ways = hasOnnxruntimeWeb()
    ? [findDawn() === undefined ? "onnxruntime-web in WebAssembly" : "onnxruntime-web with dawn, else in WebAssembly"]
    : []
  return ways.length === 0 ? `--executor webgpu does not start; ${installRuntime} beside glet-orion lets it run in WebAssembly` : `--executor webgpu takes ${ways[0]}`
}

/** Runs something on the provider in a process of its own, which takes a third of a second. */
export const webgpuChecks: Effect.Effect<ReadonlyArray<Check>> = Effect.map(NativeWebGpu.probe(), (found): ReadonlyArray<Check> => {
  const { devices, problem } = found
  const listed = devices === undefined ? "" : devices.length === 0 ? "Vulkan lists no device" : `Vulkan lists ${devices.map((one) => `${one.name} (${one.kind})`).join(", ")}`
  if (problem !== undefined) {
    return [{
      name, state: "limited", essential: false, found: [`no adapter for --executor webgpu: ${problem}`, listed].filter((part) => part !== "").join("; "),
      mend: `${driverHint}; until then ${otherWays()}; --executor cpu is faster than that`
    }]
  }
  const device = NativeWebGpu.preferredDevice(found)
  return device?.kind === "cpu"
    ? [{ name, state: "limited", essential: false, found: `onnxruntime-node computes on ${device.name}, a software driver`, mend: `right, and slower than --executor cpu; ${driverHint}` }]
    : [{ name, state: "ok", essential: false, found: `onnxruntime-node computes on ${device?.name ?? "the system's preferred adapter"}${devices !== undefined && devices.length > 1 ? `; ${listed}` : ""}` }]
})
