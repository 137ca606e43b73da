/**
 * Profiles in folders: what was measured on this machine first, what the package ships after it.
 *
 * ```
 * <folder>/<gpuType>/<isolation>.json      one file per GPU type and isolation, in the schema of core/Profile
 * ```
 * The first folder that has a profile of the model, its weights and the device's units wins; only the first folder is written. Writers replace
 * the file in one step, under a lock between processes, so none loses another's models.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import type { Isolation } from "../core/Gpu.js"
import type { Profile } from "../core/Profile.js"
import { ProfileError, ProfileStore } from "../core/Profile.js"
import { emptyProfile, newest, withModel } from "../core/internal/profiles.js"
import type { FileStamp } from "./internal/profileFile.js"
import { readProfileIfAny, stampOf, updateProfile } from "./internal/profileFile.js"

/** Where profiles are read and written. @since 0.1.0 @category options */
export interface ProfileStoreFileOptions {
  /** Folders in order of precedence; the first is written. `defaultDirectories` by default. */
  readonly directories?: readonly [string, ...ReadonlyArray<string>]
  /** What made the measurements, for the files' `provenance`. */
  readonly provenance?: string
}

/**
 * What the package ships, in `resource` beside the nearest package.json: `profiles` of GPUs for simulations and replays, whose models are known by name alone,
 * and `zoo`, the measurements of models whose weights are known (scripts/make-zoo.ts and the demo's), which spare a server measuring them.
 */
const shippedDirectories = (): ReadonlyArray<string> => {
  let folder = path.dirname(fileURLToPath(import.meta.url))
  for (let up = 0; up < 5; up++) {
    if (fs.existsSync(path.join(folder, "package.json"))) return ["profiles", "zoo"].map((name) => path.join(folder, "resource", name))
    folder = path.dirname(folder)
  }
  return []
}

/**
 * The user's cache (`$XDG_CACHE_HOME/glet-orion/profiles`, `~/.cache/…` where that is not set or not absolute), then what the package ships.
 * @since 0.1.0
 * @category options
 */
export const defaultDirectories = (
  env: Readonly<Record<string, string | undefined>> = process.env
): readonly [string, ...ReadonlyArray<string>] => {
  const configured = env["XDG_CACHE_HOME"] ?? ""
  const cache = path.isAbsolute(configured) ? configured : path.join(os.homedir(), ".cache")
  return [path.join(cache, "glet-orion", "profiles"), ...shippedDirectories()]
}

/** A GPU type as a folder's name: it is any text, so all but plain characters are escaped. */
const folderName = (text: string): string =>
  text.replace(/^\.|[^\w.-]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`).slice(0, 200)

/** Where a folder keeps the profiles of a GPU type and isolation. @since 0.1.0 @category files */
export const profilePath = (directory: string, gpuType: string, isolation: Isolation): string =>
  path.join(directory, folderName(gpuType), `${isolation}.json`)

/** Reads one profile file, e.g. one to replay. @since 0.1.0 @category files */
export const readProfile = (file: string): Effect.Effect<Profile, ProfileError> =>
  Effect.flatMap(readProfileIfAny(file), (profile) =>
    profile === undefined ? new ProfileError({ reason: "missing", subject: file, detail: "there is no such file" }) : Effect.succeed(profile))

/** Profiles in files, one by GPU type and isolation. @since 0.1.0 @category constructors */
export const make = (options: ProfileStoreFileOptions = {}): typeof ProfileStore.Service => {
  const directories = options.directories ?? defaultDirectories()
  // One writer of this process at a time waits for the lock; the others queue here instead of polling.
  const writing = Effect.unsafeMakeSemaphore(1)
  const known = new Map<string, { readonly stamp: FileStamp; readonly profile: Profile | undefined }>()

  /** The file's profile, read again only when the file is another one. */
  const read = Effect.fnUntraced(function*(file: string) {
    const stamp = yield* stampOf(file)
    if (stamp === undefined) return undefined
    const kept = known.get(file)
    if (kept !== undefined && kept.stamp.inode === stamp.inode && kept.stamp.modifiedMs === stamp.modifiedMs && kept.stamp.size === stamp.size) {
      return kept.profile
    }
    const profile = yield* readProfileIfAny(file)
    known.set(file, { stamp, profile })
    return profile
  })

  return {
    get: Effect.fnUntraced(function*(key) {
      for (const directory of directories) {
        const profile = yield* read(profilePath(directory, key.gpuType, key.isolation))
        const found = profile === undefined ? undefined : newest(profile, key)
        if (found !== undefined) return Option.some(found)
      }
      return Option.none()
    }),
    put: (key, model) =>
      writing.withPermits(1)(updateProfile(profilePath(directories[0], key.gpuType, key.isolation), (before) =>
        // Measurements of a device of another size say nothing of this one.
        withModel(before?.gpuType === key.gpuType && before.units === key.units ? before : emptyProfile(key, options.provenance), model)))
  }
}

/** A store over folders. @since 0.1.0 @category layers */
export const layer = (options: ProfileStoreFileOptions = {}): Layer.Layer<ProfileStore> => Layer.sync(ProfileStore, () => make(options))

export { layerMemory } from "../core/ProfileStoreMemory.js"
