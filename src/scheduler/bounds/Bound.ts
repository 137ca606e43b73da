/**
 * What is asked of bounds, and what they answer.
 *
 * @since 0.1.0
 */
import type { Solver } from "../solver/Solver.js"

/** @since 0.1.0 @category bounds */
export type BoundEffort = "quick" | "thorough" | "proof"

/** @since 0.1.0 @category bounds */
export interface FewestBound {
  /** No plan uses fewer GPUs. `Infinity` where no plan exists on the problem's GPUs. */
  readonly gpus: number
  /** No plan costs less: the sum of `Gpu.cost`, 1 for GPUs without a price, over the GPUs that it uses. */
  readonly cost: number
  /** What proves it, for people. */
  readonly how: string
  /**
   * Prices that prove it, of all that GPUs offer: by kind of GPU, as the kinds first stand in the problem, the time of a glet by share, a place in its cycle
   * by share, and memory. Any prices prove some bound, and for nearly the same rates these prove nearly the best.
   */
  readonly prices?: ReadonlyArray<number>
}

/** @since 0.1.0 @category bounds */
export interface FewestBoundOptions {
  /**
   * `quick`: tens of milliseconds at a hundred models. `thorough`: several times that, and tighter. `proof`: then what glets of few GPUs can hold, and every
   * combination of their cuts, for which a solver is needed; seconds. Default `quick`.
   */
  readonly effort?: BoundEffort
  readonly solver?: Solver
  /** A plan with so many GPUs is known: nothing above it can be proved, so the search ends there. */
  readonly knownGpus?: number
  /** The same for the cost, where GPUs have unlike prices. */
  readonly knownCost?: number
  /** Of each kind of GPU in the problem there are as many as it takes. */
  readonly isUnlimited?: boolean
}

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
