/**
 * Reads what serving needs to know of an ONNX file: inputs, outputs, operator sets, external data. Weights are skipped, never read: a file of
 * gigabytes costs a few reads of kilobytes.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as fs from "node:fs/promises"
import { walkOnnx } from "./internal/onnxWalk.js"
import { WalkError } from "./internal/protoWalk.js"
import { walkErrorOf } from "./OnnxBytes.js"
import type { OnnxFile } from "./OnnxModel.js"
import { fromFileSystem, RepositoryError } from "./RepositoryError.js"

export { parseOnnx } from "./OnnxBytes.js"
export type { OnnxDim, OnnxExternalData, OnnxFile, OnnxValue } from "./OnnxModel.js"

/** Reads an ONNX file. @since 0.1.0 @category onnx */
export const readOnnx = (file: string): Effect.Effect<OnnxFile, RepositoryError> =>
  Effect.tryPromise({ try: () => walkFile(file), catch: (cause) => cause }).pipe(
    Effect.mapError((cause) => toRepositoryError(file, cause))
  )

const walkFile = async (file: string): Promise<OnnxFile> => {
  // Opening a named pipe would wait for a writer forever.
  const stat = await fs.stat(file)
  if (!stat.isFile()) throw new RepositoryError({ file, reason: "invalid", detail: "is not a regular file" })
  const handle = await fs.open(file, "r")
  try {
    const read = async (offset: number, length: number): Promise<Uint8Array> => {
      const bytes = new Uint8Array(length)
      for (let done = 0; done < length;) {
        const { bytesRead } = await handle.read(bytes, done, length - done, offset + done)
        if (bytesRead === 0) throw new WalkError(offset + done, "the file became shorter while it was read")
        done += bytesRead
      }
      return bytes
    }
    const start = new TextDecoder("latin1").decode(await read(0, Math.min(32, stat.size)))
    const other = otherFormats.find(([mark]) => mark.test(start))
    if (other !== undefined) throw new WalkError(0, other[1])
    const walk = walkOnnx(stat.size)
    let step = walk.next()
    while (step.done !== true) step = walk.next(await read(step.value.offset, step.value.length))
    return step.value
  } finally {
    await handle.close()
  }
}

/** What is found under the name of a model now and then: none of it begins as an ONNX file can. */
const otherFormats: ReadonlyArray<readonly [RegExp, string]> = [
  [/^version https:\/\/git-lfs/, "is a Git LFS pointer, not the model: run `git lfs pull`"],
  [/^\s*<(!doctype|html|\?xml)/i, "is a web page, not the model: its download was answered with something else"],
  [/^PK\x03\x04/, "is a ZIP archive, as PyTorch saves models, not an ONNX file: export it, with torch.onnx.export, or unpack it"],
  [/^\x1f\x8b/, "is compressed with gzip: unpack it"],
  [/^\x89HDF/, "is an HDF5 file, as Keras saves models, not an ONNX file: export it, with tf2onnx"]
]

const toRepositoryError = (file: string, cause: unknown): RepositoryError => walkErrorOf(file, cause) ?? fromFileSystem(file, cause)
