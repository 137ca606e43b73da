/** Which batch sizes are worth measuring. */

/** 1, 2, 4, … and the largest. */
export const firstBatches = (maxBatch: number): ReadonlyArray<number> => {
  const sizes: Array<number> = []
  for (let size = 1; size < maxBatch; size *= 2) sizes.push(size)
  return [...sizes, maxBatch]
}

/** One measured size. */
interface MeasuredBatch {
  readonly batch: number
  readonly ms: number
}

/**
 * The size whose measurement would tell most: the middle of the wider gap beside the point that lies farthest from the line through its
 * neighbours, relative to its height. Undefined where no point lies farther than `tolerance`, or all gaps there are closed.
 */
export const nextBatch = (ascending: ReadonlyArray<MeasuredBatch>, tolerance: number): number | undefined => {
  let worst = tolerance
  let found: number | undefined
  for (let i = 1; i + 1 < ascending.length; i++) {
    const [below, at, above] = [ascending[i - 1]!, ascending[i]!, ascending[i + 1]!]
    const line = below.ms + ((above.ms - below.ms) * (at.batch - below.batch)) / (above.batch - below.batch)
    const bend = Math.abs(at.ms - line) / at.ms
    const [low, high] = above.batch - at.batch >= at.batch - below.batch ? [at.batch, above.batch] : [below.batch, at.batch]
    if (bend <= worst || high - low < 2) continue
    worst = bend
    found = (low + high) >> 1
  }
  return found
}
