/**
 * "Bare": what a competent person writes without glet-orion, and what every figure here is compared with. A node:http server reads the body,
 * hands the input to onnxruntime-node in a worker thread (ownership of the buffer moves, nothing is cloned), runs one request at a time and
 * answers in the Open Inference Protocol. No batching, no queue bound, no validation beyond what it needs to run.
 *
 * node bench/lib/bare.mjs --model FILE [--threads N]     infer
 * node bench/lib/bare.mjs --read                         reads the body and answers at once
 *
 * Prints its port when it is ready. The input is one FP32 tensor, as JSON or as binary tensor data; the answer is JSON
 * unless the request asks for `binary_data_output`.
 */
import * as http from "node:http"
import { parseArgs } from "node:util"
import { Worker } from "node:worker_threads"

const { values: options } = parseArgs({ options: { model: { type: "string" }, threads: { type: "string" }, read: { type: "boolean" } } })

const startWorker = async () => {
  const worker = new Worker(new URL("./bareWorker.mjs", import.meta.url), {
    workerData: { model: options.model, threads: options.threads === undefined ? 0 : Number(options.threads) }
  })
  const waiting = new Map()
  let nextId = 0
  await new Promise((resolve, reject) => {
    worker.once("message", resolve)
    worker.once("error", reject)
  })
  worker.on("message", ({ id, ...answer }) => {
    const done = waiting.get(id)
    waiting.delete(id)
    done(answer)
  })
  return (input, shape, done) => {
    const id = nextId++
    waiting.set(id, done)
    worker.postMessage({ id, input, shape }, [input.buffer])
  }
}

const send = (response, status, body) => {
  const text = JSON.stringify(body)
  response.writeHead(status, { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(text) })
  response.end(text)
}

const sendBinary = (response, outputs) => {
  const blobs = outputs.map(({ data }) => Buffer.from(data.buffer, data.byteOffset, data.byteLength))
  const text = JSON.stringify({
    outputs: outputs.map(({ name, shape, data }) => ({ name, shape, datatype: "FP32", parameters: { binary_data_size: data.byteLength } }))
  })
  const jsonBytes = Buffer.byteLength(text)
  response.writeHead(200, {
    "Content-Type": "application/octet-stream",
    "Content-Length": blobs.reduce((sum, blob) => sum + blob.length, jsonBytes),
    "Inference-Header-Content-Length": jsonBytes
  })
  response.write(text)
  for (const blob of blobs) response.write(blob)
  response.end()
}

/** The first bytes of a body that came in chunks. */
const head = (chunks, byteLength) => {
  const first = chunks[0]
  return (first.length >= byteLength ? first : Buffer.concat(chunks)).toString("utf8", 0, byteLength)
}

/** The tensor's own bytes, gathered once from the chunks into memory that the worker will own. */
const gatherBinary = (chunks, headerBytes, byteLength) => {
  const input = new Float32Array(byteLength / 4)
  const bytes = new Uint8Array(input.buffer)
  let skip = headerBytes
  let at = 0
  for (const chunk of chunks) {
    if (skip >= chunk.length) {
      skip -= chunk.length
      continue
    }
    const part = skip === 0 ? chunk : chunk.subarray(skip)
    skip = 0
    bytes.set(part, at)
    at += part.length
  }
  return input
}

const infer = options.read ? undefined : await startWorker()

const handle = (request, response, chunks, byteLength) => {
  if (options.read) return send(response, 200, { outputs: [] })
  const jsonBytes = request.headers["inference-header-content-length"]
  const headerBytes = jsonBytes === undefined ? byteLength : Number(jsonBytes)
  const parsed = JSON.parse(head(chunks, headerBytes))
  const tensor = parsed.inputs[0]
  const input = jsonBytes === undefined ? Float32Array.from(tensor.data) : gatherBinary(chunks, headerBytes, byteLength - headerBytes)
  infer(input, tensor.shape, ({ outputs, error }) => {
    if (error !== undefined) send(response, 500, { error })
    else if (parsed.parameters?.binary_data_output === true) sendBinary(response, outputs)
    else send(response, 200, { outputs: outputs.map(({ data, ...output }) => ({ ...output, datatype: "FP32", data: Array.from(data) })) })
  })
}

const server = http.createServer((request, response) => {
  const chunks = []
  let byteLength = 0
  request.on("data", (chunk) => {
    chunks.push(chunk)
    byteLength += chunk.length
  })
  request.on("end", () => {
    try {
      handle(request, response, chunks, byteLength)
    } catch (error) {
      send(response, 400, { error: String(error) })
    }
  })
})
server.keepAliveTimeout = 120_000
server.listen(0, "127.0.0.1", () => console.log(server.address().port))
