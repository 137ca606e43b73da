/**
 * By how much all rates can grow together on given GPUs: a certified upper bound. docs/planning-bounds.md has the proof.
 *
 * @since 0.1.0
 */
import type { PlanProblem } from "../../core/PlanProblem.js"
import type { Solver } from "../solver/Solver.js"
import type { BoundEffort } from "./FewestBound.js"
import { boundHeadroom } from "./internal/boundHeadroom.js"
import { proveTooFew } from "./internal/combinationProof.js"

/** @since 0.1.0 @category bounds */
export interface HeadroomBound {
  /**
   * No plan on the problem's GPUs carries a larger multiple of all rates; below 1 they are too few. `Infinity` where no model has a rate.
   */
  readonly factor: number
  /** What proves it, for people. */
  readonly how: string
  /** Prices that prove it; see `FewestBound.prices`. */
  readonly prices?: ReadonlyArray<number>
}

/** @since 0.1.0 @category bounds */
export interface HeadroomBoundOptions {
  /** `quick`: prices only. `thorough`: more looks at them. `proof`: then combinations of cuts, for few GPUs. Default `quick`. */
  readonly effort?: BoundEffort
  readonly solver?: Solver
  /** A plan with this factor is known: nothing below it can be proved, so the search ends there. */
  readonly knownFactor?: number
}

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
