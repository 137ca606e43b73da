/**
 * What is wrong in a file, and where.
 *
 * @since 0.1.0
 */
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"

/**
 * A file does not follow its format. Lines and columns count from 1.
 * @since 0.1.0
 * @category errors
 */
export class FormatError extends Schema.TaggedError<FormatError>()("FormatError", {
  file: Schema.String,
  line: Schema.Int,
  column: Schema.Int,
  /** What is there. */
  problem: Schema.String,
  /** What to write instead. */
  hint: Schema.String
}) {
  override get message(): string {
    return `${this.file}:${this.line}:${this.column}: ${this.problem}; ${this.hint}`
  }
}

/** The text of a file, with the name that errors give it. @since 0.1.0 @category files */
export interface SourceFile {
  readonly file: string
  readonly text: string
}

/** A place in a file. */
export interface Position {
  readonly line: number
  readonly column: number
}

/** Stops the reading of a file; `parsing` makes it the answer. */
export const reject = ({ file }: SourceFile, { column, line }: Position, problem: string, hint: string): never => {
  throw new FormatError({ file, line, column, problem, hint })
}

/** Runs a reader that stops by `reject`. */
export const parsing = <A>(read: () => A): Either.Either<A, FormatError> =>
  Either.try({
    try: read,
    catch: (error) => {
      if (error instanceof FormatError) return error
      throw error
    }
  })

/** A text from a file, cut to a length that a message can carry. */
export const shown = (text: string): string => JSON.stringify(text.length > 40 ? `${text.slice(0, 40)}...` : text)
