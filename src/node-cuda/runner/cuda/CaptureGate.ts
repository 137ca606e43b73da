/**
 * Keeps first runs and captures of a process apart. What a model does when it runs first (kernels are compiled and loaded, memory is taken) waits for the
 * device as a whole, which the driver refuses while any stream is captured: the run fails ("operation not permitted when stream is capturing"), and
 * what was captured is lost.
 *
 * First runs go on side by side, captures one by one. A capture waits until no first run is under way, which can take as long as cuDNN compiles;
 * a first run, which a request may wait for, waits for no more than the capture that it met.
 */
export class CaptureGate {
  private firstRuns = 0
  private isCapturing = false
  private readonly waitingRuns: Array<() => void> = []
  private readonly waitingCaptures: Array<() => void> = []

  /** Whether a capture would begin at once. */
  get isOpen(): boolean {
    return this.firstRuns === 0 && !this.isCapturing
  }

  async firstRun<A>(run: () => Promise<A>): Promise<A> {
    while (this.isCapturing) await new Promise<void>((resolve) => this.waitingRuns.push(resolve))
    this.firstRuns++
    try {
      return await run()
    } finally {
      this.firstRuns--
      this.next()
    }
  }

  async capture<A>(record: () => Promise<A>): Promise<A> {
    while (!this.isOpen) await new Promise<void>((resolve) => this.waitingCaptures.push(resolve))
    this.isCapturing = true
    try {
      return await record()
    } finally {
      this.isCapturing = false
      for (const run of this.waitingRuns.splice(0)) run()
      this.next()
    }
  }

  /** Where first runs have just been let go on they come first: whoever is woken looks again. */
  private next(): void {
    if (this.isOpen) this.waitingCaptures.shift()?.()
  }
}
