/** A folder with made-up files in gpulet's formats. */
import * as fs from "node:fs"
import * as path from "node:path"
import { files } from "../../scheduler/original/sources.js"

export interface OriginalFolder {
  /** With everything that the tables describe. */
  readonly resource: string
  /** Writes a file beside it. */
  readonly write: (name: string, text: string | Buffer) => string
  readonly read: (name: string) => string
}

export const sched = (changes: Readonly<Record<string, unknown>> = {}): string =>
  JSON.stringify({ GPUs: [{ Type: "small", Num: 3 }], "Max Model": 3, Part: true, "Latency Ratio": 1.1, Interference: true, ...changes })

export const writeOriginalFolder = (under: string): OriginalFolder => {
  const folder = fs.mkdtempSync(path.join(under, "original-"))
  const resource = path.join(folder, "resource")
  for (const [name, text] of files) {
    fs.mkdirSync(path.dirname(path.join(resource, name)), { recursive: true })
    fs.writeFileSync(path.join(resource, name), text)
  }
  return {
    resource,
    write: (name, text) => {
      fs.writeFileSync(path.join(folder, name), text)
      return path.join(folder, name)
    },
    read: (name) => fs.readFileSync(path.join(folder, name), "utf8")
  }
}
