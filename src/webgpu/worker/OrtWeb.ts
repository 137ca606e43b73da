/** onnxruntime-web in this realm: its sessions, one call at a time (it is not re-entrant, whatever the build). */
import type * as Ort from "onnxruntime-common"
import { dynamicOutputs, maxOverflowBytes, warmBindings } from "../../core/internal/batchAssembly.js"
import { compareSignature, LoadFailure, textOf } from "../../core/internal/loadFailure.js"
import type { ModelSignature } from "../../core/Model.js"
import type { SlotLayout } from "../../core/SlotLayout.js"
import { boundShape, makeSlotLayout } from "../../core/SlotLayout.js"
import type { DataType, TensorSpec } from "../../core/Tensor.js"
import type { DynamicResult, ModelBytes, OrtBuild, RuntimeLocation } from "../internal/protocol.js"
import type { HeldDevice } from "./device.js"

/** onnxruntime-web's names of element types and the arrays it wants for them. BF16 it does not know. */
const tensorTypes = {
  BOOL: ["bool", Uint8Array], UINT8: ["uint8", Uint8Array], UINT16: ["uint16", Uint16Array], UINT32: ["uint32", Uint32Array],
  UINT64: ["uint64", BigUint64Array], INT8: ["int8", Int8Array], INT16: ["int16", Int16Array], INT32: ["int32", Int32Array],
  INT64: ["int64", BigInt64Array], FP16: ["float16", Uint16Array], FP32: ["float32", Float32Array], FP64: ["float64", Float64Array]
} as const

const typeOf = (datatype: DataType): (typeof tensorTypes)[keyof typeof tensorTypes] => {
  if (datatype === "BF16" || datatype === "BYTES") throw new LoadFailure("unsupported", `onnxruntime-web has no tensors of ${datatype}`)
  return tensorTypes[datatype]
}

interface LoadedModel {
  readonly layout: SlotLayout
  readonly dynamic: ReadonlyArray<number>
  readonly session: Ort.InferenceSession
}

/** What a run gave; outputs with a place stand in its buffer. */
export interface RunResult {
  readonly inferMs: number
  readonly outputMs: number
  readonly deviceMs: number | undefined
  readonly dynamic: ReadonlyArray<DynamicResult>
}

/** A failure after which onnxruntime-web cannot be used in this realm any more, or creates no sessions. */
export const isSpoiling = (error: unknown): boolean =>
  (error instanceof Error && error.name === "RuntimeError") || /out of bounds|unreachable|aborted|another WebGPU EP|session mismatch/i.test(textOf(error))

const importBuild = (build: OrtBuild, { modules }: RuntimeLocation): Promise<typeof Ort> => {
  const address = modules?.[build]
  if (address !== undefined) return import(/* @vite-ignore */ /* webpackIgnore: true */ address) as Promise<typeof Ort>
  switch (build) {
    case "jspi":
      return import("onnxruntime-web/jspi")
    case "webgpu":
      return import("onnxruntime-web/webgpu")
    case "wasm":
      return import("onnxruntime-web/wasm")
  }
}

/** Loads the build of onnxruntime-web. */
export const importOrt = async (build: OrtBuild, runtime: RuntimeLocation, threads: number): Promise<typeof Ort> => {
  const ort = await importBuild(build, runtime)
  ort.env.wasm.numThreads = threads
  ort.env.logLevel = "error"
  if (runtime.wasmPaths !== undefined) ort.env.wasm.wasmPaths = runtime.wasmPaths as Ort.Env.WasmPrefixOrFilePaths
  return ort
}

/** An ONNX file with one node, y = x. */
const smallestModel = "CAgSADo3ChAKAXgSAXkiCElkZW50aXR5EgFnWg8KAXgSCgoICAESBAoCCAFiDwoBeRIKCggIARIECgIIAUICEA0="

/** Compiles and starts onnxruntime-web, which it does no sooner than for its first session. That one is WebAssembly's in every build. */
export const warmUp = async (ort: typeof Ort): Promise<void> => {
  const bytes = Uint8Array.from(atob(smallestModel), (char) => char.charCodeAt(0))
  const session = await ort.InferenceSession.create(bytes, { executionProviders: ["wasm"], logSeverityLevel: 3 })
  await session.release()
}

/** The sessions of a glet. Callers wait for one call's end before the next. */
export class OrtWeb {
  private readonly models = new Map<number, LoadedModel>()

  /** `held` undefined: WebAssembly. */
  constructor(private readonly ort: typeof Ort, private readonly held: HeldDevice | undefined) {}

  /** Loads and warms up; gives the bytes of the device that the model took. Throws `LoadFailure`. */
  async load(number: number, file: ModelBytes, signature: ModelSignature, warmBatches: ReadonlyArray<number>): Promise<number> {
    for (const spec of [...signature.inputs, ...signature.outputs]) typeOf(spec.datatype)
    const before = this.held?.usedBytes() ?? 0
    this.held?.takeOutOfMemory()
    const session = await this.create(file)
    try {
      compareSignature(signature, {
        inputs: new Map(session.inputMetadata.map((value) => [value.name, value.isTensor ? value.type : "no tensor"])),
        outputs: new Map(session.outputMetadata.map((value) => [value.name, value.isTensor ? value.type : "no tensor"]))
      }, (datatype) => typeOf(datatype)[0])
      const layout = makeSlotLayout(signature)
      const model: LoadedModel = { layout, dynamic: dynamicOutputs(layout), session }
      for (const items of warmBatches) await this.warm(model, items)
      this.models.set(number, model)
      return this.held === undefined ? file.bytes.byteLength : Math.max(0, this.held.usedBytes() - before)
    } catch (error) {
      await session.release()
      throw error
    }
  }

  async unload(number: number): Promise<void> {
    const model = this.models.get(number)
    this.models.delete(number)
    await model?.session.release()
  }

  /** Runs items that stand in `buffer`, laid out as one slot. */
  async run(number: number, items: number, bindings: ReadonlyArray<number>, buffer: ArrayBuffer): Promise<RunResult> {
    const model = this.models.get(number)
    if (model === undefined) throw new Error("the model is not loaded")
    this.held?.takeOutOfMemory()
    this.held?.clock?.begin()
    const start = performance.now()
    const outputs = await this.infer(model, items, bindings, buffer).catch((error: unknown) => {
      // A buffer that was refused ends the run in whatever way.
      this.assertMemory()
      throw error
    })
    const ended = performance.now()
    const deviceMs = await this.held?.clock?.end()
    this.assertMemory()
    const taking = performance.now()
    const dynamic = this.take(model, items, bindings, outputs, buffer)
    return { inferMs: ended - start, outputMs: performance.now() - taking, deviceMs, dynamic }
  }

  private async create({ bytes, external }: ModelBytes): Promise<Ort.InferenceSession> {
    const { held, ort } = this
    // In its own layout, NHWC, onnxruntime 1.30 computes convolutions of few channels wrongly (LeNet's logits are off by 8).
    const gpu = { name: "webgpu", preferredLayout: "NCHW", device: held?.device }
    const provider = held === undefined ? "wasm" : gpu as unknown as Ort.InferenceSession.ExecutionProviderConfig
    try {
      return await ort.InferenceSession.create(new Uint8Array(bytes), {
        executionProviders: [provider],
        logSeverityLevel: 3,
        ...(external.length === 0 ? {} : { externalData: external.map((one) => ({ path: one.path, data: new Uint8Array(one.bytes) })) })
      })
    } catch (error) {
      this.assertMemory()
      throw error
    }
  }

  /** Throws where the device refused memory since it was last asked. */
  private assertMemory(): void {
    const refused = this.held?.takeOutOfMemory()
    if (refused !== undefined) throw new LoadFailure("no-memory", refused)
  }

  private async warm(model: LoadedModel, items: number): Promise<void> {
    const bindings = warmBindings(model.layout)
    try {
      await this.infer(model, items, bindings, new ArrayBuffer(model.layout.placement(items, bindings).totalBytes))
    } catch (error) {
      this.assertMemory()
      if (model.layout.isStatic || isSpoiling(error)) throw new LoadFailure("warm-up-failed", textOf(error))
    }
    this.assertMemory()
  }

  private infer({ layout, session }: LoadedModel, items: number, bindings: ReadonlyArray<number>, buffer: ArrayBuffer): Promise<Ort.InferenceSession.ReturnType> {
    const { inputBytes, inputOffsets } = layout.placement(items, bindings)
    const feeds: Record<string, Ort.Tensor> = {}
    layout.signature.inputs.forEach((spec, j) => {
      const [type, Values] = typeOf(spec.datatype)
      const values = new Values(buffer, inputOffsets[j]!, inputBytes[j]! / Values.BYTES_PER_ELEMENT)
      feeds[spec.name] = new this.ort.Tensor(type as "float32", values as Float32Array, boundShape(layout, spec, items, bindings)!)
    })
    return session.run(feeds, layout.signature.outputs.map((spec) => spec.name))
  }

  /** Copies outputs of known size to their places, the others beside them. */
  private take(
    { dynamic, layout }: LoadedModel,
    items: number,
    bindings: ReadonlyArray<number>,
    outputs: Ort.InferenceSession.ReturnType,
    buffer: ArrayBuffer
  ): ReadonlyArray<DynamicResult> {
    const { outputBytes, outputOffsets } = layout.placement(items, bindings)
    const target = new Uint8Array(buffer)
    const beside: Array<DynamicResult> = []
    layout.signature.outputs.forEach((spec: TensorSpec, j) => {
      const { data, dims } = outputs[spec.name]!
      const view = data as Float32Array
      const own = new Uint8Array(view.buffer, view.byteOffset, view.byteLength)
      if (dynamic.includes(j)) {
        if (own.length > maxOverflowBytes) throw new Error(`output "${spec.name}" takes ${own.length} bytes; the limit is ${maxOverflowBytes}`)
        beside.push({ output: j, shape: [...dims], bytes: own.slice() as Uint8Array<ArrayBuffer> })
        return
      }
      const expected = boundShape(layout, spec, items, bindings)!
      if (own.length !== outputBytes[j]! || expected.some((dim, axis) => dim !== dims[axis])) {
        throw new Error(`output "${spec.name}" came with shape [${dims}], expected [${expected}]`)
      }
      target.set(own, outputOffsets[j]!)
    })
    return beside
  }
}
