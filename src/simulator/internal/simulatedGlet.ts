/** A glet in simulated time: a serial server whose service times are drawn from a profile, slowed down by what runs beside it. */
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

/** How an execution runs alone, and what others see of it: one group of one. */
interface Known {
  readonly execution: Execution
  readonly group: ReadonlyArray<Execution>
  readonly distribution: LatencyDistribution
  readonly effect: Effect
}

interface GletPlace {
  readonly id: GletId
  readonly gpu: number
  readonly sharePct: number
  readonly seed: number
}

export type GletState = "opening" | "ready" | "down" | "closing" | "closed"

/** One life of a glet: after a death another one takes its place, in a slot of its own, so that events of the dead are void. */
export class SimulatedGlet {
  slot = -1
  state: GletState = "opening"
  works: ReadonlyArray<GletWork> = []
  readonly loaded = new Set<Model>()
  restarts: RestartState = noRestarts
  /** How long opening and loading take. */
  openMs: number
  /** When it is expected to be ready, while it is not. */
  backAtMs = 0
  /** Batches given, oldest first; the first runs. */
  readonly batches: Array<DispatchedBatch> = []
  /** When each came to the glet. */
  private readonly cameMs: Array<number> = []
  /** When the running batch began and how long it takes; NaN: it fails, its latency is not known. */
  beganMs = 0
  durationMs = 0
  running: Known | undefined
  /** When the last batch ended here. */
  private freeMs = 0
  /** Events that still name its slot. */
  pendingEvents = 0
  busyMs = 0
  private readonly known = new Map<Model, Array<Known | null | undefined>>()

  constructor(readonly place: GletPlace, readonly input: SimulationInput, private readonly random: () => number) {
    this.openMs = input.costs.openMs
  }

  /** Takes a batch at `nowMs`; answers when it ends, where it is the only one. */
  give(nowMs: number, batch: DispatchedBatch, neighbours: ReadonlyArray<SimulatedGlet>): number | undefined {
    this.batches.push(batch)
    this.cameMs.push(nowMs + this.input.costs.overheadMs / 2)
    return this.batches.length === 1 ? this.begin(neighbours) : undefined
  }

  /** The running batch ended. */
  end(): DispatchedBatch {
    this.cameMs.shift()
    this.running = undefined
    if (!Number.isNaN(this.durationMs)) {
      this.freeMs = this.beganMs + this.durationMs
      this.busyMs += this.durationMs
    }
    return this.batches.shift()!
  }

  /** Begins the first batch; answers when the agent hears of its end. It begins where the one before ended, if it waited. */
  begin(neighbours: ReadonlyArray<SimulatedGlet>): number {
    const batch = this.batches[0]!
    this.beganMs = Math.max(this.cameMs[0]!, this.freeMs)
    const known = this.lookUp(batch.model, batch.items)
    this.running = known ?? undefined
    this.durationMs = known === null ? NaN : quantileMs(known.distribution, this.random()) * this.slowdown(known, neighbours)
    const wayBackMs = this.input.costs.overheadMs / 2
    return known === null ? this.beganMs + wayBackMs : this.beganMs + this.durationMs + wayBackMs
  }

  /** Forgets all that was given, as a dead process does; counts the time that the running batch had. */
  die(nowMs: number): void {
    if (this.running !== undefined) this.busyMs += Math.max(0, Math.min(nowMs - this.beganMs, this.durationMs))
    this.batches.length = 0
    this.cameMs.length = 0
    this.running = undefined
    this.state = "closed"
  }

  private slowdown(own: Known, neighbours: ReadonlyArray<SimulatedGlet>): number {
    const { interference, slowdown } = this.input
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

  private lookUp(model: Model, batch: number): Known | null {
    let sizes = this.known.get(model)
    if (sizes === undefined) this.known.set(model, sizes = [])
    const found = sizes[batch]
    if (found !== undefined) return found
    const execution: Execution = { gpuType: this.input.gpus[this.place.gpu]!.type, model: model.name, sharePct: this.place.sharePct, batch }
    const distribution = this.input.distribution(execution)
    return sizes[batch] = distribution === undefined ? null : { execution, group: [execution], distribution, effect: effectOf(this.input, execution) }
  }
}
