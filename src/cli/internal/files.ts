import * as Effect from "effect/Effect"
import * as fs from "node:fs"
import * as path from "node:path"
import { CliError } from "../CliError.js"

/** Why the system refused. */
export const reasonOf = (error: unknown): string => {
  const code = error instanceof Error && "code" in error ? String(error.code) : ""
  switch (code) {
    case "ENOENT": return "it does not exist"
    case "EACCES":
    case "EPERM": return "permission denied"
    case "EISDIR": return "it is a folder"
    case "ENOTDIR": return "a part of the path is not a folder"
    case "ENOSPC": return "the disk is full"
    case "EROFS": return "the file system is read-only"
    default: return error instanceof Error ? error.message : String(error)
  }
}

const maxBytes = 256 * 1024 * 1024

/** How long to wait for more of stdin where it does not block: pipes that another program made may be so. */
const stdinPauseMs = 5

const readStdin = (): string => {
  const parts: Array<Buffer> = []
  const part = Buffer.allocUnsafe(1 << 16)
  let bytes = 0
  for (;;) {
    try {
      const read = fs.readSync(0, part)
      if (read === 0) return Buffer.concat(parts).toString("utf8")
      bytes += read
      if (bytes > maxBytes) throw new Error(`it has more than ${maxBytes} bytes`)
      parts.push(Buffer.from(part.subarray(0, read)))
    } catch (error) {
      if (!(error instanceof Error && "code" in error)) throw error
      if (error.code === "EOF") return Buffer.concat(parts).toString("utf8")
      if (error.code !== "EAGAIN") throw error
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, stdinPauseMs)
    }
  }
}

/** A text file, or stdin for `-`. */
export const readText = (file: string, what: string): Effect.Effect<string, CliError> =>
  Effect.try({
    try: () => {
      if (file === "-") return readStdin()
      const { size } = fs.statSync(file)
      if (size > maxBytes) throw new Error(`it has ${size} bytes, more than ${maxBytes}`)
      return fs.readFileSync(file, "utf8")
    },
    catch: (error) => new CliError({ reason: "input", problem: `${what} ${file} cannot be read: ${reasonOf(error)}` })
  })

/** What is missing is the folder: a file that is not there is made. */
const unwritable = (file: string, what: string, error: unknown): CliError => {
  const isFolderMissing = error instanceof Error && "code" in error && error.code === "ENOENT"
  const problem = isFolderMissing ? `its folder ${path.dirname(path.resolve(file))} does not exist` : reasonOf(error)
  return new CliError({ reason: "input", problem: `${what} ${file} cannot be written: ${problem}` })
}

/** Writes a text file, or stdout for `-`. */
export const writeText = (file: string, text: string, what: string): Effect.Effect<void, CliError> =>
  Effect.try({
    try: () => {
      if (file === "-") process.stdout.write(text)
      else fs.writeFileSync(file, text)
    },
    catch: (error) => unwritable(file, what, error)
  })

/** Fails before long work whose result could not be written. */
export const checkWritable = (file: string, what: string): Effect.Effect<void, CliError> =>
  file === "-" ? Effect.void : Effect.try({
    try: () => {
      if (fs.existsSync(file) && fs.statSync(file).isDirectory()) throw Object.assign(new Error(), { code: "EISDIR" })
      fs.accessSync(fs.existsSync(file) ? file : path.dirname(path.resolve(file)), fs.constants.W_OK)
    },
    catch: (error) => unwritable(file, what, error)
  })

/** The folder behind `--models`. */
export const modelFolder = (folder: string): Effect.Effect<string, CliError> =>
  Effect.try({
    try: () => {
      if (!fs.statSync(folder).isDirectory()) throw new Error("it is a file, not a folder")
      fs.accessSync(folder, fs.constants.R_OK | fs.constants.X_OK)
      return path.resolve(folder)
    },
    catch: (error) => new CliError({ reason: "input", problem: `the model folder ${folder} cannot be used: ${reasonOf(error)}`, hint: "--models names a folder of .onnx files" })
  })

/** Parses JSON; the error names the file. */
export const parseJson = (text: string, file: string): Effect.Effect<unknown, CliError> =>
  Effect.try({
    try: (): unknown => JSON.parse(text),
    catch: (error) => new CliError({ reason: "input", problem: `${file} is not JSON: ${error instanceof Error ? error.message : String(error)}` })
  })
