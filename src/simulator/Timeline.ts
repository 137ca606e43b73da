/**
 * What happened when, in bounded memory: counts in a fixed number of intervals over the whole run, and the batches of one window.
 *
 * @since 0.1.0
 */

/** Counts are per interval, in the order of `models`; the last one is what came after the last arrival. @since 0.1.0 @category timeline */
export interface Timeline {
  readonly intervalMs: number
  readonly models: ReadonlyArray<string>
  readonly gpus: ReadonlyArray<string>
  /** Requests that arrived, by model and interval. */
  readonly offered: ReadonlyArray<ReadonlyArray<number>>
  /** Of those ended in the interval: answered within the SLO. */
  readonly good: ReadonlyArray<ReadonlyArray<number>>
  /** Answered late, or not. */
  readonly bad: ReadonlyArray<ReadonlyArray<number>>
  /** Part of a whole GPU's time that its glets were busy, by GPU and interval. */
  readonly busy: ReadonlyArray<ReadonlyArray<number>>
  readonly batches: {
    readonly fromMs: number
    readonly toMs: number
    /** In the order of their ends. */
    readonly list: ReadonlyArray<TimelineBatch>
    /** Batches of the window beyond the bound, which are not listed. */
    readonly omitted: number
  }
}

/** @since 0.1.0 @category timeline */
export interface TimelineBatch {
  readonly gpu: number
  readonly glet: string
  readonly sharePct: number
  /** Index among `models`. */
  readonly model: number
  readonly items: number
  readonly startMs: number
  readonly endMs: number
}

const intervals = 240
const mostBatches = 20_000

/** Collects a timeline. */
export class TimelineRecorder {
  readonly intervalMs: number
  private readonly offered: ReadonlyArray<Uint32Array>
  private readonly good: ReadonlyArray<Uint32Array>
  private readonly bad: ReadonlyArray<Uint32Array>
  private readonly busyMs: ReadonlyArray<Float64Array>
  private readonly batches: Array<TimelineBatch> = []
  private omitted = 0

  constructor(
    private readonly models: ReadonlyArray<string>,
    private readonly gpus: ReadonlyArray<string>,
    durationMs: number,
    private readonly window: { readonly fromMs: number; readonly toMs: number }
  ) {
    this.intervalMs = Math.max(1e-3, durationMs / intervals)
    const counts = () => models.map(() => new Uint32Array(intervals + 1))
    this.offered = counts()
    this.good = counts()
    this.bad = counts()
    this.busyMs = gpus.map(() => new Float64Array(intervals + 1))
  }

  arrived(nowMs: number, model: number): void {
    this.offered[model]![this.at(nowMs)]! += 1
  }

  ended(nowMs: number, model: number, isGood: boolean): void {
    const counts = isGood ? this.good : this.bad
    counts[model]![this.at(nowMs)]! += 1
  }

  /** What a GPU was busy in the interval that ends now, in ms of the whole GPU. */
  sampled(nowMs: number, gpu: number, busyMs: number): void {
    this.busyMs[gpu]![this.at(nowMs - this.intervalMs / 2)]! += Math.max(0, busyMs)
  }

  inWindow(startMs: number): boolean {
    return startMs >= this.window.fromMs && startMs < this.window.toMs
  }

  ran(batch: TimelineBatch): void {
    if (this.batches.length < mostBatches) this.batches.push(batch)
    else this.omitted += 1
  }

  result(): Timeline {
    const lists = (counts: ReadonlyArray<Uint32Array>) => counts.map((of) => [...of])
    return {
      intervalMs: this.intervalMs,
      models: this.models,
      gpus: this.gpus,
      offered: lists(this.offered),
      good: lists(this.good),
      bad: lists(this.bad),
      busy: this.busyMs.map((of) => [...of].map((ms) => Math.round((1e4 * ms) / this.intervalMs) / 1e4)),
      batches: { ...this.window, list: this.batches, omitted: this.omitted }
    }
  }

  private at(nowMs: number): number {
    return Math.min(intervals, Math.floor(nowMs / this.intervalMs))
  }
}
