/**
 * A model as executors in this process want it: its file and those that it names for its weights, which must be in its folder.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import { readUnchanged } from "../../core/internal/readUnchanged.js"
import type { Model } from "../../core/Model.js"
import { checkExternalData } from "./ExternalData.js"
import { readOnnx } from "./OnnxFile.js"
import type { RepositoryError } from "./RepositoryError.js"
import { fromFileSystem } from "./RepositoryError.js"

/** @since 0.1.0 @category onnx */
export interface ModelBytes {
  readonly bytes: ArrayBuffer
  readonly external: ReadonlyArray<{ readonly path: string; readonly bytes: ArrayBuffer }>
}

const readWhole = (file: string): Effect.Effect<ArrayBuffer, RepositoryError> =>
  Effect.tryPromise({ try: () => fs.readFile(file), catch: (cause) => fromFileSystem(file, cause) }).pipe(
    Effect.map(({ buffer, byteLength, byteOffset }) => buffer.slice(byteOffset, byteOffset + byteLength) as ArrayBuffer)
  )

const readBytes = (file: string): Effect.Effect<ModelBytes, RepositoryError> =>
  Effect.gen(function*() {
    const onnx = yield* readOnnx(file)
    yield* checkExternalData(file, onnx, { followLinks: true })
    const locations = [...new Set(onnx.externalData.map(({ location }) => location))]
    const external = yield* Effect.forEach(locations, (location) =>
      Effect.map(readWhole(path.join(path.dirname(file), location)), (bytes) => ({ path: location, bytes })))
    return { bytes: yield* readWhole(file), external }
  })

/** Reads all of a model. Rejects with a `LoadFailure` where its files are not those any more that it was loaded from. @since 0.1.0 @category onnx */
export const readModelBytes = ({ files, path: file }: Pick<Model, "files" | "path">): Promise<ModelBytes> =>
  readUnchanged(files ?? [], (name) => fs.stat(name, { bigint: true }), () => Effect.runPromise(readBytes(file)))
