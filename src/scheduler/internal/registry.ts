/** The models that are registered, with what was measured of them, and why some are not served. */
import type { Gpu } from "../../core/Gpu.js"
import type { ModelName } from "../../core/Ids.js"
import type { LatencyModel } from "../../core/LatencyModel.js"
import type { Model } from "../../core/Model.js"
import type { PlanOptions, PlanProblem } from "../../core/PlanProblem.js"
import type { ModelProfile } from "../../core/Profile.js"
import { demandsOf } from "../PlanSuccession.js"

export type ProfilesByType = ReadonlyMap<string, ReadonlyMap<ModelName, ModelProfile>>

export interface Registration {
  readonly model: Model
  readonly profiles: ReadonlyMap<string, ModelProfile>
  /** What it replaces, until it serves. */
  replaces: Registration | undefined
  /** Why it is not served; it is planned for nevertheless, unless it cannot be loaded. */
  failure: string | undefined
  /** Why a replacement of it was not taken. */
  readonly note: string
  /** It cannot be loaded anywhere: it stands in no plan until it is registered again. */
  unloadable: boolean
}

export const registration = (model: Model, profiles: ReadonlyMap<string, ModelProfile>): Registration => ({
  model, profiles, replaces: undefined, failure: undefined, note: "", unloadable: false
})

/** The planning problem of the registered models at the given rates, items per second. */
export const problemOf = (
  registrations: Iterable<Registration>,
  gpus: ReadonlyArray<Gpu>,
  rateOf: (model: ModelName) => number,
  latencyModel: (profiles: ProfilesByType) => LatencyModel,
  options: PlanOptions
): PlanProblem => {
  const planned = [...registrations].filter((entry) => !entry.unloadable)
  const profiles = new Map<string, Map<ModelName, ModelProfile>>()
  for (const { model, profiles: measured } of planned) {
    for (const [gpuType, profile] of measured) {
      const ofType = profiles.get(gpuType)
      if (ofType === undefined) profiles.set(gpuType, new Map([[model.name, profile]]))
      else ofType.set(model.name, profile)
    }
  }
  return {
    gpus,
    latency: latencyModel(profiles),
    options,
    demands: demandsOf(planned.map(({ model }) => model), rateOf)
  }
}
