/**
 * The judge of plans forgives the last bits of sums: every comparison of `validatePlan` holds within a millionth. A bound that is to hold for all that
 * it accepts must be wrong in the same direction, a little further.
 */

/** On every limit of the model: SLOs, time and memory of a glet. */
export const relativeSlack = 3e-6

/** Rates are compared twice: what a glet carries with its capacity, and what all carry with what is asked. */
export const rateSlack = 4e-6

/** Rates that the judge does not see. */
export const leastRate = 1e-8

/** A count that is above a whole number by no more than our own rounding is that number. */
export const wholeAtLeast = (bound: number): number => Math.max(0, Math.ceil(bound * (1 - 1e-9) - 1e-9))
