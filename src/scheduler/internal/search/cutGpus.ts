/**
 * GPUs cut into glets of given shares, so that hardly any share is left.
 */
import { sumsOf } from "./assemble.js"
import { cutting } from "./cutPrices.js"

/** Rounding: what is this near to a whole number is one. */
const nearlyWhole = 1e-3
/** The largest glet that leads to a full GPU is passed over so often. */
const passedOver = 0.25
/** Ways to cut GPUs for what is left by rounding, of which the one that takes fewest is taken. */
const cuttings = 30

/** Glets by share, GPU after GPU, each filled with the largest that lead to a full one, now and then with others. */
const cutAll = (sharesPct: ReadonlyArray<number>, counts: ReadonlyArray<number>, maxGlets: number, random: () => number): ReadonlyArray<ReadonlyArray<number>> => {
  const left = [...counts]
  const gpus: Array<ReadonlyArray<number>> = []
  while (left.some((count) => count > 0)) {
    const isSum = sumsOf(sharesPct, left)
    const gpu: Array<number> = []
    for (let free = 100; gpu.length < maxGlets;) {
      const fits = (share: number): boolean => left[share]! > 0 && sharesPct[share]! <= free
      let share = sharesPct.findLastIndex((pct, at) => fits(at) && isSum[free - pct] === 1 && random() >= passedOver)
      if (share < 0) share = sharesPct.findLastIndex((pct, at) => fits(at) && isSum[free - pct] === 1)
      if (share < 0) share = sharesPct.findLastIndex((_, at) => fits(at))
      if (share < 0) break
      gpu.push(share)
      left[share]!--
      free -= sharesPct[share]!
    }
    gpus.push(gpu)
  }
  return gpus
}

/** Places of the glets by GPU, for their shares alone: as often as the program over all ways to cut a GPU says, and what is left by rounding is tried out. */
export const cutGpus = (sharesPct: ReadonlyArray<number>, shareOf: ReadonlyArray<number>, maxGlets: number, random: () => number): Array<Array<number>> => {
  const buckets: Array<Array<number>> = sharesPct.map(() => [])
  shareOf.forEach((share, i) => buckets[share]!.push(i))
  const gpus: Array<Array<number>> = []
  const { ways } = cutting(sharesPct, buckets.map((bucket) => bucket.length), maxGlets)
  for (const { glets, times } of ways) {
    for (let n = Math.floor(times + nearlyWhole); n > 0; n--) {
      const gpu: Array<number> = []
      glets.forEach((count, share) => gpu.push(...buckets[share]!.splice(0, count)))
      if (gpu.length > 0) gpus.push(gpu)
    }
  }
  const left = buckets.map((bucket) => bucket.length)
  let rest = cutAll(sharesPct, left, maxGlets, random)
  for (let i = 1; i < cuttings; i++) {
    const other = cutAll(sharesPct, left, maxGlets, random)
    if (other.length < rest.length) rest = other
  }
  for (const shares of rest) gpus.push(shares.map((share) => buckets[share]!.pop()!))
  return gpus
}
