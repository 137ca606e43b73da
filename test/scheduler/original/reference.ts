/**
 * Reads a folder of reference runs of the original: its profile, cases and tables. Nothing of it is part of the project.
 */
import * as Either from "effect/Either"
import { readFileSync } from "node:fs"
import * as path from "node:path"
import { gunzipSync } from "node:zlib"
import type { PlanningCase } from "../../../src/scheduler/original/Cases.js"
import { parseCases } from "../../../src/scheduler/original/Cases.js"
import type { OriginalResource } from "../../../src/scheduler/original/Resource.js"
import { loadResource } from "../../../src/scheduler/original/Resource.js"

export interface Reference {
  readonly resource: OriginalResource
  readonly read: (file: string) => string
  readonly cases: () => ReadonlyArray<PlanningCase>
  /** Rows of a table by column. */
  readonly table: (file: string) => ReadonlyArray<Readonly<Record<string, string>>>
}

export const readReference = (folder: string): Reference => {
  const read = (file: string): string => {
    const bytes = readFileSync(path.join(folder, file))
    return (file.endsWith(".gz") ? gunzipSync(bytes) : bytes).toString("utf8")
  }
  return {
    resource: Either.getOrThrow(loadResource((file) => Either.right(read(path.join("profile", file))))),
    read,
    cases: () => Either.getOrThrow(parseCases({ file: "cases.jsonl.gz", text: read("cases.jsonl.gz") })),
    table: (file) => {
      const [header = "", ...lines] = read(file).trim().split("\n")
      const columns = header.split(",")
      return lines.map((line) => Object.fromEntries(line.split(",").map((cell, i) => [columns[i]!, cell])))
    }
  }
}
