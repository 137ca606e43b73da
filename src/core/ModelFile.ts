/**
 * The files of a model as they were when it was loaded, so that whoever reads them later can tell whether they are still that model: its version
 * names its weights, and files can be written over at any time. Nothing of them is read for that.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

/** One file. @since 0.1.0 @category models */
export const ModelFile = Schema.Struct({
  path: Schema.String,
  /** How the model's own file names it, where it is another one, with weights. */
  location: Schema.optionalWith(Schema.String, { exact: true }),
  sizeBytes: Schema.NonNegativeInt,
  /** Unix time in ns when it was written, and when anything of it was changed, its place included; text, for a number would round it. */
  writtenNs: Schema.String,
  changedNs: Schema.String
})
/** @since 0.1.0 @category models */
export type ModelFile = typeof ModelFile.Type

/** What a file system says of a file, as `fs.stat` with `bigint` tells it. @since 0.1.0 @category models */
export interface FileStat {
  readonly size: bigint
  readonly mtimeNs: bigint
  readonly ctimeNs: bigint
}

/** @since 0.1.0 @category models */
export const modelFileOf = (path: string, { ctimeNs, mtimeNs, size }: FileStat, location?: string): ModelFile => ({
  path, ...(location === undefined ? {} : { location }), sizeBytes: Number(size), writtenNs: String(mtimeNs), changedNs: String(ctimeNs)
})

const timeOf = (ns: string): string => new Date(Number(BigInt(ns) / 1_000_000n)).toISOString()

/**
 * What is not as it was when the model was loaded, in words; undefined where all is. `found` is undefined where there is no such file any more.
 * The number of a file's inode is left out: some file systems give it another one every now and then, and one that is moved to its place was
 * changed by that.
 * @since 0.1.0
 * @category models
 */
export const fileChange = (file: ModelFile, found: FileStat | undefined): string | undefined => {
  if (found === undefined) return `${file.path} is not there any more`
  const now = modelFileOf(file.path, found)
  if (now.sizeBytes !== file.sizeBytes) return `${file.path} has ${now.sizeBytes} bytes, and had ${file.sizeBytes} when it was loaded`
  if (now.writtenNs !== file.writtenNs) return `${file.path} was written at ${timeOf(now.writtenNs)}, and at ${timeOf(file.writtenNs)} when it was loaded`
  if (now.changedNs !== file.changedNs) return `${file.path} was replaced or changed at ${timeOf(now.changedNs)}, after it was loaded`
  return undefined
}
