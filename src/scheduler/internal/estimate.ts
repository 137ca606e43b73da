/**
 * A running estimate of a noisy quantity: its mean and, from the mean deviation, an upper value that few observations exceed
 * (V. Jacobson's estimator of round-trip times).
 */
export class Estimate {
  private samples = 0
  private deviation: number
  private readonly priorMean: number
  private readonly priorDeviation: number

  /** `mean` and `upper` hold until measurements say otherwise. */
  constructor(private mean: number, upper: number, private readonly minimum: number, private readonly maximum: number) {
    this.deviation = Math.max(0, upper - mean) / upperDeviations
    this.priorMean = mean
    this.priorDeviation = this.deviation
  }

  get meanValue(): number {
    return this.mean
  }

  get upperValue(): number {
    return Math.min(this.maximum, this.mean + upperDeviations * this.deviation)
  }

  /** Moves a step back to the first guess. */
  doubt(): void {
    this.mean += slowestWeight * (this.priorMean - this.mean)
    this.deviation += slowestWeight * (this.priorDeviation - this.deviation)
  }

  observe(value: number): void {
    // One stall of the machine must not count for more than a few ordinary observations.
    const bounded = Math.min(Math.max(value, this.minimum), this.maximum, this.mean + 4 * (upperDeviations * this.deviation + 0.25 * this.mean))
    this.samples += 1
    const weight = Math.max(1 / (this.samples + priorSamples), slowestWeight)
    const error = bounded - this.mean
    this.mean += weight * error
    this.deviation += weight * (Math.abs(error) - this.deviation)
  }
}

// Three mean absolute deviations are 2.4 standard deviations of a normal distribution: its 99th percentile.
const upperDeviations = 3
const priorSamples = 4
const slowestWeight = 1 / 16
