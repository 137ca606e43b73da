/**
 * How few GPUs, or how little cost, any plan can do with: a certified lower bound. docs/planning-bounds.md has the proof.
 *
 * @since 0.1.0
 */
import type { PlanProblem } from "../../core/PlanProblem.js"
import type { FewestBound, FewestBoundOptions } from "./Bound.js"
import { boundFewest } from "./internal/boundFewest.js"
import { proveTooFew } from "./internal/combinationProof.js"
import { contentProof } from "./internal/contentProof.js"

/**
 * A bound that holds for every plan that `validatePlan` accepts for the problem.
 * @since 0.1.0
 * @category bounds
 */
export const fewestBound = (problem: PlanProblem, options: FewestBoundOptions = {}): FewestBound => 
  boundFewest(problem, options, { byContents: contentProof, byCombinations: proveTooFew })
