/**
 * All decisions: planners, models of latency, batch forming, admission; and the online service that calls them.
 *
 * @since 0.1.0
 */
export * from "./Planner.js"
export * from "./Scheduler.js"
export * from "./SchedulerStatus.js"
