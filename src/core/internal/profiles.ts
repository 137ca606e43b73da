/** Looking up and adding models in profiles: what all stores share. */
import type { Isolation } from "../Gpu.js"
import type { ModelName } from "../Ids.js"
import type { ModelProfile, Profile } from "../Profile.js"

/** Models a file holds; those that were put longest ago leave it. */
export const maxModels = 1024

/** The last profile of a model that fits the key; where there is none, that of another model of the same file. */
export const newest = (
  profile: Profile,
  key: { readonly gpuType: string; readonly isolation: Isolation; readonly units?: number; readonly model: ModelName; readonly sha256?: string }
): ModelProfile | undefined => {
  const { gpuType, isolation, model, sha256, units } = key
  if (profile.gpuType !== gpuType || profile.isolation !== isolation || (units !== undefined && units !== profile.units)) return undefined
  const own = profile.models.findLast((one) => one.model === model && (sha256 === undefined || one.sha256 === sha256))
  if (own !== undefined || sha256 === undefined) return own
  const same = profile.models.findLast((one) => one.sha256 === sha256)
  return same === undefined ? undefined : { ...same, model }
}

/** A profile without models. */
export const emptyProfile = (key: { readonly gpuType: string; readonly isolation: Isolation; readonly units: number }, provenance?: string): Profile => ({
  apiVersion: "glet/v1alpha1",
  kind: "Profile",
  gpuType: key.gpuType,
  isolation: key.isolation,
  units: key.units,
  ...(provenance === undefined ? {} : { provenance }),
  models: []
})

/** Puts a model's profile last; another of the same model and weights leaves, and the oldest where there are too many. */
export const withModel = (profile: Profile, model: ModelProfile): Profile => {
  const others = profile.models.filter((one) => one.model !== model.model || one.sha256 !== model.sha256)
  return { ...profile, models: [...others, model].slice(-maxModels) }
}
