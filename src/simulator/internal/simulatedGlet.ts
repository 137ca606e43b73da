/**
 * A glet in simulated time: a serial server whose service times are drawn from a profile, slowed down by what runs beside it. Here what all have in
 * common: their life, and what an execution takes.
 */
import type { GletId } from "../../core/Ids.js"
import type { Execution } from "../../core/LatencyModel.js"
import type { Model } from "../../core/Model.js"
import type { DispatchedBatch } from "../../scheduler/DispatchedBatch.js"
import type { Effect } from "../../scheduler/internal/slowdowns.js"
import { effectOf, excessOf } from "../../scheduler/internal/slowdowns.js"
import type { LatencyDistribution } from "../../scheduler/LatencyDistribution.js"
import { quantileMs } from "../../scheduler/LatencyDistribution.js"
import type { GletWork } from "../../scheduler/PlanSuccession.js"
import type { RestartState } from "../../scheduler/RestartPolicy.js"
import { noRestarts } from "../../scheduler/RestartPolicy.js"
import type { SimulationInput } from "../SimulationInput.js"
import type { EventKind } from "./eventQueue.js"

/** How an execution runs alone, and what others see of it: one group of one. */
export interface Known {
  readonly execution: Execution
  readonly group: ReadonlyArray<Execution>
  readonly distribution: LatencyDistribution
  /** What it takes longer where it does not follow another. */
  readonly overlapMs: number
  readonly effect: Effect
}

export interface GletPlace {
  readonly id: GletId
  readonly gpu: number
  readonly sharePct: number
  readonly seed: number
  /** Its batches give way, where they can on this GPU. */
  readonly givesWay: boolean
}

/** What a glet has of the world. */
export interface GletHost {
  /** All glets of its GPU, itself among them. */
  readonly neighboursOf: (glet: SimulatedGlet) => ReadonlyArray<SimulatedGlet>
  readonly schedule: (glet: SimulatedGlet, atMs: number, kind: EventKind) => void
}

/** A batch that ended, and when it ran; a duration of NaN: it failed, its latency is not known. */
export interface EndedBatch {
  readonly batch: DispatchedBatch
  readonly beganMs: number
  readonly durationMs: number
}

export type GletState = "opening" | "ready" | "down" | "closing" | "closed"

/** One life of a glet: after a death another one takes its place, in a slot of its own, so that events of the dead are void. */
export abstract class SimulatedGlet {
  slot = -1
  state: GletState = "opening"
  works: ReadonlyArray<GletWork> = []
  readonly loaded = new Set<Model>()
  restarts: RestartState = noRestarts
  /** How long opening and loading take. */
  openMs: number
  /** When it is expected to be ready, while it is not. */
  backAtMs = 0
  /** Batches given of which the agent has not heard, oldest first. */
  readonly batches: Array<DispatchedBatch> = []
  /** When each came to the glet. */
  protected readonly cameMs: Array<number> = []
  /** What others see of it: what it computes. */
  running: Known | undefined
  /** Events that still name its slot. */
  pendingEvents = 0
  private readonly known = new Map<Model, Array<Known | null | undefined>>()

  constructor(readonly place: GletPlace, readonly input: SimulationInput, protected readonly host: GletHost, protected readonly random: () => number) {
    this.openMs = input.costs.openMs
  }

  /** How long it has computed until then, ms. */
  abstract busyMs(nowMs: number): number

  /** Takes a batch. */
  give(nowMs: number, batch: DispatchedBatch): void {
    this.batches.push(batch)
    this.cameMs.push(nowMs + this.input.costs.overheadMs / 2)
    this.given(nowMs)
  }

  /** The agent hears that the oldest batch ended. */
  abstract heard(): EndedBatch

  /** An event of its own is due: something may happen in it. */
  abstract turn(nowMs: number): void

  /** Forgets all that was given, as a dead process does; what it computed counts. */
  die(nowMs: number): void {
    this.stop(nowMs)
    this.batches.length = 0
    this.cameMs.length = 0
    this.running = undefined
    this.state = "closed"
  }

  /** It is gone from its GPU. */
  leave(): void {}

  protected abstract given(nowMs: number): void

  protected abstract stop(nowMs: number): void

  /** How long a batch takes without neighbours, drawn; `isFollowing`: it waited for the one before. */
  protected draw({ distribution, overlapMs }: Known, isFollowing: boolean): number {
    return quantileMs(distribution, this.random()) + (isFollowing ? 0 : overlapMs)
  }

  /** By which factor what computes beside it slows it down now. */
  protected slowdown(own: Known): number {
    const { interference, slowdown } = this.input
    const neighbours = this.host.neighboursOf(this)
    if (interference === undefined) {
      const groups: Array<ReadonlyArray<Execution>> = []
      for (const other of neighbours) if (other !== this && other.running !== undefined) groups.push(other.running.group)
      return groups.length === 0 ? 1 : slowdown(own.execution, groups)
    }
    const isSum = interference.combine === "sum"
    let excess = 0
    for (const other of neighbours) {
      if (other === this || other.running === undefined) continue
      const each = excessOf(own.effect, other.running.effect)
      excess = isSum ? excess + each : Math.max(excess, each)
    }
    return 1 + excess
  }

  protected lookUp({ items: batch, model }: DispatchedBatch): Known | null {
    let sizes = this.known.get(model)
    if (sizes === undefined) this.known.set(model, sizes = [])
    const found = sizes[batch]
    if (found !== undefined) return found
    const execution: Execution = { gpuType: this.input.gpus[this.place.gpu]!.type, model: model.name, sharePct: this.place.sharePct, batch }
    const distribution = this.input.distribution(execution)
    const overlapMs = this.input.latency.overlapMs?.(execution.gpuType, model.name, batch) ?? 0
    return sizes[batch] = distribution === undefined ? null : { execution, group: [execution], distribution, overlapMs, effect: effectOf(this.input, execution) }
  }
}
