/**
 * The original's models, which its files name by number or by name.
 *
 * @since 0.1.0
 */
import type { ModelName } from "../../core/Ids.js"
import { unsafeModelName } from "../../core/Ids.js"
import type { Cell } from "./internal/csv.js"
import type { Position, SourceFile } from "./FormatError.js"
import { reject, shown } from "./FormatError.js"

/** Names by number. @since 0.1.0 @category models */
export const originalModels: ReadonlyArray<ModelName> = [
  "lenet1", "lenet2", "lenet3", "lenet4", "lenet5", "lenet6", "googlenet", "resnet50", "ssd-mobilenetv1", "vgg16", "mnasnet1_0", "mobilenet_v2",
  "densenet161", "bert"
].map(unsafeModelName)

const known: ReadonlySet<string> = new Set(originalModels)

/** The largest batch the original executes; its tables end there. @since 0.1.0 @category models */
export const largestBatch = 32

/** The lenets are one network; tables list it once. @since 0.1.0 @category models */
export const tableName = (model: string): string => (/^lenet[1-6]$/.test(model) ? "lenet1" : model)

export const isKnownModel = (name: string): boolean => known.has(name)

/** A known model's name, or an error at its place. */
export const modelNamed = (source: SourceFile, position: Position, name: string): ModelName =>
  isKnownModel(name)
    ? unsafeModelName(name)
    : reject(source, position, `${shown(name)} is no known model`, `known models are ${originalModels.join(", ")}`)

/** The model that a cell gives by number or by name. */
export const modelOfCell = (source: SourceFile, cell: Cell): ModelName => {
  if (!/^-?\d+$/.test(cell.text)) return modelNamed(source, cell, cell.text)
  return originalModels[Number(cell.text)] ??
    reject(source, cell, `there is no model ${shown(cell.text)}`, `give a number from 0 to ${originalModels.length - 1} or a name`)
}
