/**
 * The planner where none is asked for. Apart from the registry, so that who uses it needs none of the others.
 *
 * @since 0.1.0
 */
import { orion } from "./planners/Orion.js"
import type { PlannerAlgorithm } from "./Planner.js"

/** The planner that is used where none is named. @since 0.1.0 @category planners */
export const defaultPlanner: PlannerAlgorithm = orion
