/**
 * Who computes on a GPU whose best-effort batches give way between two kernels (`GletSpec.givesWay`): the rule of the CUDA runner in pure form, for
 * the simulator and the emulated executor.
 *
 * A glet claims its share while it has batches in flight. A batch that gives way computes while the claims leave its glet's share free. When they no
 * longer do, it computes on to the end of its step, and holds up what begins meanwhile; then it pauses, and goes on where it was when there is room
 * again. Glets that give way claim nothing. So that nothing starves, a batch gets a step for every `waitSteps` of them that it waits without a break.
 */

/** Steps that a batch waits for one of its own. */
export const waitSteps = 100

/** What a batch that gives way needs of its glet. */
interface YieldingGlet {
  readonly sharePct: number
  /** Uniform in [0, 1): how far a step has come when it must end. */
  readonly random: () => number
  /** By which factor what computes beside it slows it down from now on. */
  readonly slowdown: () => number
  /** It computes or not, or `nextMs` moved. */
  readonly onChange: () => void
}

/** The one batch that a glet which gives way has begun. All times in ms. */
export class PausableBatch {
  /** How long it has computed. */
  private computedMs = 0
  /** What is left of it, as it takes alone. */
  private leftMs = 0
  private slowdown = 1
  private state: "none" | "computes" | "paused" | "ended" = "none"
  /** When it began to compute or to wait, or ended. */
  private sinceMs = 0
  /** When it is to stop computing. */
  private stopMs = Infinity

  constructor(private readonly gpu: PreemptibleGpu, private readonly glet: YieldingGlet) {}

  /** Whether it computes without having to stop: others see it. */
  get isSeen(): boolean {
    return this.state === "computes" && this.stopMs === Infinity
  }

  /** When it stops computing because it has to, else -Infinity. */
  get stopsAtMs(): number {
    return this.state === "computes" && this.stopMs < Infinity ? Math.min(this.stopMs, this.endMs) : -Infinity
  }

  /** When it ended; undefined where it has not. */
  get endedMs(): number | undefined {
    return this.state === "ended" ? this.sinceMs : undefined
  }

  /** When something happens next if nothing comes between; Infinity: never. */
  get nextMs(): number {
    if (this.state === "computes") return Math.min(this.endMs, this.stopMs)
    return this.state === "paused" ? this.stepMs : Infinity
  }

  /** Computing time until then. */
  busyMs(nowMs: number): number {
    return this.computedMs + (this.state === "computes" ? Math.max(0, Math.min(nowMs, this.nextMs) - this.sinceMs) : 0)
  }

  /** Begins a batch that takes `workMs` alone. */
  begin(nowMs: number, workMs: number): void {
    this.computedMs = 0
    this.leftMs = workMs
    this.stopMs = Infinity
    const atMs = this.gpu.notBefore(nowMs)
    if (this.gpu.hasRoomFor(this.glet.sharePct)) return this.go(atMs)
    this.state = "paused"
    this.sinceMs = atMs
    this.glet.onChange()
  }

  /** Forgets the batch. */
  clear(): void {
    this.state = "none"
    this.stopMs = Infinity
  }

  /** Lets everything happen that is due by then. */
  advance(nowMs: number): void {
    while (this.nextMs <= nowMs) {
      if (this.state === "paused") {
        this.stopMs = this.stepMs + this.gpu.preemptMs
        this.go(this.stepMs)
        this.gpu.holdUp(this.sinceMs, this.nextMs - this.sinceMs)
      } else if (this.endMs <= this.stopMs) {
        this.stretchEnds(this.endMs, "ended")
      } else {
        this.stretchEnds(this.stopMs, "paused")
      }
    }
  }

  /** What the GPU's glets claim changed. */
  settle(nowMs: number): void {
    if (this.state !== "computes" && this.state !== "paused") return
    const hasRoom = this.gpu.hasRoomFor(this.glet.sharePct)
    if (this.state === "paused") {
      if (hasRoom) this.go(nowMs)
    } else if (hasRoom !== (this.stopMs === Infinity)) {
      this.stopMs = hasRoom ? Infinity : nowMs + this.glet.random() * this.gpu.preemptMs
      this.glet.onChange()
    }
  }

  private get endMs(): number {
    return this.sinceMs + this.leftMs * this.slowdown
  }

  private get stepMs(): number {
    return this.sinceMs + waitSteps * this.gpu.preemptMs
  }

  private go(nowMs: number): void {
    this.slowdown = this.glet.slowdown()
    this.state = "computes"
    this.sinceMs = nowMs
    this.glet.onChange()
  }

  private stretchEnds(atMs: number, state: "ended" | "paused"): void {
    const tookMs = atMs - this.sinceMs
    this.computedMs += tookMs
    this.leftMs = state === "ended" ? 0 : this.leftMs - tookMs / this.slowdown
    this.state = state
    this.sinceMs = atMs
    this.stopMs = Infinity
    this.glet.onChange()
  }
}

/** One GPU: what its glets claim, and the batches that give way to it. A call that comes late, with a time before the last one's, counts from that. */
export class PreemptibleGpu {
  private claimedPct = 0
  private lastMs = -Infinity
  private readonly batches: Array<PausableBatch> = []

  /** @param holdUp - a batch that gives way takes a step although it has no room: what others compute takes so many ms longer. */
  constructor(readonly preemptMs: number, readonly holdUp: (nowMs: number, ms: number) => void) {}

  hasRoomFor(sharePct: number): boolean {
    return this.claimedPct <= 100 - sharePct
  }

  /** A glet that gives way opens; it has at most one batch begun at a time. */
  join(glet: YieldingGlet): PausableBatch {
    const batch = new PausableBatch(this, glet)
    this.batches.push(batch)
    return batch
  }

  leave(batch: PausableBatch): void {
    batch.clear()
    const at = this.batches.indexOf(batch)
    if (at >= 0) this.batches.splice(at, 1)
  }

  /** A glet has batches in flight from now on. */
  claim(nowMs: number, sharePct: number): void {
    this.change(nowMs, sharePct)
  }

  /** It has none any more. */
  release(nowMs: number, sharePct: number): void {
    this.change(nowMs, -sharePct)
  }

  /** By how long a batch that begins now, its glet's share claimed, is held up by those that must stop and have not yet, ms. */
  heldMs(nowMs: number): number {
    let untilMs = nowMs
    for (const batch of this.batches) untilMs = Math.max(untilMs, batch.stopsAtMs)
    return untilMs - nowMs
  }

  /** The time, or the last call's where that was later. */
  notBefore(nowMs: number): number {
    return this.lastMs = Math.max(this.lastMs, nowMs)
  }

  private change(nowMs: number, byPct: number): void {
    const atMs = this.notBefore(nowMs)
    for (const batch of this.batches) batch.advance(atMs)
    this.claimedPct += byPct
    for (const batch of this.batches) batch.settle(atMs)
  }
}
