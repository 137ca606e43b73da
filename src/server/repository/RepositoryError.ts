/**
 * What is wrong with a file of the model repository, and where.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

/**
 * A model's file, its configuration or the settings cannot be used.
 *
 * `missing`: not there. `unreadable`: the file system said no. `invalid`: not what its format demands. `unsupported`: well formed, but this
 * server cannot serve it. `mismatch`: the configuration contradicts the model's file. `refused`: it reaches out of where it may reach.
 * @since 0.1.0
 * @category errors
 */
export class RepositoryError extends Schema.TaggedError<RepositoryError>()("RepositoryError", {
  file: Schema.String,
  reason: Schema.Literal("missing", "unreadable", "invalid", "unsupported", "mismatch", "refused"),
  detail: Schema.String,
  /** Position in a text file, from 1. */
  line: Schema.optionalWith(Schema.Int, { exact: true }),
  column: Schema.optionalWith(Schema.Int, { exact: true }),
  /** Position in a binary file, from 0. */
  offset: Schema.optionalWith(Schema.Number, { exact: true }),
  /** The field or tensor, e.g. `input[0].dims`. */
  field: Schema.optionalWith(Schema.String, { exact: true })
}) {
  override get message(): string {
    const where = this.line !== undefined
      ? `:${this.line}:${this.column ?? 1}`
      : this.offset !== undefined ? ` at byte ${this.offset}` : ""
    return `${this.file}${where}: ${this.field === undefined ? "" : `${this.field}: `}${this.detail}`
  }
}

const details = new Map([
  ["ENOENT", "no such file"], ["ENOTDIR", "no such file"], ["EACCES", "permission denied"], ["EPERM", "permission denied"],
  ["ELOOP", "is a link that leads back to itself"]
])

/** Turns what `node:fs` throws into the typed error; anything else is a bug and stays a defect. @since 0.1.0 @category errors */
export const fromFileSystem = (file: string, cause: unknown): RepositoryError => {
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : undefined
  if (code === undefined) throw cause
  return new RepositoryError({
    file,
    reason: code === "ENOENT" || code === "ENOTDIR" ? "missing" : "unreadable",
    detail: details.get(code) ?? code
  })
}
