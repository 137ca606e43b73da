/**
 * What the page shows of the traffic: the batches since it last looked, and each model's last ten seconds.
 *
 * @since 0.1.0
 */
import type { SchedulerObserver } from "../scheduler/Scheduler.js"
import { SlidingBins } from "./LatencyBins.js"
import type { Frame, ModelFrame } from "./Messages.js"
import { batchStride } from "./Messages.js"

/** The window is as many spans of this length, in ms. */
const spanMs = 500
const spans = 20
/** Of one look; what is beyond is not drawn. */
const mostBatches = 2000
/** Latencies kept for exact percentiles of a window. */
const mostSamples = 4096

interface Span {
  offered: number
  answered: number
  withinSlo: number
  lost: number
  checked: number
  right: number
}

const emptySpan = (): Span => ({ offered: 0, answered: 0, withinSlo: 0, lost: 0, checked: 0, right: 0 })

class ModelWindow {
  readonly bins = new SlidingBins(spans)
  readonly spans: Array<Span> = [emptySpan()]
  private readonly samples = new Float64Array(mostSamples)
  private readonly sampledMs = new Float64Array(mostSamples)
  private next = 0
  private size = 0

  get span(): Span {
    return this.spans[this.spans.length - 1]!
  }

  add(nowMs: number, ms: number): void {
    this.bins.add(ms)
    this.samples[this.next] = ms
    this.sampledMs[this.next] = nowMs
    this.next = (this.next + 1) % mostSamples
    this.size = Math.min(mostSamples, this.size + 1)
  }

  turn(): void {
    this.bins.turn()
    this.spans.push(emptySpan())
    if (this.spans.length > spans) this.spans.shift()
  }

  frame(name: string, nowMs: number, elapsedMs: number): ModelFrame {
    const total = emptySpan()
    for (const span of this.spans) for (const key of Object.keys(total) as Array<keyof Span>) total[key] += span[key]
    const kept: Array<number> = []
    for (let i = 0; i < this.size; i++) if (nowMs - this.sampledMs[i]! <= spanMs * spans) kept.push(this.samples[i]!)
    kept.sort((a, b) => a - b)
    const at = (q: number): number => (kept.length === 0 ? 0 : kept[Math.max(0, Math.ceil(q * kept.length) - 1)]!)
    return {
      name, histogram: this.bins.sum.slice(), answered: total.answered, withinSlo: total.withinSlo, lost: total.lost,
      offeredRps: (1000 * total.offered) / Math.max(1, elapsedMs), p50Ms: at(0.5), p99Ms: at(0.99), checked: total.checked, right: total.right
    }
  }
}

/** Collects; `frame` answers and begins anew. @since 0.1.0 @category statistics */
export class LiveStatistics {
  private readonly models = new Map<string, ModelWindow>()
  private batches: Array<number> = []
  private glets: Array<string> = []
  private names: Array<string> = []
  private spanStartMs: number
  private startMs: number

  constructor(private readonly nowMs: () => number) {
    this.startMs = this.spanStartMs = nowMs()
  }

  readonly observer: SchedulerObserver = {
    requestEnded: ({ end, model, sloMs, times }) => {
      this.turn()
      const window = this.windowOf(model.name)
      const { span } = window
      span.offered += 1
      if (!end.ok) {
        span.lost += 1
        return
      }
      const latencyMs = times.endedMs - times.arrivedMs
      span.answered += 1
      if (latencyMs <= sloMs) span.withinSlo += 1
      window.add(times.endedMs, latencyMs)
    },
    batchEnded: ({ glet, inferMs, inputMs, items, model, outputMs, ok }) => {
      if (!ok || this.batches.length >= mostBatches * batchStride) return
      const endMs = this.nowMs()
      this.batches.push(indexIn(this.glets, glet), indexIn(this.names, model.name), items, endMs - inputMs - inferMs - outputMs, endMs)
    }
  }

  /** An answer that could be checked. */
  checked(model: string, right: boolean): void {
    const { span } = this.windowOf(model)
    span.checked += 1
    if (right) span.right += 1
  }

  forget(model: string): void {
    this.models.delete(model)
  }

  /** Numbers begin again, as after a pause. */
  reset(): void {
    this.models.clear()
    this.startMs = this.spanStartMs = this.nowMs()
    this.batches = []
  }

  frame(): Frame {
    this.turn()
    const nowMs = this.nowMs()
    const elapsedMs = Math.min(nowMs - this.startMs, spanMs * (spans - 1) + (nowMs - this.spanStartMs))
    // Indices of batches are into this frame's own lists, models first in the order of their windows.
    const order = [...this.models.keys()]
    const place = this.names.map((name) => order.indexOf(name))
    const batches = Float64Array.from(this.batches)
    for (let i = 1; i < batches.length; i += batchStride) batches[i] = place[batches[i]!]!
    const frame: Frame = {
      kind: "frame", nowMs, glets: this.glets, batches,
      models: order.map((name) => this.models.get(name)!.frame(name, nowMs, elapsedMs))
    }
    this.batches = []
    this.glets = []
    this.names = []
    return frame
  }

  private turn(): void {
    const nowMs = this.nowMs()
    // After a long pause nothing of the window is left.
    if (nowMs - this.spanStartMs > 2 * spans * spanMs) this.reset()
    for (; nowMs - this.spanStartMs >= spanMs; this.spanStartMs += spanMs) for (const window of this.models.values()) window.turn()
  }

  private windowOf(model: string): ModelWindow {
    let window = this.models.get(model)
    if (window === undefined) this.models.set(model, window = new ModelWindow())
    return window
  }
}

const indexIn = (list: Array<string>, name: string): number => {
  const at = list.indexOf(name)
  return at >= 0 ? at : list.push(name) - 1
}
