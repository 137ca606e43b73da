/**
 * A discrete-event simulator that makes its decisions with the functions of the online service. Runs in Node, Deno and browsers alike.
 *
 * @since 0.1.0
 */
export * from "./ArrivalSchedule.js"
export * from "./Hardware.js"
export * from "./PeakLoad.js"
export * from "./Scenario.js"
export * from "./ScenarioFile.js"
export * from "./ScenarioArrivals.js"
export * from "./ScenarioInput.js"
export * from "./Simulation.js"
export * from "./SimulationInput.js"
export * from "./SimulationReport.js"
export type { Timeline, TimelineBatch } from "./Timeline.js"
export * from "./TimelinePicture.js"
