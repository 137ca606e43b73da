/**
 * Execution on Node: supervised runner processes, shared memory, the CPU as a GPU, an emulated GPU, profiles.
 *
 * @since 0.1.0
 */
export * as CpuExecutor from "./CpuExecutor.js"
export * as CpuInventory from "./CpuInventory.js"
export * as Emulated from "./Emulated.js"
export * as Profiler from "./Profiler.js"
export * as ProfileStoreFile from "./ProfileStoreFile.js"
