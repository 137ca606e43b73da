/**
 * Which glets are asked for a batch when something happens, and the batches that they then get.
 *
 * Also GPUs on which nothing may start: those that are held, and serial ones on which a batch runs.
 */
import type { GletId, GpuId, ModelName } from "../../core/Ids.js"
import type { InferRequest } from "../../core/Request.js"
import { BatchOf } from "./batch.js"
import type { BatchForming } from "./batchForming.js"
import type { BestEffortTurns } from "./bestEffortTurns.js"
import { mayHoldFollower } from "./following.js"
import type { Gathering } from "./gathering.js"
import type { DispatchedBatch, GletLane, ModelLane, Route, Ticket } from "./graph.js"
import type { Lanes } from "./lanes.js"

const noGlets: ReadonlyArray<GletId> = []

interface PullingParts {
  readonly lanes: Lanes
  readonly forming: BatchForming
  readonly gathering: Gathering
  readonly turns: BestEffortTurns
}

export class Pulling {
  private taken: Array<Ticket> = []
  private readonly serial = new Set<GpuId>()
  private readonly held = new Set<GpuId>()
  private batches = 0

  constructor(private readonly parts: PullingParts) {}

  setSerial(gpu: GpuId, serial: boolean): void {
    this.parts.lanes.revision += 1
    if (serial) this.serial.add(gpu)
    else this.serial.delete(gpu)
  }

  isSerial(gpu: GpuId): boolean {
    return this.serial.size > 0 && this.serial.has(gpu)
  }

  /** The glets of the same GPU, this one last. */
  turnsAfter(id: GletId): ReadonlyArray<GletId> {
    const { lanes } = this.parts
    const glet = lanes.glet(id)
    if (glet === undefined) return noGlets
    const ids = lanes.gletsOf(glet.gpu).map((other) => other.id)
    const next = ids.indexOf(id) + 1
    return [...ids.slice(next), ...ids.slice(0, next)]
  }

  hold(gpu: GpuId, held: boolean): void {
    this.parts.lanes.revision += 1
    if (held) this.held.add(gpu)
    else this.held.delete(gpu)
  }

  isRunningOn(gpu: GpuId): boolean {
    return this.parts.lanes.gletsOf(gpu).some(({ running }) => running.length > 0)
  }

  /** The batch for a glet now, if any; else one behind what runs on another glet of its models. */
  pull(nowMs: number, id: GletId): DispatchedBatch | undefined {
    const glet = this.parts.lanes.glet(id)
    if (glet === undefined) return undefined
    const batch = this.pullFor(nowMs, glet)
    if (batch !== undefined || glet.running.length === 0) return batch
    for (const { lane } of glet.critical) {
      const behind = lane.routes.length < 2 ? undefined : this.pullBehind(nowMs, lane, glet)
      if (behind !== undefined) return behind
    }
    return undefined
  }

  pullModel(nowMs: number, name: ModelName): DispatchedBatch | undefined {
    const lane = this.parts.lanes.model(name)
    return lane === undefined ? undefined : this.pullLane(nowMs, lane) ?? (lane.fill === undefined ? undefined : this.pullLane(nowMs, lane.fill))
  }

  pullGathered(nowMs: number): DispatchedBatch | undefined {
    for (;;) {
      const lane = this.parts.gathering.takeDue(nowMs)
      if (lane === undefined) return undefined
      this.parts.lanes.revision += 1
      const batch = this.pullLane(nowMs, lane)
      if (batch === undefined) continue
      // There may be another one.
      this.parts.gathering.again(nowMs, lane)
      return batch
    }
  }

  private pullLane(nowMs: number, lane: ModelLane): DispatchedBatch | undefined {
    if (lane.queuedRequests === 0) return undefined
    for (const route of lane.routes) {
      if (route.glet.running.length > 0) continue
      const batch = this.pullFor(nowMs, route.glet)
      if (batch !== undefined) return batch
    }
    return this.pullBehind(nowMs, lane)
  }

  /** A batch behind what runs on some glet of the lane, this one left out. */
  private pullBehind(nowMs: number, lane: ModelLane, without?: GletLane): DispatchedBatch | undefined {
    for (const route of lane.routes) {
      if (route.glet === without || route.glet.running.length === 0 || !mayHoldFollower(nowMs, route)) continue
      const batch = this.pullFor(nowMs, route.glet)
      if (batch !== undefined) return batch
    }
    return undefined
  }

  private mustWait({ gpu }: GletLane): boolean {
    if (this.serial.size + this.held.size === 0) return false
    return this.held.has(gpu) || (this.serial.has(gpu) && this.isRunningOn(gpu))
  }

  private pullFor(nowMs: number, glet: GletLane): DispatchedBatch | undefined {
    if (!glet.ready || glet.isFull || this.mustWait(glet)) return undefined
    const { forming, lanes } = this.parts
    const { revision } = lanes
    // Clients of best-effort work ask again as one when their batch ended: one answer is enough for all.
    if (glet.nothingAtMs === nowMs && glet.nothingAsOf === revision) return undefined
    const tickets = this.taken
    const route = forming.next(nowMs, glet, tickets)
    if (route === undefined) {
      glet.nothingAtMs = nowMs
      glet.nothingAsOf = revision
      return undefined
    }
    lanes.revision += 1
    // The batch keeps them.
    this.taken = []
    const entries = new Array<InferRequest>(tickets.length)
    let items = 0
    let deadlineMs = Infinity
    for (let i = 0; i < tickets.length; i++) {
      const { deadlineMs: each, request } = tickets[i]!
      entries[i] = request
      items += request.items
      if (each < deadlineMs) deadlineMs = each
    }
    const batch = new BatchOf<Route, Ticket>(
      ++this.batches, route.lane.served, entries, items, tickets, route, nowMs, route.safeMs(items), route.typicalMs(items), deadlineMs
    )
    for (const ticket of tickets) {
      ticket.batch = batch
      ticket.times.batchClosedMs = nowMs
    }
    route.lane.inFlightRequests += tickets.length
    glet.begin(batch)
    this.parts.turns.begin(nowMs, batch)
    return batch
  }
}
