/**
 * When the page's traffic sends what: independent Poisson processes whose rates may change at any time. A pure state moved by `due`.
 *
 * @since 0.1.0
 */
import { makeRandom } from "../core/internal/random.js"
import { exponential } from "../simulator/ArrivalSchedule.js"

interface Stream {
  rateRps: number
  nextMs: number
}

/** Arrivals that one call answers at most: after a long pause the rest never happened. */
const mostAtOnce = 512

/** @since 0.1.0 @category traffic */
export class Traffic {
  private readonly streams = new Map<string, Stream>()
  private readonly random: () => number

  constructor(seed: number) {
    this.random = makeRandom(seed)
  }

  /** Arrivals of a model per second from now on; 0 stops them. Memoryless, so the next is drawn anew. */
  set(nowMs: number, model: string, rateRps: number): void {
    const old = this.streams.get(model)
    if (old?.rateRps === rateRps) return
    this.streams.set(model, { rateRps, nextMs: this.after(nowMs, rateRps) })
  }

  remove(model: string): void {
    this.streams.delete(model)
  }

  /** Begins again from now, as after a pause. */
  restart(nowMs: number): void {
    for (const stream of this.streams.values()) stream.nextMs = this.after(nowMs, stream.rateRps)
  }

  /** Calls `send` for all arrivals until now, in their order within each model, and answers when the next is due; Infinity: none. */
  due(nowMs: number, send: (model: string, atMs: number) => void): number {
    let next = Infinity
    for (const [model, stream] of this.streams) {
      let sent = 0
      while (stream.nextMs <= nowMs) {
        if (sent++ < mostAtOnce) send(model, stream.nextMs)
        else stream.nextMs = nowMs
        stream.nextMs = this.after(stream.nextMs, stream.rateRps)
      }
      next = Math.min(next, stream.nextMs)
    }
    return next
  }

  private after(ms: number, rateRps: number): number {
    return rateRps > 0 ? ms + (1000 / rateRps) * exponential(this.random) : Infinity
  }
}
