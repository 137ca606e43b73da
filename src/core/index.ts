/**
 * The vocabulary of glet-orion: no I/O, runs in Node, Deno and browsers alike.
 *
 * @since 0.1.0
 */
export * from "./ClientMemory.js"
export * from "./EdgeStatus.js"
export * from "./Executor.js"
export * from "./ExecutorError.js"
export * from "./Gpu.js"
export * from "./Ids.js"
export * from "./LatencyModel.js"
export * from "./Model.js"
export * from "./Plan.js"
export * from "./PlanEffort.js"
export * from "./PlanProblem.js"
export * from "./Profile.js"
export * from "./Profiler.js"
export * as ProfilerLive from "./ProfilerLive.js"
export * as ProfileStoreMemory from "./ProfileStoreMemory.js"
export * from "./Request.js"
export * from "./RequestError.js"
export * from "./SlotLayout.js"
export * from "./Tensor.js"
export * from "./TensorArena.js"
export * from "./ValidatePlan.js"
export * from "./WorkloadType.js"
