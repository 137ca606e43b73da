/** Reads the JSON of an infer request; what stands before binary data is usually what stood there last time. */
import { InvalidRequest } from "../../core/RequestError.js"
import type { CompiledModel } from "./compiledModel.js"
import type { BoundRequest } from "./boundRequest.js"
import { bindRequest } from "./inferRequest.js"
import { scanRequest } from "./inferScan.js"
import type { RequestProblem } from "./jsonValue.js"
import type { SharedRegions } from "./sharedRegions.js"

/** Longer JSON is not kept: it holds data, or little repeats in it. */
const keptBytes = 1024

/** What a request asks of its model, or what is wrong with it. `binary` says that binary data follow the JSON; see `bindRequest`. */
export const readRequest = (
  compiled: CompiledModel,
  json: Buffer,
  binary: boolean,
  capacityBytes: number,
  regions: SharedRegions | undefined
): BoundRequest | RequestProblem => {
  const { last } = compiled
  if (binary && last.request !== undefined && last.json.equals(json)) return last.request
  const scanned = scanRequest(json, binary ? `body (its first ${json.length} bytes)` : "body")
  if (scanned instanceof InvalidRequest) return scanned
  const bound = bindRequest(compiled, scanned, binary, capacityBytes, regions)
  // Regions come and go, and numbers in the JSON are read from where they stand in it.
  if (binary && json.length <= keptBytes && "inputs" in bound && bound.regions.length === 0 && bound.inputs.every(({ range }) => range === undefined)) {
    last.json = Buffer.from(json)
    last.request = bound
  }
  return bound
}
