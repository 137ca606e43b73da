/**
 * Whether latency-critical requests gather before they run. Batches that give way leave nothing behind which requests would have to wait, so that they
 * run one or two at a time, and small batches cost more of the GPU each. While best-effort work can use the GPU meanwhile, requests are held back for a larger
 * batch instead: one that saves time, by the profile, and only as long as the objective allows.
 *
 * A queue is held until the first of these:
 * - it fills the largest batch that the plan lets its glet form, or a larger one would save hardly anything;
 * - its earliest deadline less what the batch almost surely takes, less what others that wait there take, less a margin;
 * - the bound on delays by best-effort work (`DelayBound`), the least of all models on its glets: whoever misses objectives shares a glet with nobody who waits.
 *
 * The glet that would do most in the time that its other models leave is the one to wait for; others that are free take what is held right after it
 * should have. Without best-effort work, or where that runs to its end, requests never wait for others.
 */
import type { GletLane, ModelLane, Queue, Route, Ticket } from "./graph.js"
import type { Lanes } from "./lanes.js"

/** The part of a request's limit that is kept free before its deadline, and how much at least, ms: timers are late, and glets busy. */
const marginPart = 0.2
const leastMarginMs = 0.5

/** What a larger batch must cost at most an item, as a part of what one costs now. */
const worthwhile = 0.95

/** How much later other glets take what the one that was waited for did not, ms. */
const secondMs = 0.05

/** What is due within so many ms is due: no timer is more exact, nor times since 1970. */
const nowWithinMs = 0.001

/** Whether a glet could begin a batch at once. */
const isFree = ({ ready, running }: GletLane): boolean => ready && running.length === 0

/** The free glet of a model that could do most of it; undefined where none is free. Looked for once at a time. */
const firstOf = (nowMs: number, lane: ModelLane): Route | undefined => {
  if (lane.firstAtMs === nowMs && lane.first !== undefined && isFree(lane.first.glet)) return lane.first
  let first: Route | undefined
  for (const route of lane.routes) {
    if (!isFree(route.glet)) continue
    route.glet.refresh(nowMs)
    if (first === undefined || route.spareItemsPerMs > first.spareItemsPerMs) first = route
  }
  lane.firstAtMs = nowMs
  return lane.first = first
}

/** What models whose requests wait for the same glet take there before one that goes last, ms. */
const othersMs = (nowMs: number, route: Route): number => {
  let ms = 0
  for (const other of route.glet.critical) {
    const { queuedItems } = other.lane
    if (other !== route && queuedItems > 0 && firstOf(nowMs, other.lane) === other) ms += other.safeOverheadMs + other.safeMs(Math.min(queuedItems, other.fullBatch))
  }
  return ms
}

/** When a queue must begin on the glet that is waited for; -Infinity: now. */
const dueMs = (nowMs: number, route: Route, queue: Queue, head: Ticket): number => {
  const { items } = queue
  const { batchLimit, lane } = route
  if (items >= batchLimit || route.typicalMs(batchLimit) * items > worthwhile * route.typicalMs(items) * batchLimit) return -Infinity
  const marginMs = Math.max(leastMarginMs, marginPart * head.sloMs) + lane.marginMs(head.sloMs)
  const keptMs = head.deadlineMs - marginMs - route.safeOverheadMs - route.safeMs(items + 1) - othersMs(nowMs, route)
  return Math.min(keptMs, head.times.arrivedMs + lane.gatheringMs(nowMs))
}

export class Gathering {
  /** Models whose requests are held, and until when. */
  private readonly held = new Map<ModelLane, number>()
  private soonestMs = Infinity

  constructor(private readonly lanes: Pick<Lanes, "revision">, private readonly isOn: boolean) {}

  /** When the first of the requests held is to be asked for again; Infinity: none is. */
  get nextMs(): number {
    return this.soonestMs
  }

  /** Whether this glet, which is free, is to leave the queue alone for now. */
  holds(nowMs: number, { glet, lane }: Route, queue: Queue, head: Ticket): boolean {
    if (!this.isOn || !glet.leavesTime || queue.isMixed || head.alone) return false
    const first = firstOf(nowMs, lane)
    if (first === undefined || !first.glet.leavesTime) return false
    const fromMs = dueMs(nowMs, first, queue, head)
    const untilMs = first.glet === glet ? fromMs : Math.max(nowMs, fromMs) + secondMs
    if (untilMs <= nowMs + nowWithinMs) return false
    this.hold(lane, untilMs)
    return true
  }

  /** A model whose requests are due, which are held no longer; undefined: there is none. */
  takeDue(nowMs: number): ModelLane | undefined {
    if (nowMs + nowWithinMs < this.soonestMs) return undefined
    this.soonestMs = Infinity
    for (const [lane, untilMs] of this.held) {
      if (untilMs <= nowMs + nowWithinMs) {
        this.held.delete(lane)
        this.soonestMs = -Infinity
        return lane
      }
      this.soonestMs = Math.min(this.soonestMs, untilMs)
    }
    return undefined
  }

  /** A batch of the model was taken: what is left of its requests is to be looked at once more. */
  again(nowMs: number, lane: ModelLane): void {
    this.hold(lane, nowMs)
  }

  private hold(lane: ModelLane, untilMs: number): void {
    // Until when depends on which glet was asked last.
    this.lanes.revision += 1
    this.held.set(lane, untilMs)
    this.soonestMs = Math.min(this.soonestMs, untilMs)
  }
}
