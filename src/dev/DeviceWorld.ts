/**
 * The machine that the page runs on: its GPU through WebGPU, or its processor through WebAssembly, and the demo's models.
 *
 * A WebGPU adapter that is software computes on the processor as well, only many times slower than WebAssembly does: then it is WebAssembly, which
 * the page says.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import { unsafeModelName } from "../core/Ids.js"
import { counted } from "../core/internal/counted.js"
import type { Model } from "../core/Model.js"
import { parseOnnx } from "../server/repository/OnnxBytes.js"
import { readSignature } from "../server/repository/Signature.js"
import { describeProvider } from "../webgpu/Capabilities.js"
import { installRuntime, runtimeVersion } from "../webgpu/RuntimePackage.js"
import * as WebGpuExecutor from "../webgpu/WebGpuExecutor.js"
import { webGpu } from "../webgpu/WebGpuInventory.js"
import type { DeviceStart } from "./DeviceStart.js"
import { runtimePath } from "./DeviceStart.js"
import { argmax, lenetInput } from "./DigitImages.js"
import type { ModelControls } from "./Messages.js"
import type { Sample, World, WorldModel } from "./World.js"

/** What `resource/demo/glet.json` says of a model. */
const Settings = Schema.Struct({
  models: Schema.Record({
    key: Schema.String,
    value: Schema.Struct({
      sloMs: Schema.optionalWith(Schema.Number, { default: () => 200 }),
      rateRps: Schema.optionalWith(Schema.Number, { default: () => 10 }),
      class: Schema.optionalWith(Schema.Literal("latency-critical", "best-effort"), { default: () => "latency-critical" as const }),
      maxBatch: Schema.optionalWith(Schema.Int, { default: () => 8 })
    })
  })
})
const Digits = Schema.Struct({ images: Schema.Array(Schema.Array(Schema.Number)), labels: Schema.Array(Schema.Int) })

const digitsModel = "lenet-digits"
/** Of a model that was dropped. */
const droppedControls: ModelControls = { serviceClass: "latency-critical", sloMs: 200, rateRps: 5 }
const droppedMaxBatch = 8

/** A tool of the demo, not a bug: said as it is. */
const get = (address: string, how: { readonly method?: "HEAD"; readonly cache?: "no-store" } = {}): Effect.Effect<Response, string> =>
  Effect.tryPromise({ try: (signal) => fetch(address, { ...how, signal }), catch: (error) => `${address} cannot be read: ${String(error)}` }).pipe(
    Effect.filterOrFail((response) => response.ok, (response) => `${address} cannot be read: HTTP ${response.status}`)
  )
const getJson = <A, I>(address: string, schema: Schema.Schema<A, I>): Effect.Effect<A, string> =>
  Effect.flatMap(get(address), (response) => Effect.promise(() => response.text())).pipe(
    Effect.flatMap((text) => Effect.mapError(Schema.decodeUnknown(Schema.parseJson(schema))(text), (error) => `${address}: ${error.message}`))
  )

const sha256Of = (bytes: Uint8Array): Effect.Effect<string> =>
  Effect.promise(async () =>
    [...new Uint8Array(await crypto.subtle.digest("SHA-256", bytes as Uint8Array<ArrayBuffer>))].map((byte) => byte.toString(16).padStart(2, "0")).join(""))

/** Gives bytes an address that workers can read. */
const keep = (bytes: Uint8Array): { readonly path: string; readonly release: () => void } => {
  const path = URL.createObjectURL(new Blob([bytes as Uint8Array<ArrayBuffer>]))
  return { path, release: () => URL.revokeObjectURL(path) }
}

/** Reads a model's bytes. @since 0.1.0 @category models */
export const readWorldModel = (
  name: string, bytes: Uint8Array, controls: ModelControls, maxBatch: number, removable: boolean
): Effect.Effect<WorldModel, string> =>
  Effect.gen(function*() {
    const file = `${name}.onnx`
    const read = Either.flatMap(parseOnnx(bytes, file), (onnx) => Either.map(readSignature(file, onnx, { batching: "auto" }), (reading) => ({ onnx, reading })))
    const { onnx, reading } = yield* Either.mapLeft(read, (error) => `this file cannot be read as an ONNX model: ${error.message}`)
    if (onnx.externalData.length > 0) return yield* Effect.fail(`${file} keeps weights in ${onnx.externalData[0]!.location}: a page reads single files only`)
    const { signature } = reading
    const bytesTensor = [...signature.inputs, ...signature.outputs].find(({ datatype }) => datatype === "BYTES")
    if (bytesTensor !== undefined) return yield* Effect.fail(`${file}: "${bytesTensor.name}" holds texts, which have no fixed size`)
    const { path, release } = keep(bytes)
    const model: Model = {
      name: unsafeModelName(name), version: 1, path, signature, maxBatch: signature.batchSymbol === undefined ? 1 : maxBatch,
      serviceClass: controls.serviceClass, expectedRateRps: controls.rateRps, weightBytes: bytes.byteLength,
      ...(controls.serviceClass === "best-effort" ? {} : { sloMs: controls.sloMs })
    }
    return { model, controls, sha256: yield* sha256Of(bytes), profile: undefined, removable, release }
  })

/** The world of a device that was started. @since 0.1.0 @category worlds */
export const make = ({ address, capabilities, workers }: DeviceStart): World => {
  let digits: typeof Digits.Type | undefined
  let next = 0
  // Beside the browser's cache: there it would wait for the worker that reads the same file, and that one for it.
  const isInstalled = Effect.mapError(get(address(runtimePath("ort.wasm.min.mjs")), { method: "HEAD", cache: "no-store" }), () =>
    `onnxruntime-web ${runtimeVersion} is not installed where glet dev was started: ${installRuntime} beside glet-orion, and start it again. The replay runs without`)
  const readDigits = Effect.map(getJson(address("resource/demo/digits-test.json"), Digits), (read) => {
    digits = read
  })
  const demoModels = Effect.flatMap(getJson(address("resource/demo/glet.json"), Settings), (settings) =>
    Effect.forEach(Object.entries(settings.models), ([name, { class: serviceClass, maxBatch, rateRps, sloMs }]) =>
      get(address(`resource/demo/${encodeURIComponent(name)}.onnx`)).pipe(
        Effect.flatMap((response) => Effect.promise(() => response.arrayBuffer())),
        Effect.flatMap((buffer) => readWorldModel(name, new Uint8Array(buffer), { serviceClass, sloMs, rateRps }, maxBatch, false))
      ), { concurrency: "unbounded" }))
  const models = Effect.all([isInstalled, readDigits, demoModels], { concurrency: "unbounded" }).pipe(Effect.map(([, , read]) => read))
  const sample = (model: string): Sample | undefined => {
    if (model !== digitsModel || digits === undefined) return undefined
    const at = next++ % digits.images.length
    const label = digits.labels[at]
    return { input: lenetInput(digits.images[at]!), isRight: (output) => argmax(output) === label }
  }
  const isGpu = capabilities.provider === "webgpu"
  return {
    name: "device",
    device: { label: isGpu ? describeProvider(capabilities) : `WebAssembly, ${counted(capabilities.threads, "thread")}`, note: capabilities.fallback ?? "" },
    speed: 1,
    gpus: [webGpu(capabilities)],
    gridPct: 10,
    // Each is a worker with onnxruntime-web and a device of its own.
    maxGletsPerGpu: 4,
    executor: WebGpuExecutor.layer({ workers }),
    keep,
    read: (name, bytes) => readWorldModel(name, bytes, droppedControls, droppedMaxBatch, true),
    models,
    sample
  }
}
