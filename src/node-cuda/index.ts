/**
 * The Node backend: runner processes that execute models on CPU or NVIDIA GPUs, an emulated executor, and the profiler with its store.
 *
 * @since 0.1.0
 */
export * as CpuExecutor from "./CpuExecutor.js"
export * as CpuInventory from "./CpuInventory.js"
export { CudaUnavailable } from "./CudaError.js"
export * as CudaExecutor from "./CudaExecutor.js"
export * as CudaInstall from "./CudaInstall.js"
export * as CudaInventory from "./CudaInventory.js"
export * as Emulated from "./Emulated.js"
export * as NativeWebGpu from "./NativeWebGpu.js"
export * as NodeTrace from "./NodeTrace.js"
export * as Profiler from "../core/ProfilerLive.js"
export * as ProfileStoreFile from "./ProfileStoreFile.js"
