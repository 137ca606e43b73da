/**
 * Latency models of the same profiles are one: what planners tabulated of it is there for the next plan.
 */
import type { LatencyModel } from "../../core/LatencyModel.js"
import type { ProfilesByType } from "../ProfileLatencyModel.js"

/** Whether both have the same profiles, as objects, of the same models. */
export const sameProfiles = (a: ProfilesByType, b: ProfilesByType): boolean => {
  if (a === b) return true
  if (a.size !== b.size) return false
  for (const [gpuType, models] of a) {
    const others = b.get(gpuType)
    if (others === undefined || others.size !== models.size) return false
    for (const [model, profile] of models) if (others.get(model) !== profile) return false
  }
  return true
}

/** What `make` makes, as one object as long as the profiles stay the same. */
export const onceFor = (make: (profiles: ProfilesByType) => LatencyModel): (profiles: ProfilesByType) => LatencyModel => {
  let last: { readonly profiles: ProfilesByType; readonly latency: LatencyModel } | undefined
  return (profiles) => {
    if (last === undefined || !sameProfiles(last.profiles, profiles)) last = { profiles, latency: make(profiles) }
    return last.latency
  }
}
