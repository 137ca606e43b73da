/** One profile file: read with its faults named, changed under a lock, replaced in one step. */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { randomUUID } from "node:crypto"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import { decodeProblem, fieldName } from "../../core/internal/decodeProblem.js"
import { Profile, ProfileError } from "../../core/Profile.js"
import { withFileLock } from "./fileLock.js"

/** Larger files are refused unread and never written; a thousand models of 200 points take less. */
const maxBytes = 64 * 2 ** 20
const lockWaitMs = 5000

const decode = Schema.decodeUnknownEither(Profile, { errors: "first" })
const encode = Schema.encodeSync(Profile)

const codeOf = (cause: unknown): string => cause instanceof Error && "code" in cause ? String(cause.code) : ""
const textOf = (cause: unknown): string => cause instanceof Error ? cause.message : String(cause)

/** Parses a profile's JSON; the error names the field. */
const parseProfile = (subject: string, text: string): Effect.Effect<Profile, ProfileError> =>
  Effect.suspend(() => {
    const invalid = (detail: string) => new ProfileError({ reason: "invalid", subject, detail: `${detail}; mend or delete it` })
    let json: unknown
    try {
      json = JSON.parse(text)
    } catch (cause) {
      return invalid(`it is not JSON (${textOf(cause)})`)
    }
    const decoded = decode(json)
    if (decoded._tag === "Right") return Effect.succeed(decoded.right)
    const { message, path: field } = decodeProblem(decoded.left)
    return invalid(`${field.length === 0 ? "the document" : `field ${fieldName(field)}`}: ${message}`)
  })

/** What tells one version of a file from another; rename gives a new inode. */
export interface FileStamp {
  readonly inode: number
  readonly modifiedMs: number
  readonly size: number
}

/** Stamp of a file; undefined where there is none. */
export const stampOf = (file: string): Effect.Effect<FileStamp | undefined, ProfileError> =>
  Effect.tryPromise({
    try: async () => {
      try {
        const { ino, mtimeMs, size } = await fs.stat(file)
        return { inode: ino, modifiedMs: mtimeMs, size }
      } catch (cause) {
        if (codeOf(cause) === "ENOENT" || codeOf(cause) === "ENOTDIR") return undefined
        throw cause
      }
    },
    catch: (cause) => new ProfileError({ reason: "unreadable", subject: file, detail: textOf(cause) })
  })

/** Reads a profile file; undefined where there is none. */
export const readProfileIfAny = (file: string): Effect.Effect<Profile | undefined, ProfileError> =>
  Effect.gen(function*() {
    const stamp = yield* stampOf(file)
    if (stamp === undefined) return undefined
    if (stamp.size > maxBytes) {
      return yield* new ProfileError({ reason: "invalid", subject: file, detail: `${stamp.size} bytes are more than the ${maxBytes} a profile may have` })
    }
    const text = yield* Effect.tryPromise({
      try: () => fs.readFile(file, "utf8"),
      catch: (cause) => new ProfileError({ reason: "unreadable", subject: file, detail: `${textOf(cause)}; name a profile file that may be read` })
    })
    return yield* parseProfile(file, text)
  })

/** Writes beside the file and renames: readers see the old or the new one, never a part. */
const replace = async (file: string, text: string): Promise<void> => {
  const temporary = `${file}.${process.pid}.${randomUUID()}.tmp`
  try {
    await fs.writeFile(temporary, text, { flag: "wx" })
    await fs.rename(temporary, file)
  } catch (cause) {
    await fs.rm(temporary, { force: true })
    throw cause
  }
}

/** Changes a profile file, or makes it, while no other process does. `undefined` stands for a file that is not there. */
export const updateProfile = (
  file: string,
  change: (before: Profile | undefined) => Profile
): Effect.Effect<void, ProfileError> => {
  const unwritable = (detail: string) => new ProfileError({ reason: "unwritable", subject: file, detail: `${detail}; free space there, or keep profiles elsewhere (--profiles DIR)` })
  const attempt = <A>(run: () => Promise<A>) => Effect.tryPromise({ try: run, catch: (cause) => unwritable(textOf(cause)) })
  return attempt(() => fs.mkdir(path.dirname(file), { recursive: true })).pipe(
    Effect.andThen(withFileLock(
      `${file}.lock`,
      lockWaitMs,
      Effect.gen(function*() {
        const text = `${JSON.stringify(encode(change(yield* readProfileIfAny(file))), undefined, 1)}\n`
        if (text.length > maxBytes) return yield* unwritable(`it would have ${text.length} bytes, more than ${maxBytes}`)
        yield* attempt(() => replace(file, text))
      })
    )),
    Effect.catchTags({
      Locked: ({ path }) => Effect.fail(unwritable(`another process holds ${path}; delete it if none does`)),
      LockError: ({ cause }) => Effect.fail(unwritable(textOf(cause)))
    })
  )
}
