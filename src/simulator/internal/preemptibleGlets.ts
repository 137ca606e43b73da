/**
 * Glets of a GPU on which batches can give way. There it matters to the others when exactly a batch comes and ends, so that both are events of their
 * own, apart from the one by which the agent hears of the end.
 */
import type { PausableBatch, PreemptibleGpu } from "../../core/internal/preemption.js"
import type { SimulationInput } from "../SimulationInput.js"
import { EventKind } from "./eventQueue.js"
import type { EndedBatch, GletHost, GletPlace, Known } from "./simulatedGlet.js"
import { SimulatedGlet } from "./simulatedGlet.js"

/** A serial server with its queue: the oldest batches of which the agent has not heard, then the one begun, then those that wait or are on their way. */
abstract class TimedGlet extends SimulatedGlet {
  /** When the batch begun did. */
  protected beganMs = 0
  private hasBegun = false
  /** Those that ended, as the agent will hear. */
  private readonly ended: Array<Omit<EndedBatch, "batch">> = []

  constructor(place: GletPlace, input: SimulationInput, host: GletHost, random: () => number, protected readonly gpu: PreemptibleGpu) {
    super(place, input, host, random)
  }

  heard(): EndedBatch {
    this.cameMs.shift()
    return { batch: this.batches.shift()!, ...this.ended.shift()! }
  }

  turn(nowMs: number): void {
    for (;;) {
      if (this.hasBegun) {
        const durationMs = this.ends(nowMs)
        if (durationMs === undefined) return
        this.hasBegun = false
        this.end(nowMs, durationMs)
      }
      const next = this.ended.length
      if (next >= this.batches.length || this.cameMs[next]! > nowMs) return this.idle(nowMs)
      this.beganMs = nowMs
      const known = this.lookUp(this.batches[next]!)
      if (known === null) {
        this.end(nowMs, NaN)
      } else {
        this.hasBegun = true
        this.begins(nowMs, known, nowMs > this.cameMs[next]!)
      }
    }
  }

  protected given(): void {
    this.host.schedule(this, this.cameMs.at(-1)!, EventKind.gletTurn)
  }

  protected stop(nowMs: number): void {
    this.hasBegun = false
    this.ended.length = 0
    this.idle(nowMs)
  }

  /** `isFollowing`: it waited for the one before. */
  protected abstract begins(nowMs: number, known: Known, isFollowing: boolean): void

  /** How long the batch begun took, where it has ended. */
  protected abstract ends(nowMs: number): number | undefined

  /** No batch is there. */
  protected abstract idle(nowMs: number): void

  private end(nowMs: number, durationMs: number): void {
    this.ended.push({ beganMs: this.beganMs, durationMs })
    this.host.schedule(this, nowMs + this.input.costs.overheadMs / 2, EventKind.batchEnd)
  }
}

/** It claims its share while it has batches; those of others give way. */
export class ClaimingGlet extends TimedGlet {
  private claims = false
  private endMs = 0
  /** Time that it has been held up in the batch that runs, of which some may be still to come. */
  private heldMs = 0
  private heldUntilMs = 0
  private endedBusyMs = 0

  busyMs(nowMs: number): number {
    if (this.running === undefined) return this.endedBusyMs
    const untilMs = Math.min(nowMs, this.endMs)
    return this.endedBusyMs + Math.max(0, untilMs - this.beganMs - this.heldMs + Math.max(0, this.heldUntilMs - untilMs))
  }

  /** What it computes takes so much longer. */
  holdUp(nowMs: number, ms: number): void {
    if (this.running === undefined) return
    this.heldMs += ms
    this.heldUntilMs = Math.max(nowMs, this.heldUntilMs) + ms
    this.endMs += ms
    this.host.schedule(this, this.endMs, EventKind.gletTurn)
  }

  protected begins(nowMs: number, known: Known, isFollowing: boolean): void {
    if (!this.claims) {
      this.claims = true
      this.gpu.claim(nowMs, this.place.sharePct)
    }
    this.heldMs = this.gpu.heldMs(nowMs)
    this.heldUntilMs = nowMs + this.heldMs
    this.running = known
    this.endMs = this.heldUntilMs + this.draw(known, isFollowing) * this.slowdown(known)
    this.host.schedule(this, this.endMs, EventKind.gletTurn)
  }

  protected ends(nowMs: number): number | undefined {
    if (nowMs < this.endMs) return undefined
    this.computedUntil(nowMs)
    return this.endMs - this.beganMs
  }

  protected idle(nowMs: number): void {
    this.computedUntil(nowMs)
    if (!this.claims) return
    this.claims = false
    this.gpu.release(nowMs, this.place.sharePct)
  }

  private computedUntil(nowMs: number): void {
    this.endedBusyMs = this.busyMs(nowMs)
    this.running = undefined
  }
}

/** Its batches give way. */
export class YieldingGlet extends TimedGlet {
  private begun: Known | undefined
  private readonly batch: PausableBatch
  private endedBusyMs = 0

  constructor(place: GletPlace, input: SimulationInput, host: GletHost, random: () => number, gpu: PreemptibleGpu) {
    super(place, input, host, random, gpu)
    this.batch = gpu.join({
      sharePct: place.sharePct, random,
      slowdown: () => this.slowdown(this.begun!),
      onChange: () => this.changed()
    })
  }

  busyMs(nowMs: number): number {
    return this.endedBusyMs + (this.begun === undefined ? 0 : this.batch.busyMs(nowMs))
  }

  protected begins(nowMs: number, known: Known, isFollowing: boolean): void {
    this.begun = known
    this.batch.begin(nowMs, this.draw(known, isFollowing))
  }

  protected ends(nowMs: number): number | undefined {
    this.batch.advance(nowMs)
    const { endedMs } = this.batch
    if (endedMs === undefined) return undefined
    this.idle(nowMs)
    return endedMs - this.beganMs
  }

  protected idle(nowMs: number): void {
    this.endedBusyMs = this.busyMs(nowMs)
    this.begun = undefined
    this.running = undefined
    this.batch.clear()
  }

  override leave(): void {
    this.gpu.leave(this.batch)
  }

  private changed(): void {
    this.running = this.batch.isSeen ? this.begun : undefined
    const { nextMs } = this.batch
    if (nextMs < Infinity) this.host.schedule(this, nextMs, EventKind.gletTurn)
  }
}
