/**
 * Shapes that a session has run without a graph. What grows with them, such as the vector of ones that ONNX Runtime adds biases by, it takes anew where a
 * run needs more of it than any before, and gives up what it had: graphs that were recorded until then read memory that is no more.
 */
export class RunShapes {
  /** Those that none is as large as in every way. */
  private largest: ReadonlyArray<ReadonlyArray<number>> = []
  /** Graphs that were recorded in an earlier one are of no use. */
  generation = 0

  /** Before a run of these items and sizes. */
  note(sizes: ReadonlyArray<number>): void {
    const isWithin = (one: ReadonlyArray<number>, other: ReadonlyArray<number>): boolean => one.every((size, i) => size <= other[i]!)
    if (this.largest.some((known) => isWithin(sizes, known))) return
    // One that is forgotten only makes graphs be recorded once more.
    this.largest = [...this.largest.filter((known) => !isWithin(known, sizes)), sizes].slice(-mostLargest)
    this.generation++
  }
}

const mostLargest = 64
