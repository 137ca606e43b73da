/** Clients that know the answer to each of their requests, as numbers: every one is another, so that what belongs to another request is seen. */
import type { IncomingHttpHeaders } from "node:http"
import { Agent, request } from "node:http"
import * as ort from "onnxruntime-node"
import type { SharedObject } from "../../support/sharedObject.js"
import { bytesAt, putAt } from "../../support/sharedObject.js"

export interface Tensor {
  readonly name: string
  readonly datatype: "FP32" | "INT64"
  readonly shape: ReadonlyArray<number>
  readonly values: Float32Array | BigInt64Array
}

export interface KnownModel {
  readonly name: string
  /** Files by version. */
  readonly versions: ReadonlyMap<number, Uint8Array>
  /** A request: inputs of so many items, unlike those of all other seeds. */
  readonly inputs: (seed: number, items: number) => ReadonlyArray<Tensor>
  readonly outputs: ReadonlyArray<string>
}

/** A request, and by version of the model the numbers of each output. */
export interface KnownRequest {
  readonly model: KnownModel
  readonly inputs: ReadonlyArray<Tensor>
  readonly expected: ReadonlyMap<number, ReadonlyArray<Float32Array>>
}

const bytesOf = ({ values }: Tensor): Buffer => Buffer.from(values.buffer, values.byteOffset, values.byteLength)
const ortTensor = ({ datatype, shape, values }: Tensor): ort.Tensor =>
  datatype === "FP32" ? new ort.Tensor("float32", values as Float32Array, shape) : new ort.Tensor("int64", values as BigInt64Array, shape)

/** Requests of 1 to `mostItems` items with their answers as onnxruntime-node itself gives them to each alone. */
export const knownRequests = async (model: KnownModel, count: number, mostItems: number): Promise<ReadonlyArray<KnownRequest>> => {
  const requests = Array.from({ length: count }, (_, i) => ({ model, inputs: model.inputs(i, 1 + i % mostItems), expected: new Map<number, ReadonlyArray<Float32Array>>() }))
  for (const [version, file] of model.versions) {
    const session = await ort.InferenceSession.create(file, { intraOpNumThreads: 1, logSeverityLevel: 3 })
    for (const { expected, inputs } of requests) {
      const answer = await session.run(Object.fromEntries(inputs.map((input) => [input.name, ortTensor(input)])))
      expected.set(version, model.outputs.map((name) => Float32Array.from(answer[name]!.data as Float32Array)))
    }
    await session.release()
  }
  return requests
}

/** Of the largest number of an output. */
const tolerance = 1e-3

/** Why these outputs are not those. */
const difference = (found: ReadonlyArray<Float32Array>, expected: ReadonlyArray<Float32Array>): string | undefined => {
  for (const [j, numbers] of expected.entries()) {
    const own = found[j]
    if (own?.length !== numbers.length) return `output ${j} has ${own?.length} numbers, not ${numbers.length}`
    const largest = numbers.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
    const at = numbers.findIndex((value, i) => !(Math.abs(own[i]! - value) <= tolerance * largest))
    if (at >= 0) return `number ${at} of output ${j} is ${own[at]}, not ${numbers[at]}`
  }
  return undefined
}

/** Requests whose answers could be taken for each other's, or versions that could: none, or the checks prove nothing. */
export const indistinct = (requests: ReadonlyArray<KnownRequest>): ReadonlyArray<string> => {
  const answers = requests.flatMap(({ expected, inputs, model }, i) => [...expected].map(([version, outputs]) => ({ outputs, what: `${model.name} ${i} of version ${version}`, shape: String(inputs[0]!.shape) })))
  return answers.flatMap((one, i) => answers.slice(0, i).filter((other) => one.shape === other.shape && difference(one.outputs, other.outputs) === undefined).map((other) => `${one.what}, ${other.what}`))
}

export type Transport = "json" | "binary" | "shared"

export interface Asked {
  readonly model: string
  readonly transport: Transport
  readonly status: number
  /** The version that the answer names. */
  readonly version: number
  /** What is wrong with it. */
  readonly wrong: string | undefined
  /** Why there is none. */
  readonly reason: string
  readonly error: string | undefined
  readonly atMs: number
}

/** Room of one request or answer in a client's memory. */
export const roomBytes = 1 << 20

interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
}

interface Body {
  readonly model_version: string
  readonly error?: string
  readonly outputs: ReadonlyArray<{
    readonly name: string
    readonly shape: ReadonlyArray<number>
    readonly data?: ReadonlyArray<number>
    readonly parameters?: { readonly binary_data_size?: number }
  }>
}

/** One client with a connection and memory of its own, one request at a time. */
export class AnswerClient {
  readonly asked: Array<Asked> = []
  /** Requests that it left before their answers came. */
  left = 0
  private readonly agent = new Agent({ keepAlive: true, maxSockets: 1 })

  constructor(private readonly port: number, private readonly memory: { readonly object: SharedObject; readonly region: string; readonly offset: number }) {}

  close(): void {
    this.agent.destroy()
  }

  /** `leaveAfterMs`: it goes away then, if there is no answer yet. */
  async ask(known: KnownRequest, transport: Transport, options: { readonly timeoutMs?: number; readonly leaveAfterMs?: number } = {}): Promise<void> {
    const { inputs, model } = known
    const { binary, json, outputsAt } = this.bodyOf(known, transport, options.timeoutMs)
    const head = Buffer.from(JSON.stringify(json))
    const answer = await this.send(model.name, Buffer.concat([head, ...binary]), transport === "binary" ? head.length : undefined, options.leaveAfterMs)
    if (answer === undefined) {
      this.left++
      // It may still be written there.
      if (transport === "shared") await new Promise((resolve) => setTimeout(resolve, 200))
      return
    }
    const { headers, status } = answer
    const jsonBytes = Number(headers["inference-header-content-length"] ?? answer.body.length)
    const body = JSON.parse(answer.body.subarray(0, jsonBytes).toString()) as Body
    const version = Number(body.model_version)
    const reason = String(headers["x-glet-drop-reason"] ?? headers["x-glet-unavailable-reason"] ?? "")
    const wrong = status === 200 ? this.check(known, body, answer.body.subarray(jsonBytes), outputsAt) : undefined
    const items = inputs[0]!.shape.join("x")
    this.asked.push({ model: model.name, transport, status, version, reason, error: body.error, atMs: performance.now(), wrong: wrong === undefined ? undefined : `${model.name} of version ${version}, ${items}, ${transport}: ${wrong}` })
  }

  private bodyOf({ expected, inputs, model }: KnownRequest, transport: Transport, timeoutMs: number | undefined) {
    const { object: { file }, offset, region } = this.memory
    let at = offset
    const place = (bytes: number) => {
      const parameters = { shared_memory_region: region, shared_memory_offset: at, shared_memory_byte_size: bytes }
      at += Math.ceil(bytes / 64) * 64
      return parameters
    }
    const tensors = inputs.map((input) => {
      const { datatype, name, shape, values } = input
      if (transport === "json") return { name, datatype, shape, data: Array.from(values, Number) }
      if (transport === "binary") return { name, datatype, shape, parameters: { binary_data_size: values.byteLength } }
      const parameters = place(values.byteLength)
      putAt(file, parameters.shared_memory_offset, bytesOf(input))
      return { name, datatype, shape, parameters }
    })
    const outputsAt: Array<number> = []
    const outputs = model.outputs.map((name, j) => {
      if (transport !== "shared") return { name, parameters: { binary_data: transport === "binary" } }
      const { byteLength } = [...expected.values()][0]![j]!
      const parameters = place(byteLength)
      outputsAt.push(parameters.shared_memory_offset)
      // What is not written is seen.
      putAt(file, parameters.shared_memory_offset, Buffer.alloc(byteLength, 0xff))
      return { name, parameters }
    })
    if (at > offset + roomBytes) throw new Error("a request and its answer do not fit into their room")
    return {
      outputsAt,
      json: { ...(timeoutMs === undefined ? {} : { parameters: { timeout: timeoutMs * 1000 } }), inputs: tensors, outputs },
      binary: transport === "binary" ? inputs.map(bytesOf) : []
    }
  }

  private check({ expected, model }: KnownRequest, body: Body, binary: Buffer, outputsAt: ReadonlyArray<number>): string | undefined {
    const numbers = expected.get(Number(body.model_version))
    if (numbers === undefined) return `there is no version ${body.model_version}`
    if (String(body.outputs.map(({ name }) => name)) !== String(model.outputs)) return `outputs ${body.outputs.map(({ name }) => name)}`
    let at = 0
    const found = body.outputs.map(({ data, parameters, shape }, j) => {
      if (data !== undefined) return Float32Array.from(data)
      const bytes = 4 * shape.reduce((product, size) => product * size, 1)
      if (parameters?.binary_data_size === undefined) {
        return new Float32Array(Uint8Array.from(bytesAt(this.memory.object.file, outputsAt[j]!, bytes)).buffer)
      }
      at += bytes
      return new Float32Array(Uint8Array.from(binary.subarray(at - bytes, at)).buffer)
    })
    if (at !== binary.length) return `${binary.length} bytes of outputs, not ${at}`
    const wrong = difference(found, numbers)
    const other = wrong === undefined ? undefined : [...expected].find(([, outputs]) => difference(found, outputs) === undefined)
    return other === undefined ? wrong : `it is version ${other[0]}'s answer`
  }

  private send(model: string, body: Buffer, jsonBytes: number | undefined, leaveAfterMs: number | undefined): Promise<Answer | undefined> {
    return new Promise((resolve, reject) => {
      let left = false
      const outgoing = request({
        agent: this.agent, host: "127.0.0.1", port: this.port, method: "POST", path: `/v2/models/${model}/infer`,
        headers: { "content-length": String(body.length), ...(jsonBytes === undefined ? {} : { "inference-header-content-length": String(jsonBytes) }) }
      }, (response) => {
        const parts: Array<Buffer> = []
        response.on("data", (part: Buffer) => parts.push(part))
        response.on("end", () => {
          clearTimeout(timer)
          resolve({ status: response.statusCode!, headers: response.headers, body: Buffer.concat(parts) })
        })
        response.on("error", (error) => left ? resolve(undefined) : reject(error))
      })
      const timer = leaveAfterMs === undefined ? undefined : setTimeout(() => {
        left = true
        outgoing.destroy()
      }, leaveAfterMs)
      outgoing.on("error", (error) => left ? resolve(undefined) : reject(error))
      outgoing.end(body)
    })
  }
}
