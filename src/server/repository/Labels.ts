/**
 * Names of the classes of a model's outputs: one a line, in files that its configuration names (`label_filename`).
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import type { ModelSignature } from "../../core/Model.js"
import { isWithin } from "./ExternalData.js"
import { readText } from "./internal/readText.js"
import { fromFileSystem, RepositoryError } from "./RepositoryError.js"
import type { FoundModel, ScanOptions } from "./Scan.js"
import type { TritonConfig } from "./TritonConfig.js"

/** The names by output, in the signature's order; undefined where no output has any. @since 0.1.0 @category labels */
export const readLabels = (
  found: FoundModel, config: TritonConfig, signature: ModelSignature, options: ScanOptions
): Effect.Effect<ReadonlyArray<ReadonlyArray<string>> | undefined, RepositoryError> =>
  Effect.gen(function*() {
    const labels: Array<ReadonlyArray<string>> = signature.outputs.map(() => [])
    let any = false
    for (const [i, { label_filename: name = "", name: output }] of (config.fields.output ?? []).entries()) {
      const index = signature.outputs.findIndex((spec) => spec.name === output)
      if (name === "" || index < 0) continue
      const field = `output[${i}].label_filename`
      if (found.versions === undefined) return yield* config.error(field, "unsupported", "needs a model in a folder of its own")
      const file = path.join(found.path, name)
      if (name.includes("\0") || !isWithin(found.path, file)) return yield* config.error(field, "refused", `"${name}" is not in the model's folder`)
      const real = yield* Effect.tryPromise({ try: () => fs.realpath(file), catch: (cause) => cause }).pipe(
        Effect.mapError((cause) => fromFileSystem(file, cause)),
        Effect.mapError(({ detail, reason }) => config.error(field, reason, `"${name}": ${detail}`))
      )
      if (!options.followLinks && !isWithin(path.dirname(found.path), real)) {
        return yield* new RepositoryError({ file, reason: "refused", detail: "is a link that leads out of the repository" })
      }
      labels[index] = (yield* readText(file)).replace(/\r?\n$/, "").split(/\r?\n/)
      any = true
    }
    return any ? labels : undefined
  })
