/**
 * Rates as a direction and a length. The search for a number of GPUs sees the direction only: sets of rates that differ by a factor are searched
 * alike, and the factor decides no more than how far is far enough. (Alike up to a step of a grid: where scaling by a factor that is no power of two
 * moves a part across the edge of a step, the directions differ by 2^-29.)
 */
import type { SearchSpace } from "./searchSpace.js"
import { balancedPrices } from "./prices.js"

export interface Direction {
  /** Items per second by model; their sum is about 1. 0 for models that are left out. */
  readonly unit: Float64Array
  /** The rates are at most this multiple of `unit`. */
  readonly length: number
}

/** A model that nobody asks for still has its place, for this many items per second. */
const leastRps = 1e-6

const grid = 2 ** 30

/** By no more than this part of them is a direction's rates above those it was made of. */
const roundedUp = 2 / grid

/** Whether a multiple of what was asked is all of it: what carries the rates to the last bit carries a little less than their direction. */
export const isAll = (factor: number): boolean => factor >= 1 - roundedUp

/** Rounded to 30 bits and up by one: the last bits, which scaling may change, do not matter but at the edge of a step. */
const rounded = (value: number): number => {
  const unit = 2 ** Math.floor(Math.log2(value)) / grid
  return (Math.round(value / unit) + 1) * unit
}

/** The direction of the rates of some models. */
export const directionOf = (rates: ReadonlyArray<number>, models: ReadonlyArray<number>): Direction => {
  const unit = new Float64Array(rates.length)
  let length = 0
  for (const model of models) length += Math.max(rates[model]!, leastRps)
  for (const model of models) unit[model] = rounded(Math.max(rates[model]!, leastRps) / length)
  return { unit, length }
}

/** The same without what was rounded up. */
export const eased = ({ length, unit }: Direction): Direction => ({ unit, length: length * (1 - roundedUp) })

export const scaled = (unit: Float64Array, length: number): Float64Array => unit.map((rps) => rps * length)

/** About the least cost of GPUs that carry a length: the sum of what each model costs at balanced prices. */
export const leastCost = (space: SearchSpace, unit: Float64Array, length: number): number =>
  balancedPrices(space, scaled(unit, length)).costs.reduce((sum, each) => sum + each, 0)

/** About the largest length that GPUs of some cost carry: where the least costs of all models sum to it. */
export const likelyLength = (space: SearchSpace, unit: Float64Array, cost: number): number => {
  const costAt = (length: number): number => leastCost(space, unit, length)
  let high = 1
  for (let i = 0; i < 60 && costAt(high) < cost; i++) high *= 4
  let low = high / 4
  if (high === 1) for (low = high / 4; low > 1e-9 && costAt(low) > cost; low /= 4) high = low
  for (let step = 0; step < 8; step++) {
    const middle = Math.sqrt(low * high)
    if (costAt(middle) < cost) low = middle
    else high = middle
  }
  return low
}
