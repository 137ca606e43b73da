/** How far predictions were off, of what they were made without: parts of what was measured, in percent. */
export interface Errors {
  readonly predictions: number
  readonly "median %": number
  readonly "p90 %": number
  readonly "largest %": number
  readonly "within 8 %": number
}

/** Of predicted over measured slow-downs. */
export const errorsOf = (ratios: ReadonlyArray<number>): Errors => {
  const errors = ratios.map((ratio) => Math.abs(ratio - 1)).sort((a, b) => a - b)
  const at = (part: number): number => Number((100 * errors[Math.min(errors.length - 1, Math.floor(part * errors.length))]!).toFixed(2))
  return {
    predictions: errors.length, "median %": at(0.5), "p90 %": at(0.9), "largest %": at(1),
    "within 8 %": Number((errors.filter((error) => error <= 0.08).length / errors.length).toFixed(3))
  }
}
