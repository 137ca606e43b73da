/** The status of the scheduler, assembled when it is asked for. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { Model } from "../../core/Model.js"
import type { PlannedGlet } from "../../core/Plan.js"
import { gletsOf } from "../../core/Plan.js"
import type { DispatcherView, LaneState } from "../DispatcherView.js"
import type { DropReason } from "../../core/RequestError.js"
import type { AssignmentStatus, GletStatus, LatencySummary, ModelStatus, SchedulerStatus } from "../SchedulerStatus.js"
import type { Deployment } from "./deployment.js"
import type { SupervisedGlet } from "./gletSupervisor.js"
import { windowMs } from "./latencyHistogram.js"
import type { ExecutionTimes, RequestPath } from "./requestPath.js"

interface StatusSources {
  readonly executor: string
  readonly deployment: Deployment
  readonly dispatcher: DispatcherView
  readonly path: RequestPath
  readonly nowMs: () => number
  readonly draining: () => boolean
  readonly rateOf: (model: Model["name"]) => number
  readonly itemsPerRequest: (model: Model["name"]) => number
}

const nothing: LatencySummary = { count: 0, p50Ms: 0, p90Ms: 0, p99Ms: 0 }

/** A glet that does not answer must not keep the status from being told. */
const statsTimeoutMs = 250

const assignments = (
  planned: PlannedGlet, executions: ReadonlyMap<string, ExecutionTimes> | undefined, nowMs: number
): Array<AssignmentStatus> => {
  const status = (work: { readonly model: Model["name"]; readonly batch: number }, plannedMs: number): AssignmentStatus => {
    const times = executions?.get(work.model)
    const measured = times?.measured.summary(nowMs) ?? nothing
    const ran = times !== undefined && measured.count > 0
    return {
      model: work.model, batch: work.batch, predictedMs: ran ? times.expected.histogram.summary(nowMs).p99Ms : plannedMs, measured,
      meanBatch: ran ? times.measured.weight(nowMs) / measured.count : 0
    }
  }
  return [
    ...planned.assignments.map((work) => status(work, work.latencyMs)),
    ...planned.bestEffort.map((work) => status(work, work.blockingMs))
  ]
}

const gletStatus = (sources: StatusSources, glet: SupervisedGlet, planned: PlannedGlet | undefined): Effect.Effect<GletStatus> =>
  Effect.gen(function*() {
    const stats = glet.handle === undefined ? Option.none() : yield* Effect.timeoutOption(glet.handle.stats, statsTimeoutMs)
    const nowMs = sources.nowMs()
    const executions = sources.path.executions.get(glet.spec.id)
    let busyMs = 0
    for (const { measured } of executions?.values() ?? []) busyMs += measured.sumMs(nowMs)
    const { pid, units } = Option.getOrElse(stats, (): { readonly pid?: number; readonly units?: number } => ({}))
    return {
      id: glet.spec.id, gpu: glet.spec.gpu.id, sharePct: glet.spec.sharePct,
      state: planned === undefined && glet.state === "ready" ? "draining" : glet.state,
      detail: glet.detail, restarts: glet.restarts,
      ...(pid === undefined ? {} : { pid }),
      ...(units === undefined ? {} : { units }),
      busyRatio: Math.min(1, busyMs / Math.min(windowMs, Math.max(1, nowMs - glet.openedAtMs))),
      assignments: planned === undefined ? [] : assignments(planned, executions, nowMs)
    }
  })

const droppedOf = ({ dropped }: LaneState): ModelStatus["dropped"] =>
  (Object.entries(dropped) as Array<[DropReason, number]>).map(([reason, count]) => ({ reason, count }))

const modelStatus = (sources: StatusSources, model: Model): ModelStatus => {
  const { deployment, dispatcher, itemsPerRequest, nowMs, path, rateOf } = sources
  const together = itemsPerRequest(model.name)
  const readiness = deployment.readiness(model.name) ?? { state: "waiting" }
  const counters = dispatcher.countersOf(model.name)
  const fill = dispatcher.fillCountersOf(model.name)
  const bound = model.sloMs === undefined ? undefined : dispatcher.delayFractionOf(nowMs(), model.name)
  let plannedRps = 0
  for (const { glet } of gletsOf(deployment.plan)) {
    for (const work of glet.assignments) if (work.model === model.name) plannedRps += work.capacityRps
  }
  return {
    model: model.name, version: model.version, serviceClass: model.serviceClass,
    ...(model.sloMs === undefined ? {} : { sloMs: model.sloMs }),
    state: readiness.state,
    detail: readiness.state === "failed" ? readiness.reason : deployment.registrations.registry.get(model.name)?.note ?? "",
    rateRps: rateOf(model.name), plannedRps,
    ...(together > 1 ? { itemsPerRequest: together } : {}),
    ...(bound === undefined ? {} : { delayBoundMs: bound * model.sloMs! }),
    queued: counters?.queued ?? 0, inFlight: counters?.inFlight ?? 0, answered: counters?.answered ?? 0,
    withinSlo: counters?.withinSlo ?? 0, failed: counters?.failed ?? 0, canceled: counters?.canceled ?? 0,
    dropped: counters === undefined ? [] : droppedOf(counters),
    latency: path.answers.get(model.name)?.summary(nowMs()) ?? nothing,
    ...(fill === undefined ? {} : {
      bestEffort: {
        queued: fill.queued, inFlight: fill.inFlight, answered: fill.answered, dropped: droppedOf(fill), failed: fill.failed, canceled: fill.canceled,
        latency: path.fillAnswers.get(model.name)?.summary(nowMs()) ?? nothing
      }
    })
  }
}

export const makeStatus = (sources: StatusSources): Effect.Effect<SchedulerStatus> =>
  Effect.gen(function*() {
    const { deployment, draining, executor } = sources
    const planned = new Map(gletsOf(deployment.plan).map(({ glet }) => [glet.id, glet]))
    const glets = yield* Effect.forEach(deployment.fleet.glets, (glet) => gletStatus(sources, glet, planned.get(glet.spec.id)), { concurrency: "unbounded" })
    return {
      apiVersion: "glet/v1alpha1", kind: "Status", draining: draining(), executor, plan: deployment.plan, glets,
      // What is still to take another's place has nothing to tell.
      models: [...deployment.registrations.registry.values()].map((entry) => modelStatus(sources, (entry.replaces ?? entry).model))
    }
  })
