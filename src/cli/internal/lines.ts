import { createReadStream } from "node:fs"
import { pipeline } from "node:stream"
import { createGunzip } from "node:zlib"

interface NumberedLine {
  readonly line: number
  readonly text: string
}

/** Few formats have nearly as long ones. */
const usualLongest = 16 * 1024 * 1024

/** The lines of a text file, `.gz` unpacked, or of stdin for `-`, read as they are asked for; empty ones left out. */
export async function* linesOf(file: string, longest = usualLongest): AsyncGenerator<NumberedLine> {
  const bytes = file === "-" ? process.stdin : createReadStream(file)
  // The pipeline hands a failed read on to who iterates over its end.
  const stream = file.endsWith(".gz") ? pipeline(bytes, createGunzip(), () => undefined) : bytes
  stream.setEncoding("utf8")
  let line = 0
  // Pieces of a line that has not ended: joined once, however long it is.
  let pieces: Array<string> = []
  let length = 0
  const joined = (last: string): string => {
    const text = pieces.length === 0 ? last : pieces.join("") + last
    pieces = []
    length = 0
    return text
  }
  for await (const chunk of stream as AsyncIterable<string>) {
    let start = 0
    for (let end = chunk.indexOf("\n"); end >= 0; end = chunk.indexOf("\n", start)) {
      const text = joined(chunk.slice(start, end))
      start = end + 1
      line++
      if (text.trim() !== "") yield { line, text }
    }
    pieces.push(chunk.slice(start))
    length += chunk.length - start
    if (length > longest) throw new Error(`${file}, line ${line + 1} has more than ${longest} characters`)
  }
  const text = joined("")
  if (text.trim() !== "") yield { line: line + 1, text }
}
