/**
 * What a model's sample inputs may be made of. A file does not say which sizes a free dimension may have (a table of positions ends somewhere, images
 * have three channels), nor which integers are indices, sizes or divisors. So several are tried, the likeliest first, until one runs.
 */
import type { SlotLayout } from "../SlotLayout.js"

export interface SampleRecipe {
  /** Of all dimensions that requests choose, but for the batch. */
  readonly size: number
  readonly minInteger: number
  readonly maxInteger: number
}

const sizes = [64, 32, 16, 8, 4, 3, 2, 1, 256, 512]
const integers = [[0, 1], [0, 0], [1, 1]] as const

/** In the order to try them; one where nothing is open. */
export const sampleRecipes = (
  { inputSymbols, signature: { inputs } }: SlotLayout,
  first: { readonly size: number; readonly maxInteger: number }
): readonly [SampleRecipe, ...ReadonlyArray<SampleRecipe>] => {
  const likeliest = { ...first, minInteger: 0 }
  const allSizes = inputSymbols.length === 0 ? [first.size] : [first.size, ...sizes.filter((size) => size !== first.size)]
  const hasIntegers = inputs.some(({ datatype }) => /INT/.test(datatype))
  const others = allSizes.flatMap((size) => [
    { ...likeliest, size },
    ...(hasIntegers ? integers.filter(([least, most]) => least > 0 || most !== first.maxInteger).map(([minInteger, maxInteger]) => ({ size, minInteger, maxInteger })) : [])
  ])
  return [likeliest, ...others.slice(1)]
}
