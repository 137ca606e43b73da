/** Moves bytes of a client's memory by position through its file: a region that its owner has shrunk is a short read. What goes wrong is said. */
import * as fs from "node:fs"

export type Transfer = "read" | "write"

export const shrunk = "is shorter than when it was registered: its owner has shrunk it"

export const transferProblem = (transfer: Transfer, error: unknown): string => `cannot be ${transfer === "read" ? "read" : "written"}: ${error instanceof Error ? error.message : String(error)}`

export const transferSync = (transfer: Transfer, fd: number, bytes: Uint8Array, position: number): string | undefined => {
  try {
    for (let done = 0; done < bytes.byteLength;) {
      const left = bytes.byteLength - done
      const count = transfer === "read" ? fs.readSync(fd, bytes, done, left, position + done) : fs.writeSync(fd, bytes, done, left, position + done)
      if (count === 0) return shrunk
      done += count
    }
    return undefined
  } catch (error) {
    return transferProblem(transfer, error)
  }
}
