/** The last lines of a process's stderr, kept for the day it dies. */
import type { Readable } from "node:stream"

const keptChars = 4096

/** Reads a stream to its end; returns what it said last, without blank space around it. */
export const keepTail = (stream: Readable): () => string => {
  let tail = ""
  stream.setEncoding("utf8")
  stream.on("data", (text: string) => {
    tail = (tail + text).slice(-keptChars)
  })
  return () => tail.trim()
}
