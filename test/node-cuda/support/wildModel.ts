import * as Effect from "effect/Effect"
import * as fs from "node:fs"
import * as path from "node:path"
import { readModelFile } from "../../../src/cli/internal/localModels.js"
import { unsafeModelName } from "../../../src/core/Ids.js"
import type { Model } from "../../../src/core/Model.js"
import * as onnx from "../../support/onnx.js"

/** Puts a file into a folder and reads it as the repository does; batches of four at most. */
export const wildModelIn = (folder: string) => (name: string, definition: onnx.ModelDef): Effect.Effect<Model, unknown> =>
  Effect.gen(function*() {
    const file = path.join(folder, `${name}.onnx`)
    fs.writeFileSync(file, onnx.makeModel(definition))
    const { model } = yield* readModelFile(file, name)
    return { ...model, name: unsafeModelName(name), maxBatch: Math.min(model.maxBatch, 4) }
  })
