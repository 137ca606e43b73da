import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as fs from "node:fs"
import * as path from "node:path"
import { CliError } from "../CliError.js"
import type { Target } from "../load/HttpConnection.js"
import type { InferBody } from "../load/InferRequests.js"
import { reasonOf } from "./files.js"
import { remoteBodies } from "./remoteBodies.js"
import { callServer } from "./serverClient.js"

/** Where Linux keeps POSIX shared-memory objects. */
const folder = "/dev/shm"
let regions = 0

interface BinaryInput {
  readonly parameters: { readonly binary_data_size: number }
}

/** The same requests with their tensors in a region of memory that the server, on this host, reads; it is gone when the scope closes. */
const sharedBodies = (target: Target, bodies: ReadonlyArray<InferBody>): Effect.Effect<ReadonlyArray<InferBody>, CliError, Scope.Scope> =>
  Effect.gen(function*() {
    const region = `glet-bench-${process.pid}-${++regions}`
    const file = path.join(folder, region)
    const tensors = bodies.map(({ bytes, jsonBytes }) => bytes.subarray(jsonBytes))
    const size = tensors.reduce((sum, { length }) => sum + length, 0)
    yield* Effect.acquireRelease(
      Effect.try({
        try: () => fs.writeFileSync(file, Buffer.concat(tensors), { mode: 0o600 }),
        catch: (error) => new CliError({ reason: "input", problem: `shared memory ${file} cannot be written: ${reasonOf(error)}`, hint: "--body binary needs none" })
      }),
      () => Effect.sync(() => fs.rmSync(file, { force: true }))
    )
    const call = (action: string, body: unknown) => callServer(target, `v2/systemsharedmemory/region/${region}/${action}`, Schema.Unknown, { method: "POST", body })
    yield* Effect.acquireRelease(
      call("register", { key: `/${region}`, offset: 0, byte_size: size }),
      () => Effect.ignore(call("unregister", {}))
    )
    let offset = 0
    return bodies.map(({ bytes, jsonBytes }): InferBody => {
      const { inputs, ...rest } = JSON.parse(bytes.toString("utf8", 0, jsonBytes)) as { readonly inputs: ReadonlyArray<BinaryInput> }
      const placed = inputs.map((input) => {
        const byteSize = input.parameters.binary_data_size
        const parameters = { shared_memory_region: region, shared_memory_offset: offset, shared_memory_byte_size: byteSize }
        offset += byteSize
        return { ...input, parameters }
      })
      return { bytes: Buffer.from(JSON.stringify({ ...rest, inputs: placed })), jsonBytes: undefined }
    })
  })

/** How the tensors of a request reach the server. */
type BodyFormat = "json" | "binary" | "shared"

/** Random requests for a model, after its metadata on the server. */
export const requestBodies = (
  target: Target,
  model: string,
  { format, ...options }: { readonly format: BodyFormat; readonly batch: number; readonly shapes: ReadonlyMap<string, ReadonlyArray<number>>; readonly freeSize?: number; readonly seed: number; readonly deadlineMs?: number | undefined }
): Effect.Effect<ReadonlyArray<InferBody>, CliError, Scope.Scope> =>
  format === "shared"
    ? Effect.flatMap(remoteBodies(target, model, { ...options, format: "binary" }), (bodies) => sharedBodies(target, bodies))
    : remoteBodies(target, model, { ...options, format })
