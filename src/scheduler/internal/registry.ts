/** The models that are registered, with what was measured of them, and why some are not served. */
import type { ModelName } from "../../core/Ids.js"
import type { Model, ServiceClass } from "../../core/Model.js"
import type { ModelProfile } from "../../core/Profile.js"
import type { ProfilesByType } from "../ProfileLatencyModel.js"

export interface Registration {
  readonly model: Model
  readonly profiles: ReadonlyMap<string, ModelProfile>
  /** What it replaces, until it serves. */
  replaces: Registration | undefined
  /** What was asked of it since: what it replaces is held to that too, should it stay. */
  changes: ModelChange
  /** Why it is not served; it is planned for nevertheless, unless it cannot be loaded. */
  failure: string | undefined
  /** Why a replacement of it was not taken. */
  readonly note: string
  /** It cannot be loaded anywhere: it stands in no plan until it is registered again. */
  unloadable: boolean
  /** Told when requests go to it. */
  readonly onTaken: () => void
}

/** What may change of a model while it is served, without loading it again; what is absent stays. */
export interface ModelChange {
  readonly serviceClass?: ServiceClass
  /** In ms; ignored for a best-effort model. */
  readonly sloMs?: number
  /** Rate to plan for until arrivals say otherwise, items per second. */
  readonly expectedRateRps?: number
}

/** The model as it is after a change. */
export const amended = (model: Model, change: ModelChange): Model => {
  const { sloMs: oldSloMs, ...rest } = model
  const serviceClass = change.serviceClass ?? model.serviceClass
  const sloMs = change.sloMs ?? oldSloMs
  return {
    ...rest, serviceClass, expectedRateRps: change.expectedRateRps ?? model.expectedRateRps,
    ...(serviceClass === "best-effort" || sloMs === undefined ? {} : { sloMs })
  }
}

export const registration = (model: Model, profiles: ReadonlyMap<string, ModelProfile>, onTaken: () => void = nothing): Registration => ({
  model, profiles, replaces: undefined, changes: {}, failure: undefined, note: "", unloadable: false, onTaken
})

const nothing = (): void => {}

/** The models that plans are made for. */
export const plannable = (registrations: Iterable<Registration>): ReadonlyArray<Registration> => [...registrations].filter((entry) => !entry.unloadable)

/** What was measured of them. */
export const profilesOf = (registrations: ReadonlyArray<Registration>): ProfilesByType => {
  const profiles = new Map<string, Map<ModelName, ModelProfile>>()
  for (const { model, profiles: measured } of registrations) {
    for (const [gpuType, profile] of measured) {
      const ofType = profiles.get(gpuType)
      if (ofType === undefined) profiles.set(gpuType, new Map([[model.name, profile]]))
      else ofType.set(model.name, profile)
    }
  }
  return profiles
}
