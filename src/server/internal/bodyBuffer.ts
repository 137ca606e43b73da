/** Collects a body of unknown arrival in linear time: the one buffer doubles, and one chunk that is the whole body is not copied at all. */

/** Bytes that all bodies being read take together, and their bound. */
export class BufferBudget {
  usedBytes = 0
  constructor(readonly capacityBytes: number) {}
}

const empty = Buffer.alloc(0)

export class BodyBuffer {
  length = 0
  private bytes: Buffer = empty
  private charged = 0

  /** `expectedBytes`: where the length is known; it is not believed before the bytes come. */
  constructor(readonly budget: BufferBudget, readonly expectedBytes: number | undefined) {}

  /** False where the budget is used up. */
  push(chunk: Buffer): boolean {
    if (this.length === 0 && chunk.length === this.expectedBytes) {
      this.bytes = chunk
      this.length = chunk.length
      return true
    }
    const needed = this.length + chunk.length
    if (needed > this.bytes.length && !this.grow(needed)) return false
    chunk.copy(this.bytes, this.length)
    this.length = needed
    return true
  }

  private grow(needed: number): boolean {
    const doubled = Math.max(needed, this.bytes.length * 2, 65536)
    const size = this.expectedBytes === undefined ? doubled : Math.max(needed, Math.min(doubled, this.expectedBytes))
    if (this.budget.usedBytes - this.charged + size > this.budget.capacityBytes) return false
    this.budget.usedBytes += size - this.charged
    this.charged = size
    const larger = Buffer.allocUnsafeSlow(size)
    this.bytes.copy(larger, 0, 0, this.length)
    this.bytes = larger
    return true
  }

  /** What was collected; valid until `free`. */
  view(): Buffer {
    return this.bytes.length === this.length ? this.bytes : this.bytes.subarray(0, this.length)
  }

  /** Gives the memory back; calling twice does nothing. */
  free(): void {
    this.budget.usedBytes -= this.charged
    this.charged = 0
    this.length = 0
    this.bytes = empty
  }
}
