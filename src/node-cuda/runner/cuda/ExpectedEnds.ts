/** When a glet's batches are expected to end: judged by how long those of the same size took of late. */
import type { BatchJob } from "./BatchJob.js"
import { napMs } from "./CompletionPoll.js"
import type { Manners } from "./preemption.js"

/** So long after its expected end a batch that gives way is taken to have been held up. */
const overdueMs = 1

export class ExpectedEnds {
  private lastEndMs = 0

  constructor(private readonly manners: Manners) {}

  /** Of a batch that is the next to end. */
  of(job: BatchJob, nowMs: number): number {
    const { typicalMs } = job.size
    const expectedMs = Number.isFinite(typicalMs) ? Math.max(job.startedMs, this.lastEndMs) + typicalMs : nowMs
    // What waits for others ends nobody knows when: asking in every turn would take a core that their processes may want.
    const givesWay = job.set !== undefined && job.model.giveWayOf(job.set) !== undefined
    return givesWay && (this.manners.isHeld() || nowMs > expectedMs + overdueMs) ? Math.max(expectedMs, nowMs + napMs) : expectedMs
  }

  /** A batch has ended well. Returns how long it took, in ms, from when the GPU could begin. */
  note({ size, startedMs }: BatchJob, nowMs: number): number {
    const inferMs = nowMs - Math.max(startedMs, this.lastEndMs)
    this.lastEndMs = nowMs
    size.typicalMs = this.typicalAfter(size.typicalMs, inferMs)
    return inferMs
  }

  private typicalAfter(typicalMs: number, inferMs: number): number {
    if (!Number.isFinite(typicalMs)) return inferMs
    // What gave way took as long as others let it: the shortest of late tells how long it takes.
    return this.manners.giveWay === undefined ? typicalMs + (inferMs - typicalMs) / 4 : Math.min(1.05 * typicalMs, inferMs)
  }
}
