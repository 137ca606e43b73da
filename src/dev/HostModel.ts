/**
 * A model of the page: what its sliders say, what was measured of it, what the page is told.
 *
 * @since 0.1.0
 */
import type { Gpu } from "../core/Gpu.js"
import { unsafeModelName } from "../core/Ids.js"
import type { Model } from "../core/Model.js"
import type { ModelProfile } from "../core/Profile.js"
import type { SlotLayout } from "../core/SlotLayout.js"
import { makeSlotLayout } from "../core/SlotLayout.js"
import type { SchedulerStatus } from "../scheduler/SchedulerStatus.js"
import type { ModelControls, ModelView } from "./Messages.js"
import type { WorldModel } from "./World.js"

/** @since 0.1.0 @category models */
export interface HostModel {
  /** As it is served. */
  model: Model
  layout: SlotLayout
  readonly removable: boolean
  readonly release: () => void
  controls: ModelControls
  profile: ModelProfile | undefined
  /** What is being done with it. */
  detail: string
  /** Why it is not served; empty where it is. */
  problem: string
}

const nothing: ModelControls = { serviceClass: "latency-critical", sloMs: 100, rateRps: 0 }

/** Without a world's model: a place for what could not be read. @since 0.1.0 @category constructors */
export const makeHostModel = (one: WorldModel | undefined, name = ""): HostModel => {
  const signature = one?.model.signature ?? { inputs: [], outputs: [] }
  return {
    model: one?.model ?? {
      name: unsafeModelName(name), version: 1, path: "", signature, maxBatch: 1, serviceClass: "best-effort", expectedRateRps: 0, weightBytes: 0
    },
    layout: makeSlotLayout(signature),
    removable: one?.removable ?? true, release: one?.release ?? (() => {}), controls: one?.controls ?? nothing,
    profile: one?.profile, detail: one === undefined || one.profile !== undefined ? "" : "waiting to be measured", problem: ""
  }
}

/** The model with what its sliders say. @since 0.1.0 @category models */
export const amendedModel = ({ controls, model }: HostModel): Model => {
  const { sloMs: _, ...rest } = model
  return {
    ...rest, serviceClass: controls.serviceClass, expectedRateRps: controls.rateRps,
    ...(controls.serviceClass === "best-effort" ? {} : { sloMs: controls.sloMs })
  }
}

/** Requests per second that all GPUs together could at most carry, rounded up to two digits: the end of the slider. @since 0.1.0 @category models */
export const largestRateRps = ({ profile }: Pick<HostModel, "profile">, gpu: Gpu, gpus = 1): number => {
  const whole = (profile?.points ?? []).filter(({ sharePct }) => sharePct === Math.max(...gpu.sharesPct))
  const most = gpus * whole.reduce((best, { batch, p50Ms }) => Math.max(best, (1000 * batch) / p50Ms), 1)
  const step = 10 ** Math.max(0, Math.floor(Math.log10(most)) - 1)
  return Math.ceil(most / step) * step
}

/** @since 0.1.0 @category models */
export const modelView = (one: HostModel, status: SchedulerStatus | undefined, gpu: Gpu): ModelView => {
  const { controls, detail, model, problem, profile, removable } = one
  const known = status?.models.find(({ model: name }) => name === model.name)
  const shortfall = status?.plan.shortfalls.find(({ model: name }) => name === model.name)
  const state = problem !== "" ? "failed" : profile === undefined ? "measuring" : known?.state ?? "waiting"
  const solo = profile?.points.find(({ batch, sharePct }) => batch === 1 && sharePct === Math.max(...gpu.sharesPct))
  return {
    name: model.name, controls, state, removable,
    detail: problem !== "" ? problem : detail !== "" ? detail : known?.state === "failed" ? known.detail : shortfall?.reason ?? "",
    soloMs: solo?.p50Ms,
    largestRateRps: largestRateRps(one, gpu),
    plannedRps: known?.plannedRps ?? 0
  }
}
