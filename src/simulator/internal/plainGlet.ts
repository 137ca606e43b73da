/**
 * A glet of a GPU on which batches run to their end: one event a batch, at which the agent hears of its end and the next begins, where the one before
 * ended.
 */
import { EventKind } from "./eventQueue.js"
import type { EndedBatch } from "./simulatedGlet.js"
import { SimulatedGlet } from "./simulatedGlet.js"

export class PlainGlet extends SimulatedGlet {
  /** When the running batch began and how long it takes. */
  private beganMs = 0
  private durationMs = 0
  /** When the last batch ended here. */
  private freeMs = 0
  private endedBusyMs = 0

  busyMs(nowMs: number): number {
    return this.endedBusyMs + (this.running === undefined ? 0 : Math.max(0, Math.min(nowMs - this.beganMs, this.durationMs)))
  }

  heard(): EndedBatch {
    const { beganMs, durationMs } = this
    this.cameMs.shift()
    this.running = undefined
    if (!Number.isNaN(durationMs)) {
      this.freeMs = beganMs + durationMs
      this.endedBusyMs += durationMs
    }
    const batch = this.batches.shift()!
    if (this.batches.length > 0) this.begin()
    return { batch, beganMs, durationMs }
  }

  turn(): void {
    // Nothing happens between the beginning of a batch and its end.
  }

  protected given(): void {
    if (this.batches.length === 1) this.begin()
  }

  protected stop(nowMs: number): void {
    this.endedBusyMs = this.busyMs(nowMs)
  }

  private begin(): void {
    this.beganMs = Math.max(this.cameMs[0]!, this.freeMs)
    const known = this.lookUp(this.batches[0]!)
    this.running = known ?? undefined
    this.durationMs = known === null ? NaN : this.draw(known, this.beganMs > this.cameMs[0]!) * this.slowdown(known)
    const wayBackMs = this.input.costs.overheadMs / 2
    this.host.schedule(this, this.beganMs + (known === null ? 0 : this.durationMs) + wayBackMs, EventKind.batchEnd)
  }
}
