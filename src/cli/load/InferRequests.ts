/**
 * Inference requests as bytes: built once from a model's metadata, sent many times.
 *
 * @since 0.1.0
 */
import { makeRandom } from "../../core/internal/random.js"
import type { Target } from "./HttpConnection.js"

/** A tensor of a model's metadata; -1 is any size. @since 0.1.0 @category requests */
export interface TensorMetadata {
  readonly name: string
  readonly datatype: string
  readonly shape: ReadonlyArray<number>
}

/** @since 0.1.0 @category requests */
export interface BodyOptions {
  readonly inputs: ReadonlyArray<TensorMetadata>
  /** Items of a request: the size of the first dimension where that is free. */
  readonly batch: number
  /** Shapes that were given, by input; they replace the metadata's. */
  readonly shapes: ReadonlyMap<string, ReadonlyArray<number>>
  /** Size of other free dimensions; without it they must be given. */
  readonly freeSize?: number
  readonly format: "json" | "binary"
  readonly seed: number
  /** Limit that each request brings, in ms; the model's own where absent. */
  readonly deadlineMs?: number | undefined
}

/** A body and the length of its JSON part; undefined where all of it is JSON. @since 0.1.0 @category requests */
export interface InferBody {
  readonly bytes: Buffer
  readonly jsonBytes: number | undefined
}

const problem = (text: string): { readonly problem: string } => ({ problem: text })

const shapeOf = (tensor: TensorMetadata, options: BodyOptions): ReadonlyArray<number> | { readonly problem: string } => {
  const given = options.shapes.get(tensor.name)
  if (given !== undefined) return given
  const shape = tensor.shape.map((dim, i) => (dim !== -1 ? dim : i === 0 ? options.batch : options.freeSize ?? dim))
  return shape.includes(-1)
    ? problem(`input "${tensor.name}" has the shape [${tensor.shape.join(", ")}]: say its free sizes with --shape ${tensor.name}=${shape.map((dim) => (dim === -1 ? "N" : dim)).join(",")}`)
    : shape
}

type Values = { readonly array: ReadonlyArray<number | boolean>; readonly bytes: Buffer }

/** Small values that suit any model: reals in [0, 1), whole numbers 0 and 1 (an index into any table). */
const valuesOf = (datatype: string, count: number, seed: number): Values | undefined => {
  const random = makeRandom(seed)
  const bit = (): number => (random() < 0.5 ? 0 : 1)
  const of = (view: { [index: number]: number; readonly length: number } & ArrayBufferView, draw: () => number): Values => {
    for (let i = 0; i < count; i++) view[i] = draw()
    return { array: Array.from(view as ArrayLike<number>), bytes: Buffer.from(view.buffer as ArrayBuffer) }
  }
  switch (datatype) {
    case "FP32": return of(new Float32Array(count), () => Math.round(random() * 1000) / 1000)
    case "FP64": return of(new Float64Array(count), () => Math.round(random() * 1000) / 1000)
    case "INT8": return of(new Int8Array(count), bit)
    case "UINT8": return of(new Uint8Array(count), bit)
    case "INT16": return of(new Int16Array(count), bit)
    case "UINT16": return of(new Uint16Array(count), bit)
    case "INT32": return of(new Int32Array(count), bit)
    case "UINT32": return of(new Uint32Array(count), bit)
    case "INT64":
    case "UINT64": {
      const words = new BigInt64Array(count)
      const array: Array<number> = []
      for (let i = 0; i < count; i++) {
        array.push(bit())
        words[i] = BigInt(array[i]!)
      }
      return { array, bytes: Buffer.from(words.buffer) }
    }
    case "BOOL": {
      const { array, bytes } = of(new Uint8Array(count), bit)
      return { array: array.map((value) => value === 1), bytes }
    }
    // 0 and 1 of a half float, of its upper byte 0x3c, or of bfloat16's 0x3f80.
    case "FP16": return of(new Uint16Array(count), () => bit() * 0x3c00)
    case "BF16": return of(new Uint16Array(count), () => bit() * 0x3f80)
    default: return undefined
  }
}

// JSON numbers of 32-bit floats carry no more digits than they were drawn with.
const jsonValues = (values: ReadonlyArray<number | boolean>): ReadonlyArray<number | boolean> =>
  values.map((value) => (typeof value === "number" && !Number.isInteger(value) ? Math.round(value * 1e6) / 1e6 : value))

/** A body with random inputs, the same for the same seed; or what is missing to build one. @since 0.1.0 @category requests */
export const makeInferBody = (options: BodyOptions): InferBody | { readonly problem: string } => {
  const inputs: Array<Record<string, unknown>> = []
  const blobs: Array<Buffer> = []
  for (const [i, tensor] of options.inputs.entries()) {
    const shape = shapeOf(tensor, options)
    if ("problem" in shape) return shape
    const count = shape.reduce((product, dim) => product * dim, 1)
    if (!(count <= 2 ** 28)) return problem(`input "${tensor.name}" of shape [${shape.join(", ")}] is too large for one request`)
    const values = valuesOf(tensor.datatype, count, options.seed + i)
    if (values === undefined) return problem(`input "${tensor.name}" is ${tensor.datatype}, for which no values can be made: give a request with --input FILE`)
    const isHalf = tensor.datatype === "FP16" || tensor.datatype === "BF16"
    const head = { name: tensor.name, datatype: tensor.datatype, shape }
    if (options.format === "binary" || isHalf) {
      inputs.push({ ...head, parameters: { binary_data_size: values.bytes.length } })
      blobs.push(values.bytes)
    } else {
      inputs.push({ ...head, data: jsonValues(values.array) })
    }
  }
  const parameters = {
    ...(options.format === "binary" ? { binary_data_output: true } : {}),
    ...(options.deadlineMs === undefined ? {} : { timeout: Math.round(1000 * options.deadlineMs) })
  }
  const json = Buffer.from(JSON.stringify({ inputs, ...(Object.keys(parameters).length === 0 ? {} : { parameters }) }))
  return blobs.length === 0
    ? { bytes: json, jsonBytes: undefined }
    : { bytes: Buffer.concat([json, ...blobs]), jsonBytes: json.length }
}

/** A whole HTTP/1.1 request for a model. @since 0.1.0 @category requests */
export const makeHttpRequest = (target: Target, model: string, body: InferBody): Buffer => {
  const host = target.host.includes(":") ? `[${target.host}]` : target.host
  const lines = [
    `POST /v2/models/${encodeURIComponent(model)}/infer HTTP/1.1`,
    `Host: ${host}:${target.port}`,
    body.jsonBytes === undefined ? "Content-Type: application/json" : "Content-Type: application/octet-stream",
    ...(body.jsonBytes === undefined ? [] : [`Inference-Header-Content-Length: ${body.jsonBytes}`]),
    `Content-Length: ${body.bytes.length}`
  ]
  return Buffer.concat([Buffer.from(`${lines.join("\r\n")}\r\n\r\n`), body.bytes])
}
