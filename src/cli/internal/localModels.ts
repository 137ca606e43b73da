import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type { ModelSettings } from "../../server/repository/ModelSettings.js"
import { defaultSettings, readSettings } from "../../server/repository/ModelSettings.js"
import type { ReadModel } from "../../server/repository/ReadModel.js"
import { readModel } from "../../server/repository/ReadModel.js"
import type { RepositoryError } from "../../server/repository/RepositoryError.js"
import type { FoundModel } from "../../server/repository/Scan.js"
import { scanRepository } from "../../server/repository/Scan.js"
import { unknownNames } from "../../server/repository/unknownNames.js"
import { CliError } from "../CliError.js"
import { note } from "./terminal.js"

const scanOptions = { followLinks: false }

/** The models of a folder, as a server would read them; those that cannot be read are named on stderr. */
export const readModels = (
  folder: string,
  overrides: ReadonlyMap<string, ModelSettings>
): Effect.Effect<ReadonlyArray<ReadModel>, CliError | RepositoryError> =>
  Effect.gen(function*() {
    const found = yield* scanRepository(folder, scanOptions)
    const settings = yield* readSettings(folder)
    for (const line of unknownNames(found, settings, overrides)) note(line)
    const models: Array<ReadModel> = []
    for (const one of found) {
      const read = yield* Effect.either(Effect.gen(function*() {
        const fromFile = settings.models.get(one.name)
        const layers = [overrides.get(one.name), fromFile === undefined ? undefined : yield* fromFile]
        return yield* readModel(one, { ...scanOptions, defaults: defaultSettings, settings: layers.filter((layer) => layer !== undefined) })
      }))
      if (Either.isRight(read)) models.push(read.right)
      else note(`${one.name} is left out: ${read.left.message}`)
    }
    if (models.length === 0) {
      return yield* new CliError({ reason: "input", problem: `no model in ${folder} can be used`, ...(found.length === 0 ? { hint: "it holds no .onnx file and no folder in Triton's layout" } : {}) })
    }
    return models
  })

/** One .onnx file as a model. */
export const readModelFile = (file: string, name: string): Effect.Effect<ReadModel, RepositoryError> => {
  const found: FoundModel = { name, path: file, versions: undefined, hasConfig: false, problem: undefined, fingerprint: "" }
  return readModel(found, { followLinks: true, defaults: { ...defaultSettings, maxBatch: 65536 }, settings: [] })
}
