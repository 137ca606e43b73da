/** Looks for an adapter and says what the realm can do with it. Without Effect: workers do it too. */
import type { AdapterDescription, WebGpuCapabilities } from "../WebGpuCapabilities.js"
import type { GpuAdapter, Realm } from "./gpuTypes.js"
import { realm } from "./gpuTypes.js"

const environmentOf = ({ Deno, process }: Realm): WebGpuCapabilities["environment"] =>
  Deno !== undefined ? "deno" : process?.versions?.node !== undefined ? "node" : "browser"

/** No more of a page's cores: it has others to do. */
const mostThreads = 4

const threadsOf = (environment: WebGpuCapabilities["environment"], { crossOriginIsolated, navigator }: Realm) => {
  if (environment !== "browser") return { threads: 1, threadsReason: `onnxruntime-web starts none in ${environment === "deno" ? "Deno" : "Node"}` }
  if (crossOriginIsolated !== true) {
    return { threads: 1, threadsReason: "the page is not cross-origin isolated: serve it with COOP same-origin and COEP require-corp" }
  }
  return { threads: Math.max(1, Math.min(mostThreads, navigator?.hardwareConcurrency ?? 1)), threadsReason: undefined }
}

const softwareNames = /swiftshader|llvmpipe|lavapipe|software|basic render/i

/** Deno gives vendors as numbers and says who it is in the description only. */
const describe = ({ info = {}, isFallbackAdapter }: GpuAdapter): AdapterDescription => {
  const { architecture = "", description = "", device = "", vendor = "" } = info
  const name = description || [vendor, architecture, device].filter((part) => part !== "").join(" ") || "unnamed adapter"
  return {
    vendor: vendor || "unknown", architecture: architecture || "unknown", name,
    software: info.isFallbackAdapter === true || isFallbackAdapter === true || softwareNames.test(`${vendor} ${architecture} ${device} ${description}`)
  }
}

const whyNoApi = (environment: WebGpuCapabilities["environment"], { isSecureContext }: Realm): string =>
  environment === "node"
    ? "Node has no WebGPU of its own: install the package webgpu beside glet-orion"
    : environment === "browser" && isSecureContext === false
    ? "the page is not a secure context: serve it over https or from localhost"
    : environment === "deno"
    ? "this Deno has no WebGPU"
    : "this browser has no WebGPU"

/** The adapter, or why there is none. */
export const findAdapter = async (scope: Realm = realm): Promise<GpuAdapter | string> => {
  const environment = environmentOf(scope)
  const gpu = scope.navigator?.gpu
  if (gpu === undefined) return whyNoApi(environment, scope)
  try {
    const found = await gpu.requestAdapter({ powerPreference: "high-performance" })
    return found ?? `WebGPU is there and finds no adapter: ${environment === "browser" ? "the browser does not use this GPU or driver" : "no Vulkan, Metal or D3D12 driver that it takes"}`
  } catch (error) {
    return `WebGPU finds no adapter: ${error instanceof Error ? error.message : String(error)}`
  }
}

/** What a realm can do with the adapter found in it. */
export const describeCapabilities = (adapter: GpuAdapter | string, scope: Realm = realm): WebGpuCapabilities => {
  const environment = environmentOf(scope)
  const common = { environment, jspi: "Suspending" in (globalThis as { WebAssembly?: object }).WebAssembly!, ...threadsOf(environment, scope) }
  if (typeof adapter === "string") {
    return Object.freeze({
      ...common, provider: "wasm", fallback: adapter, adapter: undefined,
      f16: false, subgroups: false, timestampQuery: false, maxBufferBytes: 0, maxBindingBytes: 0
    })
  }
  return Object.freeze({
    ...common, provider: "webgpu", fallback: undefined, adapter: Object.freeze(describe(adapter)),
    f16: adapter.features.has("shader-f16"),
    subgroups: adapter.features.has("subgroups"),
    timestampQuery: adapter.features.has("timestamp-query"),
    maxBufferBytes: adapter.limits["maxBufferSize"] ?? 0,
    maxBindingBytes: adapter.limits["maxStorageBufferBindingSize"] ?? 0
  })
}

let probed: Promise<WebGpuCapabilities> | undefined

/** Looks once; later calls get the same value. */
export const probeOnce = (): Promise<WebGpuCapabilities> => probed ??= findAdapter().then((adapter) => describeCapabilities(adapter))

/** See `Capabilities.ts`. */
export const preferred = (found: WebGpuCapabilities, provider: "auto" | "webgpu" | "wasm", how: string): WebGpuCapabilities =>
  provider === "webgpu" || (provider === "auto" && found.adapter?.software !== true)
    ? found
    : {
      ...found, provider: "wasm", adapter: undefined,
      fallback: provider === "wasm" ? "that was asked for" : `the only adapter is software (${found.adapter?.name}), which is slower; ${how} takes it`
    }

/** One line for people: what models run on here, and where it is not the GPU why. */
export const describeProvider = ({ adapter, fallback, provider, threads }: WebGpuCapabilities): string =>
  provider === "webgpu"
    ? `WebGPU on ${adapter!.name}${adapter!.software ? " (software)" : ""}`
    : `WebAssembly with ${threads} ${threads === 1 ? "thread" : "threads"}, because ${fallback}`
