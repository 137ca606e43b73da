/**
 * Latency models of the same profiles are one: what planners tabulated of it is there for the next plan.
 */
import type { Gpu } from "../../core/Gpu.js"
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

/** Makes a latency model of what was measured, for the GPUs of a host. */
export type MakeLatencyModel = (profiles: ProfilesByType, gpus: ReadonlyArray<Gpu>) => LatencyModel

/** What `make` makes, as one object as long as the profiles stay the same: how a host's GPUs are divided does not change. */
export const onceFor = (make: MakeLatencyModel): MakeLatencyModel => {
  let last: { readonly profiles: ProfilesByType; readonly latency: LatencyModel } | undefined
  return (profiles, gpus) => {
    if (last === undefined || !sameProfiles(last.profiles, profiles)) last = { profiles, latency: make(profiles, gpus) }
    return last.latency
  }
}
