/**
 * What there is: models with their queues, glets, and the routes between them. Models that were replaced or removed stay until their requests ended.
 */
import type { GletId, GpuId, ModelName } from "../../core/Ids.js"
import type { Model } from "../../core/Model.js"
import type { DelayBoundOptions } from "../DelayBound.js"
import type { GletRoutes, ModelRoute } from "../GletRoutes.js"
import type { MeasuredGlet } from "../InterferenceWatch.js"
import { GletLaneOf } from "./gletLane.js"
import type { DispatchedBatch, GletLane, ModelLane, Route, Ticket } from "./graph.js"
import { ModelLaneOf } from "./modelLane.js"
import type { Victim } from "./route.js"
import { RouteOf } from "./route.js"

/**
 * The part of a latency-critical model's SLO that a batch may take to give way without being counted. It is not worth a search: the GPU keeps it, whatever
 * is sent there, and a search that follows the tail would shut best-effort work out for what is none of its doing.
 */
const bearable = 1 / 8

export class Lanes {
  private readonly models = new Map<ModelName, ModelLane>()
  /** Replaced or removed models whose requests still wait or run. */
  private readonly retired = new Set<ModelLane>()
  private readonly glets = new Map<GletId, GletLane>()
  private routes: ReadonlyArray<GletRoutes> = []
  /** Counts what may change what a glet should start: asked again at the same time without a change it would give the same answer. */
  revision = 0

  /** `overheadMs`: first guess of what a batch takes besides its execution. */
  constructor(private readonly overheadMs: number, private readonly delayBound: DelayBoundOptions) {}

  model(name: ModelName): ModelLane | undefined {
    return this.models.get(name)
  }

  glet(id: GletId): GletLane | undefined {
    return this.glets.get(id)
  }

  gletsOf(gpu: GpuId): ReadonlyArray<GletLane> {
    return [...this.glets.values()].filter((glet) => glet.gpu === gpu)
  }

  get safeWayMs(): number {
    const measured = [...this.glets.values()].filter(({ critical }) => critical.length > 0).map(({ safeWayMs }) => safeWayMs)
    const ms = measured.length === 0 ? 2 * this.overheadMs : Math.max(...measured)
    return ms <= 0 ? 0 : 1.25 ** Math.ceil(Math.log(ms) / Math.log(1.25))
  }

  /** Also of a model that was replaced. */
  laneOf(model: Model): ModelLane | undefined {
    const lane = this.models.get(model.name)
    if (lane?.model === model) return lane
    for (const old of this.retired) if (old.model === model) return old
    return undefined
  }

  /** Every lane, those of replaced models last; what `visit` answers is of no concern. */
  each(visit: (lane: ModelLane) => unknown): void {
    for (const lanes of [this.models.values(), this.retired]) {
      for (const lane of lanes) {
        visit(lane)
        if (lane.fill !== undefined) visit(lane.fill)
      }
    }
  }

  /** The lane for requests of a model that are asked for as best-effort work: on the glets that serve the model. */
  fillOf(lane: ModelLane): ModelLane {
    if (lane.fill !== undefined) return lane.fill
    const fill = lane.makeFill()
    this.setRoutes(this.routes)
    return fill
  }

  /** Makes a model known, in place of another of that name. */
  add(model: Model): void {
    const old = this.models.get(model.name)
    if (old?.model === model) return
    if (old !== undefined) this.retire(old)
    this.models.set(model.name, new ModelLaneOf<Route, Ticket>(model, this.delayBound))
  }

  /** Answers the lane of the model that is no more, without routes. */
  remove(name: ModelName): ModelLane | undefined {
    const lane = this.models.get(name)
    if (lane === undefined) return undefined
    this.models.delete(name)
    this.retire(lane)
    lane.routes = []
    if (lane.fill !== undefined) lane.fill.routes = []
    return lane
  }

  /** Sets what every glet runs, in one step; glets left out keep only what runs there. */
  setRoutes(glets: ReadonlyArray<GletRoutes>): void {
    this.routes = glets
    const routesOf = new Map<ModelLane, Array<Route>>()
    const named = new Set<GletId>()
    for (const { gpu, id, models } of glets) {
      named.add(id)
      let glet = this.glets.get(id)
      if (glet === undefined) {
        glet = new GletLaneOf<Route, DispatchedBatch>(id, gpu, this.overheadMs)
        this.glets.set(id, glet)
      }
      const previous = [...glet.critical, ...glet.bestEffort]
      const routes: Array<Route> = []
      for (const spec of models) {
        const lane = this.laneOf(spec.model)
        if (lane === undefined) continue
        const add = (to: ModelLane, as: ModelRoute): void => {
          const route = new RouteOf<ModelLane, GletLane>(as, to, glet, previous.find((old) => old.lane === to))
          routes.push(route)
          const ofLane = routesOf.get(to)
          if (ofLane === undefined) routesOf.set(to, [route])
          else ofLane.push(route)
        }
        add(lane, spec)
        if (lane.fill !== undefined) add(lane.fill, spec.bestEffort ? spec : { ...spec, bestEffort: true, fraction: 1 })
      }
      glet.setRoutes(routes)
    }
    for (const [id, glet] of this.glets) {
      if (named.has(id)) continue
      glet.setRoutes([])
      this.forgetGlet(glet)
    }
    this.relate()
    this.each((lane) => {
      // The fastest first: the glet that an arrival wakes where several are idle.
      lane.routes = (routesOf.get(lane) ?? []).sort((a, b) => a.typicalMs(1) - b.typicalMs(1))
      lane.enoughItems = lane.routes.reduce((most, { batchLimit, spec }) => (spec.bestEffort ? Math.max(most, batchLimit) : Infinity), 0)
    })
  }

  /** What ran on each glet since the last call. */
  takeMeasured(): ReadonlyArray<MeasuredGlet> {
    return [...this.glets.values()].map((glet) => ({
      glet: glet.id,
      works: [...glet.critical, ...glet.bestEffort].map((route) => ({ model: route.lane.model.name, bestEffort: route.spec.bestEffort, ...route.takeTally() }))
    }))
  }

  /** Says who is in whose way on the GPUs, as the plan predicts it. */
  private relate(): void {
    const onGpu = new Map<GpuId, Array<GletLane>>()
    for (const glet of this.glets.values()) {
      if (glet.bestEffort.length === 0) continue
      const there = onGpu.get(glet.gpu)
      if (there === undefined) onGpu.set(glet.gpu, [glet])
      else there.push(glet)
    }
    for (const glet of this.glets.values()) {
      glet.over = (onGpu.get(glet.gpu) ?? []).filter((other) => other !== glet && other.bestEffort.some(({ spec }) => spec.preemptMs !== undefined))
      glet.beside = (onGpu.get(glet.gpu) ?? []).flatMap((other) => (other === glet ? [] : [other.id]))
      for (const route of glet.bestEffort) {
        const { intrudes = [], preemptMs } = route.spec
        const others = intrudes.flatMap(({ besidePerMs, givesWay = false, glet: id, perMs }): ReadonlyArray<Victim<GletLane>> => {
          const victim = this.glets.get(id)
          if (victim === undefined || victim === glet || victim.critical.length === 0) return []
          const yields = preemptMs !== undefined && besidePerMs !== undefined && victim.critical.every(({ lane }) => preemptMs <= bearable * (lane.model.sloMs ?? Infinity))
          const costs = yields ? { perMs: besidePerMs, givesWay: false } : { perMs, givesWay }
          return costs.perMs > 0 ? [{ glet: victim, ...costs }] : []
        })
        route.victims = glet.critical.length > 0 ? [{ glet, perMs: 1, givesWay: false }, ...others] : others
      }
    }
  }

  /** Forgets a glet that the routes left out, once nothing runs there. */
  forgetGlet(glet: GletLane): void {
    if (glet.critical.length + glet.bestEffort.length + glet.running.length === 0) this.glets.delete(glet.id)
  }

  /** Forgets a replaced model once its requests ended. */
  forget(lane: ModelLane): void {
    const whole = lane.base ?? lane
    if (!whole.isBusy) this.retired.delete(whole)
  }

  private retire(lane: ModelLane): void {
    if (lane.isBusy) this.retired.add(lane)
  }
}
