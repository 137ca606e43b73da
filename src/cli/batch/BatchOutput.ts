/**
 * Answers of an offline job on disk, such that a job that was killed goes on where it was: line k of an output file answers request k of its input,
 * and a line is there whole or not at all. So what is done is what is there, and nothing else has to be remembered.
 *
 * @since 0.1.0
 */
import * as fs from "node:fs"
import * as path from "node:path"
import type { BatchFile } from "./BatchFiles.js"

const chunkBytes = 1 << 20
const newline = 10

/** How the answer to a request begins that has an error instead; a server's answer to an infer request begins otherwise. */
const errorBegins = Buffer.from("{\"error\":")

/** Whether an error stands there. */
const isError = (handle: number, at: number): boolean => {
  const head = Buffer.alloc(errorBegins.length)
  return fs.readSync(handle, head, 0, head.length, at) === head.length && head.equals(errorBegins)
}

/** Whole lines of a file, how many of them are errors, and where the last of them ends. */
const wholeLines = (file: string): { readonly lines: number; readonly errors: number; readonly bytes: number } => {
  const handle = fs.openSync(file, "r")
  try {
    const chunk = Buffer.alloc(chunkBytes)
    let lines = 0
    let errors = 0
    let end = 0
    let at = 0
    for (;;) {
      const read = fs.readSync(handle, chunk, 0, chunkBytes, at)
      if (read === 0) return { lines, errors, bytes: end }
      for (let i = chunk.indexOf(newline); i >= 0 && i < read; i = chunk.indexOf(newline, i + 1)) {
        // A line that began in the chunk before is looked up.
        const from = end - at
        if (from < 0 ? isError(handle, end) : chunk.subarray(from, Math.min(i, from + errorBegins.length)).equals(errorBegins)) errors++
        lines++
        end = at + i + 1
      }
      at += read
    }
  } finally {
    fs.closeSync(handle)
  }
}

/** Where the answers of one input file go. @since 0.1.0 @category batch */
export interface AnswerFile {
  /** Requests, from the first, that have their answer already. */
  readonly done: number
  /** Those of them whose answer is an error. */
  readonly failed: number
  /** Adds the answer of the next request, without line breaks in it. */
  readonly add: (answer: string) => void
  readonly close: () => void
}

/** All of it: a disk that is nearly full takes a part, and says nothing. */
const writeAll = (handle: number, text: string): void => {
  const bytes = Buffer.from(text)
  for (let done = 0; done < bytes.length;) done += fs.writeSync(handle, bytes, done)
}

/** Answers on lines; what a kill left of the last line is cut off. @since 0.1.0 @category batch */
const openLines = (file: string): AnswerFile => {
  const { bytes, errors, lines } = fs.existsSync(file) ? wholeLines(file) : { bytes: 0, errors: 0, lines: 0 }
  const handle = fs.openSync(file, "a")
  fs.ftruncateSync(handle, bytes)
  return {
    done: lines,
    failed: errors,
    add: (answer) => writeAll(handle, `${answer}\n`),
    close: () => {
      // After a power cut, too, what was said to be done is done.
      fs.fdatasyncSync(handle)
      fs.closeSync(handle)
    }
  }
}

/** One answer, in place at once. */
const openSingle = (file: string): AnswerFile => {
  const { errors, lines } = fs.existsSync(file) ? wholeLines(file) : { errors: 0, lines: 0 }
  return {
    done: lines,
    failed: errors,
    add: (answer) => {
      const draft = `${file}.part`
      fs.writeFileSync(draft, `${answer}\n`)
      fs.renameSync(draft, file)
    },
    close: () => undefined
  }
}

/** Opens the place for a file's answers, folders included; throws where the system refuses. @since 0.1.0 @category batch */
export const openAnswers = (folder: string, { kind, output }: BatchFile): AnswerFile => {
  const file = path.join(folder, output)
  fs.mkdirSync(path.dirname(file), { recursive: true })
  return kind === "lines" ? openLines(file) : openSingle(file)
}
