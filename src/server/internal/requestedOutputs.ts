/** Which outputs a request wants, and how. */
import { InvalidRequest } from "../../core/RequestError.js"
import type { RequestedOutput } from "./boundRequest.js"
import type { CompiledModel } from "./compiledModel.js"
import { hasJsonForm } from "./jsonNumbers.js"
import { invalid, isCount, isObject, type Json, parametersOf, type RequestProblem, shown } from "./jsonValue.js"
import { sharedRange, type SharedRegions } from "./sharedRegions.js"
import { hasClasses } from "./topClasses.js"

const classesProblem = (classes: unknown, { model }: CompiledModel, index: number): string | undefined => {
  if (!isCount(classes)) return `must be a whole number of classes, found ${shown(classes)}`
  const { datatype } = model.signature.outputs[index]!
  return classes === 0 || hasClasses(datatype) ? undefined : `cannot be asked of type ${datatype}`
}

/** `byDefault`: whether outputs that do not say come back as binary data. */
export const requestedOutputs = (
  compiled: CompiledModel,
  json: Json,
  byDefault: boolean,
  regions: SharedRegions | undefined
): Array<RequestedOutput> | RequestProblem => {
  const asked = json["outputs"]
  const specs = compiled.model.signature.outputs
  const result: Array<RequestedOutput> = []
  if (asked === undefined || (Array.isArray(asked) && asked.length === 0)) {
    for (let index = 0; index < specs.length; index++) result.push({ index, binary: byDefault, classes: 0, shared: undefined })
  } else {
    if (!Array.isArray(asked)) return invalid("outputs", `must be an array, found ${shown(asked)}`)
    const seen = new Set<number>()
    for (let i = 0; i < asked.length; i++) {
      const field = `outputs[${i}]`
      const output: unknown = asked[i]
      if (!isObject(output)) return invalid(field, `must be an object, found ${shown(output)}`)
      const name = output["name"]
      const index = typeof name === "string" ? compiled.outputIndex.get(name) : undefined
      if (index === undefined) return invalid(`${field}.name`, `the model has no output ${shown(name)}; it has ${compiled.outputNames}`)
      if (seen.has(index)) return invalid(`${field}.name`, `output ${shown(name)} is asked for twice`)
      seen.add(index)
      const parameters = parametersOf(output, `${field}.`)
      if (parameters instanceof InvalidRequest) return parameters
      const { binary_data: binary, classification: classes = 0 } = parameters
      const wrong = classesProblem(classes, compiled, index)
      if (wrong !== undefined) return invalid(`${field}.parameters.classification`, wrong)
      const shared = sharedRange(regions, parameters, field, true)
      if (shared !== undefined && !("region" in shared)) return shared
      if (shared !== undefined && classes !== 0) return invalid(`${field}.parameters.classification`, "stands beside shared_memory_region; ask for one of them")
      if (binary !== undefined && typeof binary !== "boolean") {
        return invalid(`${field}.parameters.binary_data`, `must be true or false, found ${shown(binary)}`)
      }
      result.push({ index, binary: binary ?? byDefault, classes: classes as number, shared })
    }
  }
  for (const { binary, classes, index, shared } of result) {
    const spec = specs[index]!
    if (!binary && classes === 0 && shared === undefined && !hasJsonForm(spec.datatype)) {
      return invalid("outputs", `output ${JSON.stringify(spec.name)} is ${spec.datatype}, which has no JSON form: ask for it with "binary_data": true`)
    }
  }
  return result
}
