/**
 * A profile store of this process only.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type { Isolation } from "./Gpu.js"
import { emptyProfile, newest, withModel } from "./internal/profiles.js"
import type { Profile } from "./Profile.js"
import { ProfileStore } from "./Profile.js"

/** A store that forgets, beginning with the given profiles. @since 0.1.0 @category layers */
export const layerMemory = (profiles: ReadonlyArray<Profile> = []): Layer.Layer<ProfileStore> =>
  Layer.sync(ProfileStore, () => {
    const nameOf = (key: { readonly gpuType: string; readonly isolation: Isolation }): string => JSON.stringify([key.gpuType, key.isolation])
    const kept = new Map(profiles.map((profile) => [nameOf(profile), profile]))
    return ProfileStore.of({
      get: (key) =>
        Effect.sync(() => {
          const profile = kept.get(nameOf(key))
          return Option.fromNullable(profile === undefined ? undefined : newest(profile, key))
        }),
      put: (key, model) =>
        Effect.sync(() => {
          const before = kept.get(nameOf(key))
          kept.set(nameOf(key), withModel(before?.units === key.units ? before : emptyProfile(key), model))
        })
    })
  })
