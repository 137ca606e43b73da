/** The worker thread's side of the `ort-js` engine: sessions of onnxruntime-node, one batch after the other. */
import type { InferenceSession, Tensor } from "onnxruntime-common"
import { createRequire } from "node:module"
import { parentPort, workerData } from "node:worker_threads"
import type { SlotLayout } from "../../core/SlotLayout.js"
import { boundShape, makeSlotLayout } from "../../core/SlotLayout.js"
import type { DataType, TensorSpec } from "../../core/Tensor.js"
import { mapSegment } from "../internal/segment.js"
import type { DynamicOutput, RunBatch } from "../../core/internal/batchAssembly.js"
import { batchProblem, dynamicOutputs, gather, maxOverflowBytes, mustRunZeros, scatter, scatterDynamic, warmBindings } from "../../core/internal/batchAssembly.js"
import type { LoadRequest, RunEnd } from "./Engine.js"
import { withExternalWeights } from "./externalWeights.js"
import { LoadFailure, textOf } from "../../core/internal/loadFailure.js"
import { compareSignature, loadFailureOf } from "../../core/internal/loadFailure.js"
import type { WorkerReply, WorkerRequest, WorkerSetup } from "./ortJsProtocol.js"

type Ort = typeof import("onnxruntime-node")

/** onnxruntime-node's names of element types and the typed arrays it wants for them. BF16 it does not know. */
const tensorTypes = {
  BOOL: ["bool", Uint8Array], UINT8: ["uint8", Uint8Array], UINT16: ["uint16", Uint16Array], UINT32: ["uint32", Uint32Array],
  UINT64: ["uint64", BigUint64Array], INT8: ["int8", Int8Array], INT16: ["int16", Int16Array], INT32: ["int32", Int32Array],
  INT64: ["int64", BigInt64Array], FP16: ["float16", Uint16Array], FP32: ["float32", Float32Array], FP64: ["float64", Float64Array]
} as const

/** The provider's part of the session options. In its own layout, NHWC, WebGPU's convolutions of few channels are wrong in onnxruntime 1.30. */
const providers: Readonly<Record<WorkerSetup["provider"], InferenceSession.SessionOptions>> = {
  cpu: {},
  cuda: { executionProviders: ["cuda"] },
  webgpu: { executionProviders: [{ name: "webgpu", preferredLayout: "NCHW" }] }
}

interface LoadedModel {
  readonly layout: SlotLayout
  readonly dynamic: ReadonlyArray<number>
  readonly session: InferenceSession
}

const typeOf = (datatype: DataType): (typeof tensorTypes)[keyof typeof tensorTypes] => {
  if (datatype === "BF16" || datatype === "BYTES") throw new LoadFailure("unsupported", `onnxruntime-node has no tensors of ${datatype}`)
  return tensorTypes[datatype]
}

/** Answers the runner's requests until the thread is ended. */
export const runOrtJsWorker = (): void => {
  const { memory, provider, threads } = workerData as WorkerSetup
  const ort = createRequire(import.meta.url)("onnxruntime-node") as Ort
  const segment = new Uint8Array(memory instanceof SharedArrayBuffer ? memory : mapSegment(memory.fd, memory.byteLength).memory)
  const models = new Map<number, LoadedModel>()

  const tensor = (spec: TensorSpec, shape: ReadonlyArray<number>, bytes: Uint8Array, offset: number, byteLength: number): Tensor => {
    const [type, Values] = typeOf(spec.datatype)
    const values = new Values(bytes.buffer as ArrayBuffer, bytes.byteOffset + offset, byteLength / Values.BYTES_PER_ELEMENT)
    return new ort.Tensor(type as "float32", values as Float32Array, shape)
  }

  /** Runs items whose inputs stand in `bytes`, laid out as one slot; gives the outputs as they come. */
  const infer = async ({ layout, session }: LoadedModel, items: number, bindings: ReadonlyArray<number>, bytes: Uint8Array) => {
    const placement = layout.placement(items, bindings)
    const feeds: Record<string, Tensor> = {}
    layout.signature.inputs.forEach((spec, j) => {
      feeds[spec.name] = tensor(spec, boundShape(layout, spec, items, bindings)!, bytes, placement.inputOffsets[j]!, placement.inputBytes[j]!)
    })
    return session.run(feeds, layout.signature.outputs.map((spec) => spec.name))
  }

  const load = async (request: LoadRequest): Promise<LoadedModel> => {
    const layout = makeSlotLayout(request.signature)
    for (const spec of [...request.signature.inputs, ...request.signature.outputs]) typeOf(spec.datatype)
    // What computes elsewhere copies them there while the session is created.
    const session = await withExternalWeights(provider === "cpu" ? request.files ?? [] : [], (weights) => ort.InferenceSession.create(request.path, {
      ...(weights.length === 0 ? {} : { externalData: weights.map(({ bytes, location }) => ({ path: location, data: bytes })) }),
      intraOpNumThreads: threads,
      interOpNumThreads: 1,
      ...providers[provider],
      logSeverityLevel: 3,
      // On CUDA no node may run on the CPU. That refuses models whose shapes are computed there, too: this API cannot tell them apart.
      extra: { session: { intra_op: { allow_spinning: "0" }, ...(provider === "cuda" ? { disable_cpu_ep_fallback: "1" } : {}) } }
    }))
    try {
      compareSignature(request.signature, {
        inputs: new Map(session.inputMetadata.map((value) => [value.name, value.isTensor ? value.type : "no tensor"])),
        outputs: new Map(session.outputMetadata.map((value) => [value.name, value.isTensor ? value.type : "no tensor"]))
      }, (datatype) => typeOf(datatype)[0])
      const model: LoadedModel = { layout, dynamic: dynamicOutputs(layout), session }
      for (const items of request.warmBatches) await warm(model, items)
      return model
    } catch (error) {
      await session.release()
      throw error
    }
  }
  const warm = async (model: LoadedModel, items: number): Promise<void> => {
    const bindings = warmBindings(model.layout)
    try {
      await infer(model, items, bindings, new Uint8Array(model.layout.placement(items, bindings).totalBytes))
    } catch (error) {
      if (mustRunZeros(model.layout)) throw new LoadFailure("warm-up-failed", textOf(error))
    }
  }

  const run = async (model: LoadedModel | undefined, batch: RunBatch): Promise<RunEnd> => {
    if (model === undefined) return { ok: false, detail: "the model is not loaded" }
    const { layout } = model
    const problem = batchProblem(layout, batch, segment.length)
    if (problem !== undefined) return { ok: false, detail: problem }
    const start = performance.now()
    const placement = layout.placement(batch.items, batch.bindings)
    // onnxruntime-node takes a mapped segment as it takes any memory, but no SharedArrayBuffer.
    const inPlace = batch.offsets.length === 1 && !(memory instanceof SharedArrayBuffer)
    const bytes = inPlace ? segment.subarray(batch.offsets[0], batch.offsets[0]! + placement.totalBytes) : new Uint8Array(placement.totalBytes)
    if (!inPlace) gather(layout, segment, batch, bytes, placement)
    const gathered = performance.now()
    const outputs = await infer(model, batch.items, batch.bindings, bytes)
    const inferred = performance.now()
    const dynamic = take(model, batch, outputs, bytes)
    if (!inPlace) scatter(layout, segment, batch, bytes, placement)
    return {
      ok: true,
      inputMs: gathered - start,
      inferMs: inferred - gathered,
      outputMs: performance.now() - inferred,
      outputBindings: dynamic?.outputBindings ?? [],
      overflow: dynamic?.overflow
    }
  }
  /** Copies outputs of known size to their places in `bytes`, the others to entries. */
  const take = ({ dynamic, layout }: LoadedModel, batch: RunBatch, outputs: InferenceSession.ReturnType, bytes: Uint8Array) => {
    const { outputBytes, outputOffsets } = layout.placement(batch.items, batch.bindings)
    const found = layout.signature.outputs.map((spec, j): DynamicOutput | undefined => {
      const { data, dims } = outputs[spec.name]!
      const view = data as Float32Array
      const own = new Uint8Array(view.buffer, view.byteOffset, view.byteLength)
      if (dynamic.includes(j)) {
        if (own.length > maxOverflowBytes) throw new Error(`output "${spec.name}" takes ${own.length} bytes; the limit is ${maxOverflowBytes}`)
        return { shape: dims, bytes: own }
      }
      const expected = boundShape(layout, spec, batch.items, batch.bindings)!
      if (own.length !== outputBytes[j]! || expected.some((dim, axis) => dim !== dims[axis])) {
        throw new Error(`output "${spec.name}" came with shape [${dims}], expected [${expected}]`)
      }
      bytes.set(own, outputOffsets[j]!)
      return undefined
    })
    return dynamic.length === 0 ? undefined : scatterDynamic(layout, segment, batch, found)
  }

  const answer = async (message: WorkerRequest): Promise<WorkerReply> => {
    if (message.type === "run") {
      try {
        return { type: "ended", end: await run(models.get(message.model), message.batch) }
      } catch (error) {
        return { type: "ended", end: { ok: false, detail: textOf(error) } }
      }
    }
    if (message.type === "release") {
      const model = models.get(message.model)
      models.delete(message.model)
      await model?.session.release()
      return { type: "released" }
    }
    const before = process.memoryUsage.rss()
    try {
      models.set(message.model, await load(message.request))
    } catch (error) {
      const failure = loadFailureOf(error)
      return { type: "failed", reason: failure.reason, detail: failure.message }
    }
    return {
      type: "loaded",
      loaded: {
        memoryBytes: Math.max(0, process.memoryUsage.rss() - before),
        detail: provider === "cpu" ? `ort-js, ${threads} ${threads === 1 ? "thread" : "threads"}` : `ort-js, ${provider}`
      }
    }
  }

  // Strictly one after the other, so that replies keep the order of the requests.
  let last = Promise.resolve()
  parentPort!.on("message", (message: WorkerRequest) => {
    last = last.then(async () => parentPort!.postMessage(await answer(message)))
  })
}
