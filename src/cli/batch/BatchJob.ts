/**
 * What an output folder belongs to: one model and, line by line, one content of each input file. Kept in a file of the folder, so that a job that
 * goes on goes on with the same, and with one process at a time.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as fs from "node:fs"
import * as path from "node:path"
import { CliError } from "../CliError.js"
import { reasonOf } from "../internal/files.js"
import { releaseLock, takeLock } from "../../node-cuda/internal/lockFile.js"
import { fileSha256 } from "../internal/sha256.js"
import type { BatchFile } from "./BatchFiles.js"

/** `.glet-batch.json` in an output folder. @since 0.1.0 @category batch */
export const BatchJob = Schema.Struct({
  apiVersion: Schema.Literal("glet/v1alpha1"),
  kind: Schema.Literal("BatchJob"),
  model: Schema.String,
  /** By output, what its input was: the SHA-256 where answers are told by their line, size and time of change where there is one answer. */
  files: Schema.Record({ key: Schema.String, value: Schema.String })
})

const jobFile = ".glet-batch.json"
const lockFile = ".glet-batch.lock"

const failed = (problem: string, hint?: string): CliError => new CliError({ reason: "input", problem, ...(hint === undefined ? {} : { hint }) })

const attempt = <A>(file: string, run: () => A): Effect.Effect<A, CliError> =>
  Effect.try({ try: run, catch: (error) => failed(`${file}: ${reasonOf(error)}`) })

/** Changes with the file, in all likelihood. */
const stampOf = (file: string): string => {
  const { mtimeMs, size } = fs.statSync(file)
  return `${size} bytes of ${mtimeMs}`
}

/** Holds the folder for this process; a lock whose process is gone does not count. */
const lock = (folder: string): Effect.Effect<void, CliError, Scope.Scope> => {
  const file = path.join(folder, lockFile)
  const take = Effect.try({
    try: () => takeLock(file),
    catch: (error) => failed(`the output folder ${folder} cannot be written: ${reasonOf(error)}`)
  }).pipe(Effect.filterOrFail(
    (owner) => owner === undefined,
    (owner) => failed(`process ${owner?.pid} works on the output folder ${folder}`, `wait for it, or remove ${file} if it is no glet batch`)
  ))
  return Effect.asVoid(Effect.acquireRelease(take, () => Effect.sync(() => releaseLock(file))))
}

const read = (folder: string): Effect.Effect<typeof BatchJob.Type | undefined, CliError> => {
  const file = path.join(folder, jobFile)
  if (!fs.existsSync(file)) return Effect.succeed(undefined)
  return Effect.try(() => fs.readFileSync(file, "utf8")).pipe(
    Effect.flatMap(Schema.decodeUnknown(Schema.parseJson(BatchJob))),
    Effect.mapError(() => failed(`${file} is not the record of a job`, "give another --output"))
  )
}

/**
 * Begins a job in an output folder or goes on with the one that is there; fails where that is another one, or another process is at it.
 * @since 0.1.0
 * @category batch
 */
export const enterJob = (folder: string, model: string, inputs: ReadonlyArray<BatchFile>): Effect.Effect<void, CliError, Scope.Scope> =>
  Effect.gen(function*() {
    yield* Effect.try({
      try: () => fs.mkdirSync(folder, { recursive: true }),
      catch: (error) => failed(`the output folder ${folder} cannot be made: ${reasonOf(error)}`)
    })
    yield* lock(folder)
    const before = yield* read(folder)
    const other = "give another --output"
    if (before !== undefined && before.model !== model) {
      return yield* failed(`the output folder ${folder} holds answers of model "${before.model}", not of "${model}"`, other)
    }
    const files: Record<string, string> = { ...before?.files }
    for (const { input, kind, output } of inputs) {
      const content = kind === "lines" ? yield* fileSha256(input) : yield* attempt(input, () => stampOf(input))
      const known = files[output]
      // Gone before it is forgotten of what: a kill between the two leaves it to be answered.
      if (kind === "single" && known !== undefined && known !== content) yield* attempt(folder, () => fs.rmSync(path.join(folder, output), { force: true }))
      else if (known !== undefined && known !== content) return yield* failed(`${input} has changed since ${folder} answers it line by line`, other)
      if (known === undefined && fs.existsSync(path.join(folder, output))) {
        return yield* failed(`${path.join(folder, output)} is there already and is no answer of this job`, other)
      }
      files[output] = content
    }
    const job: typeof BatchJob.Type = { apiVersion: "glet/v1alpha1", kind: "BatchJob", model, files }
    const file = path.join(folder, jobFile)
    yield* attempt(file, () => {
      fs.writeFileSync(`${file}.part`, `${JSON.stringify(job)}\n`)
      fs.renameSync(`${file}.part`, file)
    })
  })
