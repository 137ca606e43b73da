/**
 * The WebGPU backend: models on the GPU of a browser, of Deno or of Node, in WebAssembly where there is none. No `node:` module: Node's own parts
 * are `glet-orion/webgpu-node`.
 *
 * @since 0.1.0
 */
export * from "./Capabilities.js"
export * from "./DutyCycle.js"
export * from "./GletWorkers.js"
export * as DutyExecutor from "./DutyExecutor.js"
export * as Profiler from "../core/ProfilerLive.js"
export * as ProfileStoreMemory from "../core/ProfileStoreMemory.js"
export * from "./RuntimePackage.js"
export * as WebGpuExecutor from "./WebGpuExecutor.js"
export * as WebGpuInventory from "./WebGpuInventory.js"
export * from "./WebGpuCapabilities.js"
export * from "./WorkerLink.js"
