/**
 * The admission edges of all models, in memory that agent and fronts share: the agent writes, fronts read, so that they refuse by themselves
 * what the agent would refuse.
 *
 * ```
 * page = lines x (f64 earliest arrival that is taken | f64 retryAfterMs of a full queue)
 * ```
 * Each number is one aligned word of 8 bytes, which is written and read as a whole; the two of a line need not be of one moment, as the second
 * is a hint. An edge that is some microseconds old refuses, or offers, what one of now would not: nothing that a slower client would not see.
 */
import type { AdmissionEdge } from "../../scheduler/Dispatcher.js"

const words = 2
/** Models beyond so many have no line: their requests are offered one by one. */
export const pageLines = 4096
export const pageBytes = pageLines * words * 8

export class AdmissionPage {
  private readonly numbers: Float64Array

  constructor(memory: ArrayBufferLike, offset: number) {
    this.numbers = new Float64Array(memory, offset, pageLines * words)
  }

  /** Nothing is refused. */
  clear(): void {
    this.numbers.fill(-Infinity)
  }

  write(line: number, { arrivedMs, retryAfterMs }: AdmissionEdge): void {
    this.numbers[words * line + 1] = retryAfterMs
    this.numbers[words * line] = arrivedMs
  }

  /** See `AdmissionEdge`. */
  arrivedMs(line: number): number {
    return line < pageLines ? this.numbers[words * line]! : -Infinity
  }

  retryAfterMs(line: number): number {
    return this.numbers[words * line + 1]!
  }
}
