import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { CliError } from "../CliError.js"
import { usageError } from "../CliError.js"
import type { Target } from "../load/HttpConnection.js"
import type { BodyOptions, InferBody } from "../load/InferRequests.js"
import { makeInferBody } from "../load/InferRequests.js"
import { callServer } from "./serverClient.js"

const Metadata = Schema.Struct({
  inputs: Schema.Array(Schema.Struct({ name: Schema.String, datatype: Schema.String, shape: Schema.Array(Schema.Int) }))
})

// Different random inputs to send in turn: enough that a cache of one answer does not help.
const distinctBodies = 16

/** Random requests for a model, after its metadata on the server. */
export const remoteBodies = (
  target: Target,
  model: string,
  options: Omit<BodyOptions, "inputs">
): Effect.Effect<ReadonlyArray<InferBody>, CliError> =>
  Effect.gen(function*() {
    const { inputs } = yield* callServer(target, `v2/models/${encodeURIComponent(model)}`, Metadata)
    const unknown = [...options.shapes.keys()].find((name) => !inputs.some((input) => input.name === name))
    if (unknown !== undefined) {
      return yield* usageError(`--shape names "${unknown}", the model has ${inputs.map((input) => `"${input.name}"`).join(", ")}`)
    }
    const bodies: Array<InferBody> = []
    for (let i = 0; i < distinctBodies; i++) {
      const body = makeInferBody({ ...options, inputs, seed: options.seed + 1000 * i })
      if ("problem" in body) return yield* usageError(body.problem)
      bodies.push(body)
    }
    return bodies
  })
