/**
 * Latency histograms for pictures: few bins, equal on a logarithmic axis, over the last seconds only.
 *
 * @since 0.1.0
 */

/** Bins of a histogram. @since 0.1.0 @category histogram */
export const binCount = 48
const lowestMs = 0.2
const highestMs = 20_000
const ratio = Math.log(highestMs / lowestMs)

/** Where a latency stands on the axis, 0 to 1. @since 0.1.0 @category histogram */
export const positionOf = (ms: number): number => Math.min(1, Math.max(0, Math.log(Math.max(ms, lowestMs) / lowestMs) / ratio))

/** The latency at a place of the axis from 0 to 1, ms. @since 0.1.0 @category histogram */
export const latencyAt = (position: number): number => lowestMs * Math.exp(position * ratio)

/** The bin of a latency. @since 0.1.0 @category histogram */
export const binOf = (ms: number): number => Math.min(binCount - 1, Math.floor(positionOf(ms) * binCount))

/**
 * A histogram of the last `slots` spans of time: the oldest is forgotten as a whole.
 * @since 0.1.0
 * @category histogram
 */
export class SlidingBins {
  readonly sum = new Uint32Array(binCount)
  private readonly slots: ReadonlyArray<Uint32Array>
  private current = 0

  constructor(slots: number) {
    this.slots = Array.from({ length: slots }, () => new Uint32Array(binCount))
  }

  add(ms: number): void {
    const bin = binOf(ms)
    this.slots[this.current]![bin]! += 1
    this.sum[bin]! += 1
  }

  /** Begins the next span. */
  turn(): void {
    this.current = (this.current + 1) % this.slots.length
    const oldest = this.slots[this.current]!
    for (let bin = 0; bin < binCount; bin++) this.sum[bin]! -= oldest[bin]!
    oldest.fill(0)
  }
}
