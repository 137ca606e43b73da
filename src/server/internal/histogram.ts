/** A histogram with fixed bounds, on typed arrays: an observation is a search and two additions. */
export class Histogram {
  readonly bounds: Float64Array
  /** One per bound, and the last for what is above all. Not cumulative. */
  readonly counts: Float64Array
  sum = 0
  count = 0

  constructor(bounds: Iterable<number>) {
    this.bounds = Float64Array.from(new Set(bounds)).sort()
    this.counts = new Float64Array(this.bounds.length + 1)
  }

  observe(value: number): void {
    const { bounds } = this
    let low = 0
    let high = bounds.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (value <= bounds[middle]!) high = middle
      else low = middle + 1
    }
    this.counts[low]!++
    this.sum += value
    this.count++
  }
}

const ladderMs = [0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000]

/** Bounds in seconds: around the SLO, where it matters, and a 1-2-5 ladder for the rest. */
export const latencyBounds = (sloMs: number | undefined): ReadonlyArray<number> =>
  [...ladderMs, ...(sloMs === undefined ? [] : [0.25, 0.5, 0.75, 1, 1.5, 2, 4].map((factor) => factor * sloMs))].map((ms) => ms / 1000)

/** Powers of two up to the largest batch. */
export const batchBounds = (maxBatch: number): ReadonlyArray<number> => {
  const bounds: Array<number> = []
  for (let size = 1; size < maxBatch; size *= 2) bounds.push(size)
  return [...bounds, maxBatch]
}
