/** Where a glet's JavaScript thread goes: ms that batches held it, by what was done for them. For benches; each part costs two readings of the clock. */

/** `inputs` and `outputs` put copies on streams, or gather and scatter on the host; `launch` starts the kernels; `answer` tells of the end. */
export type HeldPart = "inputs" | "launch" | "outputs" | "scatter" | "answer"

export class HeldTime {
  /** All of it, bookkeeping between the parts included. */
  totalMs = 0
  readonly partsMs: Record<HeldPart, number> = { inputs: 0, launch: 0, outputs: 0, scatter: 0, answer: 0 }
  private depth = 0

  /** Counts what `work` takes; what is held already is not counted twice. */
  during(work: () => void): void {
    if (this.depth > 0) return work()
    const startMs = performance.now()
    this.depth++
    try {
      work()
    } finally {
      this.depth--
      this.totalMs += performance.now() - startMs
    }
  }

  /** A part ends that began at `startMs`. Returns now. */
  since(startMs: number, part: HeldPart): number {
    const nowMs = performance.now()
    this.partsMs[part] += nowMs - startMs
    return nowMs
  }
}
