import { createReadStream } from "node:fs"
import { pipeline } from "node:stream"
import { createGunzip } from "node:zlib"

interface NumberedLine {
  readonly line: number
  readonly text: string
}

/** No format here has nearly as long ones. */
const longest = 16 * 1024 * 1024

/** The lines of a text file, `.gz` unpacked, or of stdin for `-`, read as they are asked for; empty ones left out. */
export async function* linesOf(file: string): AsyncGenerator<NumberedLine> {
  const bytes = file === "-" ? process.stdin : createReadStream(file)
  // The pipeline hands a failed read on to who iterates over its end.
  const stream = file.endsWith(".gz") ? pipeline(bytes, createGunzip(), () => undefined) : bytes
  stream.setEncoding("utf8")
  let line = 0
  let rest = ""
  for await (const chunk of stream as AsyncIterable<string>) {
    const texts = (rest + chunk).split("\n")
    rest = texts.pop() ?? ""
    for (const text of texts) {
      line++
      if (text.trim() !== "") yield { line, text }
    }
    if (rest.length > longest) throw new Error(`line ${line + 1} has more than ${longest} characters`)
  }
  if (rest.trim() !== "") yield { line: line + 1, text: rest }
}
