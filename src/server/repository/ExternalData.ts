/**
 * Weights that stand beside the ONNX file. A model may come from anywhere, so it must not make the server read files outside its folder.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import type { ModelFile } from "../../core/ModelFile.js"
import { modelFileOf } from "../../core/ModelFile.js"
import type { OnnxExternalData, OnnxFile } from "./OnnxModel.js"
import { fromFileSystem, RepositoryError } from "./RepositoryError.js"

/** Weights beside an ONNX file. @since 0.1.0 @category onnx */
export interface ExternalData {
  /** Of all tensors together. */
  readonly byteLength: number
  readonly files: ReadonlyArray<ModelFile>
}

/**
 * External data of the model in `file`, after checking that every piece is there, within the model's folder and within its file.
 * Links that lead out of the folder are refused unless `followLinks`.
 * @since 0.1.0
 * @category onnx
 */
export const checkExternalData = (
  file: string,
  onnx: OnnxFile,
  options: { readonly followLinks: boolean }
): Effect.Effect<ExternalData, RepositoryError> =>
  Effect.gen(function*() {
    const pieces = new Map<string, OnnxExternalData>()
    const files = new Map<string, OnnxExternalData>()
    for (const data of onnx.externalData) {
      // Tensors may share one piece: it counts once.
      pieces.set(JSON.stringify([data.location, data.offsetBytes, data.lengthBytes]), data)
      files.set(data.location, data)
    }
    const found = new Map<string, ModelFile>()
    for (const [location, data] of files) found.set(location, yield* lookAt(file, data, options.followLinks))
    let byteLength = 0
    for (const data of pieces.values()) {
      const size = found.get(data.location)!.sizeBytes
      if (data.offsetBytes + data.lengthBytes > size) {
        return yield* new RepositoryError({
          file,
          reason: "invalid",
          field: `tensor "${data.tensor}"`,
          detail: `its data ends at byte ${data.offsetBytes + data.lengthBytes} of ${data.location}, which has ${size} bytes`
        })
      }
      byteLength += data.lengthBytes
    }
    return { byteLength, files: [...found.values()] }
  })

const lookAt = (file: string, data: OnnxExternalData, followLinks: boolean): Effect.Effect<ModelFile, RepositoryError> =>
  Effect.gen(function*() {
    const field = `tensor "${data.tensor}"`
    const refuse = (detail: string) => new RepositoryError({ file, reason: "refused", field, detail })
    const folder = path.dirname(file)
    const segments = data.location.split(/[\\/]/)
    if (data.location.includes("\0") || segments.includes("..") || path.posix.isAbsolute(data.location) || path.win32.isAbsolute(data.location)) {
      return yield* refuse(`its data is said to be in "${data.location}": only files in the model's own folder are read`)
    }
    const target = path.join(folder, data.location)
    const found = yield* Effect.tryPromise({
      try: () => Promise.all([fs.realpath(folder), fs.realpath(target), fs.stat(target, { bigint: true })]),
      catch: (cause) => cause
    }).pipe(Effect.mapError((cause) => {
      const error = fromFileSystem(target, cause)
      return new RepositoryError({ file, reason: error.reason, field, detail: `its data is in ${data.location}: ${error.detail}` })
    }))
    const [realFolder, realTarget, stat] = found
    if (!followLinks && !isWithin(realFolder, realTarget)) {
      return yield* refuse(`its data in ${data.location} is a link that leads out of the model's folder`)
    }
    if (!stat.isFile()) return yield* refuse(`its data in ${data.location} is not a regular file`)
    return modelFileOf(target, stat, data.location)
  })

/** Whether `target` is `folder` or below it; both real paths. @since 0.1.0 @category files */
export const isWithin = (folder: string, target: string): boolean => {
  const relative = path.relative(folder, target)
  return relative === "" || (!path.isAbsolute(relative) && relative.split(path.sep)[0] !== "..")
}
