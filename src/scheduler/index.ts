/**
 * All decisions: planners, models of latency, batch forming, admission; and the online service that calls them.
 *
 * @since 0.1.0
 */
export * from "./BurstHeadroom.js"
export * from "./PlanDiff.js"
export * from "./Planner.js"
export * from "./PlannerRegistry.js"
export * as ProfileLatencyModel from "./ProfileLatencyModel.js"
export * from "./RateEstimator.js"
export * from "./ReplanPolicy.js"
export * from "./RestartPolicy.js"
export * from "./Scheduler.js"
export * from "./SchedulerStatus.js"
export * from "./planners/Orion.js"
export * as SchedulerLive from "./SchedulerLive.js"
export * from "./BestEffortGate.js"
export * from "./DispatchedBatch.js"
export * from "./Dispatcher.js"
export * from "./GletRoutes.js"
export * as MemoryExecutor from "./MemoryExecutor.js"
export * from "./RoutesOfPlan.js"
