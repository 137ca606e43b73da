/**
 * By how much all rates can grow together on given GPUs: a certified upper bound. docs/planning-bounds.md has the proof.
 *
 * @since 0.1.0
 */
import type { PlanProblem } from "../../core/PlanProblem.js"
import type { HeadroomBound, HeadroomBoundOptions } from "./Bound.js"
import { boundHeadroom } from "./internal/boundHeadroom.js"
import { proveTooFew } from "./internal/combinationProof.js"

/**
 * A bound that holds for every plan that `validatePlan` accepts for the problem with its rates multiplied by a factor. Best-effort models are left
 * out.
 *
 * What all GPUs offer at some prices is less than what the demands cost at a factor: then neither that factor nor a larger one is possible. The
 * smallest such factor is found by bisection.
 * @since 0.1.0
 * @category bounds
 */
export const headroomBound = (problem: PlanProblem, options: HeadroomBoundOptions = {}): HeadroomBound => boundHeadroom(problem, options, proveTooFew)
