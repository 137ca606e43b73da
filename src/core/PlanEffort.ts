/**
 * How long planners that search may search, by name. Steps are counted, not time: a plan is the same on any machine.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

/**
 * `quick`: what a server takes, a tenth of a second or so for a hundred models. `normal`: a second or two. `thorough`: ten seconds or so.
 * @since 0.1.0
 * @category planning
 */
export const PlanEffort = Schema.Literal("quick", "normal", "thorough")
/** @since 0.1.0 @category planning */
export type PlanEffort = typeof PlanEffort.Type

/** As multiples of the usual number of steps (`PlanOptions.effort`). @since 0.1.0 @category planning */
export const effortOf: Readonly<Record<PlanEffort, number>> = { quick: 0.1, normal: 1, thorough: 10 }
