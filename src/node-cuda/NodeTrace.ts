/**
 * What each operator of a model does and takes, by onnxruntime's own profile: names, shapes, times. On the CPU; onnxruntime-node's packages cannot
 * time kernels on a GPU, where only the shapes count.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as fs from "node:fs/promises"
import { createRequire } from "node:module"
import * as os from "node:os"
import * as path from "node:path"
import { textOf } from "../core/internal/loadFailure.js"
import { fill } from "../core/internal/sampleInputs.js"
import { makeRandom } from "../core/internal/random.js"
import { ModelLoadFailed } from "../core/ExecutorError.js"
import { unsafeGletId } from "../core/Ids.js"
import type { Model } from "../core/Model.js"
import { boundShape, makeSlotLayout } from "../core/SlotLayout.js"
import type { TracedNode, TracedTensor } from "../core/WorkloadType.js"
import { withholdTelemetry } from "./internal/ortTelemetry.js"

type Ort = typeof import("onnxruntime-node")

/** How a model is traced: one execution after the other, on the CPU. @since 0.1.0 @category tracing */
export interface TraceOptions {
  readonly items: number
  /** Threads of the execution. */
  readonly threads: number
  /** Executions that count, after a first one that does not. */
  readonly runs: number
  /** Size of dimensions that requests choose. */
  readonly symbolSize?: number
}

/** onnxruntime-node's names of element types, and the typed arrays it wants for them. */
const tensorTypes = new Map<string, readonly [name: string, Values: { new(buffer: ArrayBuffer): unknown }, bytes: number]>([
  ["BOOL", ["bool", Uint8Array, 1]], ["UINT8", ["uint8", Uint8Array, 1]], ["UINT16", ["uint16", Uint16Array, 2]], ["UINT32", ["uint32", Uint32Array, 4]],
  ["UINT64", ["uint64", BigUint64Array, 8]], ["INT8", ["int8", Int8Array, 1]], ["INT16", ["int16", Int16Array, 2]], ["INT32", ["int32", Int32Array, 4]],
  ["INT64", ["int64", BigInt64Array, 8]], ["FP16", ["float16", Uint16Array, 2]], ["FP32", ["float32", Float32Array, 4]], ["FP64", ["float64", Float64Array, 8]]
])

/** One event of the profile, as far as it is of use. */
interface Event {
  readonly cat?: string
  readonly name?: string
  readonly dur?: number
  readonly args?: {
    readonly op_name?: string
    readonly node_index?: string
    readonly input_type_shape?: ReadonlyArray<Readonly<Record<string, ReadonlyArray<number>>>>
    readonly output_type_shape?: ReadonlyArray<Readonly<Record<string, ReadonlyArray<number>>>>
  }
}

const tensorsOf = (entries: ReadonlyArray<Readonly<Record<string, ReadonlyArray<number>>>> | undefined): ReadonlyArray<TracedTensor> =>
  (entries ?? []).flatMap((entry) => Object.entries(entry).map(([type, shape]) => ({ type, shape })))

const median = (values: ReadonlyArray<number>): number => [...values].sort((a, b) => a - b)[values.length >> 1]!

/**
 * The operators of a profile in the order of execution, each with the median of its times but the first.
 * @since 0.1.0
 * @category tracing
 */
export const parseTrace = (text: string): ReadonlyArray<TracedNode> => {
  const events = JSON.parse(text) as ReadonlyArray<Event>
  const nodes = new Map<string, { readonly event: Event; readonly us: Array<number> }>()
  for (const event of events) {
    if (event.cat !== "Node" || event.name?.endsWith("_kernel_time") !== true || event.args?.op_name === undefined) continue
    const key = `${event.args.node_index} ${event.name}`
    const known = nodes.get(key)
    if (known === undefined) nodes.set(key, { event, us: [event.dur ?? 0] })
    else known.us.push(event.dur ?? 0)
  }
  return [...nodes.values()].map(({ event, us }): TracedNode => ({
    op: event.args!.op_name!, inputs: tensorsOf(event.args!.input_type_shape), outputs: tensorsOf(event.args!.output_type_shape),
    us: us.length > 1 ? median(us.slice(1)) : us[0]!, leastUs: us.reduce((least, each) => Math.min(least, each), Infinity)
  }))
}

const run = async ({ maxBatch, path: file, signature }: Model, { items, runs, symbolSize = 128, threads }: TraceOptions): Promise<ReadonlyArray<TracedNode>> => {
  withholdTelemetry()
  const ort = createRequire(import.meta.url)("onnxruntime-node") as Ort
  const folder = await fs.mkdtemp(path.join(os.tmpdir(), "glet-trace-"))
  try {
    const session = await ort.InferenceSession.create(file, {
      intraOpNumThreads: threads, interOpNumThreads: 1, logSeverityLevel: 3, enableProfiling: true, profileFilePrefix: path.join(folder, "trace")
    })
    try {
      const layout = makeSlotLayout(signature)
      const random = makeRandom(1)
      const bindings = layout.inputSymbols.map(() => symbolSize)
      const feeds: Record<string, import("onnxruntime-common").Tensor> = {}
      for (const spec of signature.inputs) {
        const shape = boundShape(layout, spec, Math.min(items, maxBatch), bindings)!
        const [name, Values, size] = tensorTypes.get(spec.datatype) ?? (() => {
          throw new Error(`onnxruntime-node has no tensors of ${spec.datatype}`)
        })()
        const bytes = new Uint8Array(size * shape.reduce((product, each) => product * each, 1))
        fill(bytes, spec.datatype, { maxInteger: 1, random })
        feeds[spec.name] = new ort.Tensor(name as "float32", new Values(bytes.buffer) as Float32Array, shape)
      }
      for (let i = 0; i <= runs; i++) await session.run(feeds)
      session.endProfiling()
    } finally {
      await session.release()
    }
    const [trace] = await fs.readdir(folder)
    return parseTrace(await fs.readFile(path.join(folder, trace!), "utf8"))
  } finally {
    await fs.rm(folder, { recursive: true, force: true })
  }
}

/**
 * Runs a model a few times on this CPU, in this process, and answers its operators.
 * @since 0.1.0
 * @category tracing
 */
export const trace = (model: Model, options: TraceOptions): Effect.Effect<ReadonlyArray<TracedNode>, ModelLoadFailed> =>
  Effect.tryPromise({
    try: () => run(model, options),
    catch: (cause) => new ModelLoadFailed({ model: model.name, glet: unsafeGletId("trace"), reason: "warm-up-failed", detail: textOf(cause) })
  })
