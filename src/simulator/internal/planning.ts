/** The control path in simulated time: watches rates, plans, opens the new beside the old, switches, closes. */
import * as Either from "effect/Either"
import type { GletId, ModelName } from "../../core/Ids.js"
import type { Model } from "../../core/Model.js"
import type { Plan } from "../../core/Plan.js"
import { emptyPlan, gletsOf, gpusUsed } from "../../core/Plan.js"
import { watchControl } from "../../scheduler/ControlWatch.js"
import type { Dispatcher } from "../../scheduler/Dispatcher.js"
import { leastKept, makeInterferenceWatch } from "../../scheduler/InterferenceWatch.js"
import { withLearnedOnce } from "../../scheduler/LearnedInterference.js"
import * as LoadWatch from "../../scheduler/LoadWatch.js"
import type { PlanAttempt } from "../../scheduler/PlanAttempts.js"
import { planLeavingTime } from "../../scheduler/PlanAttempts.js"
import type { Leaving, PlanBasis } from "../../scheduler/PlanBasis.js"
import { makePlanBasis } from "../../scheduler/PlanBasis.js"
import type { Rollout } from "../../scheduler/PlanSuccession.js"
import { modelsLost, nextNumber, rollOut, succeedPlan } from "../../scheduler/PlanSuccession.js"
import { routesOfPlan } from "../../scheduler/RoutesOfPlan.js"
import type { SimulationInput } from "../SimulationInput.js"
import type { Incident, PlanEvent } from "../SimulationReport.js"
import type { EventQueue } from "./eventQueue.js"
import { EventKind } from "./eventQueue.js"
import type { Fleet } from "./fleet.js"

/** Entries of each kind that a report keeps. */
const mostKept = 1000

interface Successor {
  readonly plan: Plan
  readonly basis: PlanBasis
  readonly reason: string
}

export class Planning {
  plans: Array<PlanEvent> = []
  incidents: Array<Incident> = []
  changes = 0
  private plan: Plan = emptyPlan
  /** What it was made on. */
  private basis: PlanBasis | undefined
  private load = LoadWatch.makeLoadWatch(0)
  private interference = makeInterferenceWatch(0)
  private readonly latencyOf = withLearnedOnce()
  private next: Successor | undefined
  private rollout: Rollout | undefined
  /** A plan is wanted, in the making, or being carried out. */
  private busy = false
  private nextGletNumber = 0
  private readonly models: ReadonlyMap<ModelName, Model>

  constructor(
    private readonly input: SimulationInput,
    private readonly dispatcher: Dispatcher,
    private readonly fleet: Fleet,
    private readonly events: EventQueue
  ) {
    this.models = new Map(input.models.map((model) => [model.name, model]))
  }

  /** The plan for the expected rates, deployed before the first request. */
  start(): void {
    for (const model of this.input.models) this.load = LoadWatch.expectLoad(this.load, model)
    if (!this.make(0, "expected rates")) return
    this.roll(0, true)
    this.switchOver(0)
  }

  /** Watches arrivals and what executions take, and begins to plan where either calls for it. */
  look(nowMs: number): void {
    const { interference, load, reason } = watchControl({ load: this.load, interference: this.interference }, {
      nowMs, dispatcher: this.dispatcher.view, plan: this.plan, basis: this.basis, options: this.input,
      models: this.input.models.map((model) => ({ model, plannable: true }))
    })
    this.load = load
    this.interference = interference
    if (reason === undefined || this.busy) return
    this.busy = this.make(nowMs, reason)
    if (this.busy) this.events.add(nowMs + this.input.costs.planningMs, EventKind.planned, 0)
    else this.load = LoadWatch.notePlan(this.load, nowMs)
  }

  /** The plan is there: opens and loads what it wants. */
  carryOut(nowMs: number): void {
    const settledMs = this.roll(nowMs, false)
    this.events.add(settledMs, EventKind.switch, 0)
  }

  /** All that is new is open, or has failed once: routes go by the new plan, unless that would lose a model. False: nothing changed. */
  switchOver(nowMs: number): boolean {
    const { basis, plan, reason } = this.next!
    const { changes, close, isIdle, open } = this.rollout!
    this.next = undefined
    this.rollout = undefined
    this.busy = false
    this.load = LoadWatch.notePlan(this.load, nowMs)
    const lost = isIdle ? [] : modelsLost(plan, this.models.keys(), (model) => this.dispatcher.view.isServed(model), (id, model) => this.fleet.isReady(id, model))
    if (lost.length > 0) {
      for (const { id } of open) this.fleet.close(nowMs, id)
      this.note({ atMs: nowMs, kind: "plan-dropped", detail: `no glet of it could be opened for ${lost.join(", ")}` })
      return false
    }
    this.basis = basis
    if (isIdle) {
      this.plan = { ...plan, generation: this.plan.generation }
      return false
    }
    this.plan = plan
    this.dispatcher.setRoutes(routesOfPlan(plan, basis.problem, this.models))
    for (const { glet } of gletsOf(plan)) this.tell(glet.id)
    for (const { reason: why, model } of plan.shortfalls) this.dispatcher.setUnavailable(model, "no-glet", why)
    for (const id of close) this.fleet.close(nowMs, id)
    this.fleet.unloadOthers()
    this.changes += 1
    if (this.plans.length < mostKept) {
      this.plans.push({
        atMs: nowMs, generation: plan.generation, reason, planner: plan.planner, gpus: gpusUsed(plan), glets: gletsOf(plan).length,
        opened: open.length, closed: close.length, steps: changes.length
      })
    }
    return true
  }

  note(incident: Incident): void {
    if (this.incidents.length < mostKept) this.incidents.push(incident)
  }

  /** What the dispatcher is to know of a glet of the new plan. */
  private tell(id: GletId): void {
    const glet = this.fleet.glets.get(id)
    if (glet?.state === "ready") this.dispatcher.gletReady(id, this.input.depth)
    else this.dispatcher.gletUnready(id, glet?.backAtMs ?? Infinity)
  }

  private make(nowMs: number, reason: string): boolean {
    const { gpus, latency: profiled, models, planner, planOptions: options } = this.input
    const attempt = (leaving: Leaving): PlanAttempt => {
      const basis = makePlanBasis({
        models, gpus, options, profiled, learned: this.interference.learned, latencyOf: this.latencyOf, leaving,
        rateOf: (model) => LoadWatch.rateToServe(this.load, model),
        itemsPerRequest: (model) => LoadWatch.watchedItemsPerRequest(this.load, model)
      })
      return { basis, plan: succeedPlan({ planner, problem: basis.problem, current: this.plan, nextGletNumber: this.nextGletNumber }) }
    }
    const search = planLeavingTime(this.dispatcher.view.wayMs, this.plan, leastKept(this.interference, this.input.learning))
    let asked = search.next()
    while (asked.done !== true) asked = search.next(attempt(asked.value))
    const { basis, plan } = asked.value
    if (Either.isLeft(plan)) {
      this.note({ atMs: nowMs, kind: "no-plan", detail: plan.left.detail })
      return false
    }
    this.next = { plan: plan.right, basis, reason }
    return true
  }

  /** Opens and loads; answers when all is done. */
  private roll(nowMs: number, atOnce: boolean): number {
    const { basis, plan } = this.next!
    const rollout = rollOut(this.plan, plan, basis.problem, this.models, this.fleet.glets.keys())
    this.rollout = rollout
    if (rollout.isIdle) return nowMs
    this.nextGletNumber = nextNumber(plan, this.nextGletNumber)
    let settledMs = nowMs
    for (const spec of rollout.open) settledMs = Math.max(settledMs, this.fleet.open(nowMs, spec, atOnce))
    for (const { id, works } of rollout.retarget) settledMs = Math.max(settledMs, this.fleet.retarget(nowMs, id, works))
    return settledMs
  }
}
