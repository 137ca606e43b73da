/**
 * The glets of a simulated host: opened, loaded, killed, opened again, closed, each in the time it takes. What to do was decided elsewhere
 * (PlanSuccession, RestartPolicy); here it happens.
 */
import type { GletId, ModelName } from "../../core/Ids.js"
import { PreemptibleGpu } from "../../core/internal/preemption.js"
import { makeRandom } from "../../core/internal/random.js"
import type { Dispatcher } from "../../scheduler/Dispatcher.js"
import type { GletToOpen, GletWork } from "../../scheduler/PlanSuccession.js"
import { numberAfter } from "../../scheduler/PlanSuccession.js"
import { backAfterExitMs, recordExit } from "../../scheduler/RestartPolicy.js"
import type { Failure, SimulationInput } from "../SimulationInput.js"
import type { EventQueue } from "./eventQueue.js"
import { EventKind } from "./eventQueue.js"
import { PlainGlet } from "./plainGlet.js"
import { ClaimingGlet, YieldingGlet } from "./preemptibleGlets.js"
import type { GletHost, GletPlace, SimulatedGlet } from "./simulatedGlet.js"

const hash = (text: string): number => {
  let h = 0x811c9dc5
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193)
  return h
}

export class Fleet implements GletHost {
  /** By id: the life that counts. */
  readonly glets = new Map<GletId, SimulatedGlet>()
  /** By slot, which events name; closed lives stay until their events have come. */
  private readonly slots: Array<SimulatedGlet | undefined> = []
  private readonly freeSlots: Array<number> = []
  /** By GPU: its open glets. */
  private readonly onGpu: ReadonlyArray<Array<SimulatedGlet>>
  /** By GPU, where batches can give way: who does. */
  private readonly preemptible: ReadonlyArray<PreemptibleGpu | undefined>
  private readonly gpuBackMs: Float64Array
  private readonly gpuIndex: ReadonlyMap<string, number>
  /** Busy time of lives that ended, weighted by share, in ms of a whole GPU. */
  private endedBusyMs = 0
  private gpuMs = 0
  private countedAtMs = 0
  private deaths = 0

  constructor(private readonly input: SimulationInput, private readonly dispatcher: Dispatcher, private readonly events: EventQueue) {
    this.onGpu = input.gpus.map(() => [])
    this.preemptible = input.gpus.map(({ preemptMs }, gpu) =>
      preemptMs === undefined ? undefined : new PreemptibleGpu(preemptMs, (nowMs, ms) => this.holdUp(nowMs, gpu, ms)))
    this.gpuBackMs = new Float64Array(input.gpus.length)
    this.gpuIndex = new Map(input.gpus.map((gpu, index) => [gpu.id, index]))
  }

  neighboursOf(glet: SimulatedGlet): ReadonlyArray<SimulatedGlet> {
    return this.onGpu[glet.place.gpu]!
  }

  /** Schedules an event of a glet. */
  schedule(glet: SimulatedGlet, atMs: number, kind: EventKind): void {
    glet.pendingEvents += 1
    this.events.add(atMs, kind, glet.slot)
  }

  /** An event of the slot came; answers the glet it is for, if that still lives. */
  eventOf(slot: number): SimulatedGlet | undefined {
    const glet = this.slots[slot]!
    glet.pendingEvents -= 1
    if (glet.state !== "closed") return glet
    this.free(glet)
    return undefined
  }

  /** Opens a glet; at once where it is part of what the simulation begins with. Answers when it is open, or has failed to. */
  open(nowMs: number, spec: GletToOpen, atOnce: boolean): number {
    this.countGpus(nowMs)
    const { givesWay, id, sharePct } = spec
    const glet = this.born({ id, gpu: this.gpuIndex.get(spec.gpu)!, sharePct, seed: numberAfter(id), givesWay })
    glet.works = spec.works
    this.glets.set(spec.id, glet)
    this.onGpu[glet.place.gpu]!.push(glet)
    if (atOnce) {
      for (const { model } of spec.works) glet.loaded.add(model)
      glet.state = "ready"
      return nowMs
    }
    this.start(nowMs, glet)
    return glet.backAtMs
  }

  /** Sets what a glet shall have loaded; answers when it has. Models left out stay loaded until `unloadOthers`. */
  retarget(nowMs: number, id: GletId, works: ReadonlyArray<GletWork>): number {
    const glet = this.glets.get(id)!
    const missing = works.filter(({ model }) => !glet.loaded.has(model))
    glet.works = works
    if (glet.state !== "ready") return nowMs
    for (const { model } of missing) glet.loaded.add(model)
    return nowMs + this.loadingMs(glet, missing)
  }

  unloadOthers(): void {
    for (const glet of this.glets.values()) {
      const wanted = new Set(glet.works.map(({ model }) => model))
      for (const model of glet.loaded) if (!wanted.has(model)) glet.loaded.delete(model)
    }
  }

  /** A glet that was opening is there; false where its GPU is not. */
  opened(nowMs: number, glet: SimulatedGlet): boolean {
    if (nowMs < this.gpuBackMs[glet.place.gpu]!) {
      this.die(nowMs, glet)
      return false
    }
    for (const { model } of glet.works) glet.loaded.add(model)
    glet.state = "ready"
    return true
  }

  /** A glet whose restart is due begins to open. */
  reopen(nowMs: number, glet: SimulatedGlet): void {
    glet.state = "opening"
    this.start(nowMs, glet)
  }

  /** Lets a glet end what it has, and take no more. */
  close(nowMs: number, id: GletId): void {
    const glet = this.glets.get(id)
    if (glet === undefined) return
    this.glets.delete(id)
    glet.state = "closing"
    this.dispatcher.gletUnready(id, Infinity)
    if (glet.batches.length === 0) this.closed(nowMs, glet)
  }

  /** A closing glet ended its last batch. */
  closed(nowMs: number, glet: SimulatedGlet): void {
    glet.state = "closed"
    this.leave(nowMs, glet)
  }

  /** Kills what a failure names; answers the ids. */
  fail(nowMs: number, failure: Failure): ReadonlyArray<GletId> {
    const there = [...this.onGpu[failure.gpu]!]
    this.gpuBackMs[failure.gpu] = Math.max(this.gpuBackMs[failure.gpu]!, nowMs + failure.forMs)
    const dying = failure.glet === undefined ? there : there.slice(failure.glet, failure.glet + 1)
    for (const glet of dying) this.die(nowMs, glet)
    return dying.map((glet) => glet.place.id)
  }

  isReady(id: GletId, model: ModelName): boolean {
    const glet = this.glets.get(id)
    return glet?.state === "ready" && [...glet.loaded].some((loaded) => loaded.name === model)
  }

  /** Time of GPUs that had a glet, in ms. */
  usedGpuMs(nowMs: number): number {
    this.countGpus(nowMs)
    return this.gpuMs
  }

  /** Time of GPUs by the shares that ran something, in ms of whole GPUs; what runs counts as far as it has run. */
  busyGpuMs(nowMs: number): number {
    let busyMs = this.endedBusyMs
    for (const glets of this.onGpu) for (const glet of glets) busyMs += busyOf(nowMs, glet)
    return busyMs
  }

  /** The same of one GPU's open glets. */
  busyOnGpuMs(nowMs: number, gpu: number): number {
    let busyMs = 0
    for (const glet of this.onGpu[gpu]!) busyMs += busyOf(nowMs, glet)
    return busyMs
  }

  private born(place: GletPlace): SimulatedGlet {
    const { givesWay, gpu, id } = place
    // The first life of a glet draws what an emulated glet of that id and seed draws.
    const random = makeRandom(this.input.seed ^ hash(this.deaths === 0 ? id : `${id} ${this.deaths}`))
    const preemptible = this.preemptible[gpu]
    const glet = preemptible === undefined
      ? new PlainGlet(place, this.input, this, random)
      : new (givesWay ? YieldingGlet : ClaimingGlet)(place, this.input, this, random, preemptible)
    glet.slot = this.freeSlots.pop() ?? this.slots.length
    this.slots[glet.slot] = glet
    return glet
  }

  private holdUp(nowMs: number, gpu: number, ms: number): void {
    for (const glet of this.onGpu[gpu]!) if (glet instanceof ClaimingGlet) glet.holdUp(nowMs, ms)
  }

  private start(nowMs: number, glet: SimulatedGlet): void {
    glet.openMs = this.input.costs.openMs + this.loadingMs(glet, glet.works)
    glet.backAtMs = nowMs + glet.openMs
    this.schedule(glet, glet.backAtMs, EventKind.gletReady)
  }

  /** Loading and running each warm-up batch once. */
  private loadingMs(glet: SimulatedGlet, works: ReadonlyArray<GletWork>): number {
    const { gpu, sharePct } = glet.place
    let ms = 0
    for (const { model, warm } of works) {
      ms += this.input.costs.loadMs(model.name)
      for (const batch of warm) {
        const typicalMs = this.input.latency.typicalMs({ gpuType: this.input.gpus[gpu]!.type, model: model.name, sharePct, batch })
        if (Number.isFinite(typicalMs)) ms += typicalMs
      }
    }
    return ms
  }

  /** What ran there is queued again by the dispatcher; another life begins when the restart policy says so. */
  private die(nowMs: number, glet: SimulatedGlet): void {
    const { gpu, id, seed } = glet.place
    const isClosing = glet.state === "closing"
    glet.die(nowMs)
    this.deaths += 1
    this.leave(nowMs, glet)
    if (isClosing) {
      this.dispatcher.gletLost(nowMs, id, Infinity)
      return
    }
    const next = this.born(glet.place)
    next.works = glet.works
    next.openMs = glet.openMs
    next.restarts = recordExit(glet.restarts, nowMs, seed, this.input.restart)
    next.state = "down"
    this.glets.set(id, next)
    this.onGpu[gpu]!.push(next)
    next.backAtMs = backAfterExitMs(next.restarts, nowMs, next.openMs)
    this.dispatcher.gletLost(nowMs, id, next.backAtMs)
    this.schedule(next, nowMs + next.restarts.delayMs, EventKind.gletReopen)
  }

  private leave(nowMs: number, glet: SimulatedGlet): void {
    this.countGpus(nowMs)
    const there = this.onGpu[glet.place.gpu]!
    there.splice(there.indexOf(glet), 1)
    this.endedBusyMs += busyOf(nowMs, glet)
    glet.leave()
    this.free(glet)
  }

  private free(glet: SimulatedGlet): void {
    if (glet.pendingEvents > 0 || this.slots[glet.slot] !== glet) return
    this.slots[glet.slot] = undefined
    this.freeSlots.push(glet.slot)
  }

  private countGpus(nowMs: number): void {
    const used = this.onGpu.filter((glets) => glets.length > 0).length
    this.gpuMs += used * (nowMs - this.countedAtMs)
    this.countedAtMs = nowMs
  }
}

const busyOf = (nowMs: number, glet: SimulatedGlet): number => (glet.busyMs(nowMs) * glet.place.sharePct) / 100
