/** Model folders, and profiles that emulated GPUs replay. */
import * as Effect from "effect/Effect"
import { createHash } from "node:crypto"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { unsafeModelName } from "../../../src/core/Ids.js"
import type { ModelProfile, Profile } from "../../../src/core/Profile.js"

export type Files = Readonly<Record<string, Uint8Array | string>>

export const writeFiles = (folder: string, files: Files): void => {
  for (const [name, content] of Object.entries(files)) {
    fs.mkdirSync(path.dirname(path.join(folder, name)), { recursive: true })
    fs.writeFileSync(path.join(folder, name), content)
  }
}

/** A folder that goes with the scope. */
export const tempFolder = (files: Files) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const folder = fs.mkdtempSync(path.join(os.tmpdir(), "glet-e2e-"))
      writeFiles(folder, files)
      return folder
    }),
    (folder) => Effect.sync(() => fs.rmSync(folder, { recursive: true, force: true }))
  )

export interface Timing {
  readonly file: Uint8Array
  /** Of one item on the whole GPU, ms; half a GPU takes half as long again, sixteen items take four times as long. */
  readonly itemMs: number
}

const point = (sharePct: number, batch: number, p50Ms: number) => ({
  sharePct, batch, meanMs: p50Ms, p50Ms, p90Ms: p50Ms * 1.02, p99Ms: p50Ms * 1.05, count: 100
})

/** A GPU type on which these models take these times. */
export const profileOf = (models: Readonly<Record<string, Timing>>): Profile => ({
  apiVersion: "glet/v1alpha1", kind: "Profile", gpuType: "unit", isolation: "mps", units: 100,
  models: Object.entries(models).map(([name, { file, itemMs }]): ModelProfile => ({
    model: unsafeModelName(name), sha256: createHash("sha256").update(file).digest("hex"), memoryBytes: 1e8, loadMs: 5, maxBatch: 16,
    points: [
      point(20, 1, 3 * itemMs), point(20, 16, 12 * itemMs), point(50, 1, 1.5 * itemMs), point(50, 16, 6 * itemMs),
      point(100, 1, itemMs), point(100, 16, 4 * itemMs)
    ]
  }))
})
