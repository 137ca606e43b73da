/** Inference requests as the bytes that go over the wire, built once. */
import * as fs from "node:fs"
import { random } from "./stats.mjs"

const post = (model, headers, body) =>
  Buffer.concat([
    Buffer.from(
      `POST /v2/models/${model}/infer HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: ${body.length}\r\n${headers.map((h) => h + "\r\n").join("")}\r\n`
    ),
    body
  ])

/** One FP32 input as JSON. */
export const jsonRequest = (model, input, shape, data) =>
  post(model, ["Content-Type: application/json"], Buffer.from(JSON.stringify({ inputs: [{ name: input, shape, datatype: "FP32", data: Array.from(data) }] })))

/** One FP32 input as binary tensor data; the answer is asked for in the same way. */
export const binaryRequest = (model, input, shape, data) => {
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength)
  const json = Buffer.from(
    JSON.stringify({
      parameters: { binary_data_output: true },
      inputs: [{ name: input, shape, datatype: "FP32", parameters: { binary_data_size: bytes.length } }]
    })
  )
  return post(
    model,
    ["Content-Type: application/octet-stream", `Inference-Header-Content-Length: ${json.length}`],
    Buffer.concat([json, bytes])
  )
}

/** Files of shared-memory objects, removed at exit. */
const files = new Set()
process.once("exit", () => files.forEach((file) => fs.rmSync(file, { force: true })))

/**
 * FP32 inputs of one shape in a shared-memory object, as POSIX's shm_open makes it on Linux, and the requests that name them there. `register` is
 * the request that makes the object known, `region` its name; it is removed at exit. Where `output` names one of as many bytes, it goes into the same
 * object behind the inputs, and `outputOf` reads it.
 */
export const sharedRequests = (model, input, shape, tensors, output) => {
  const key = `glet-bench-${process.pid}-${files.size}`
  const file = `/dev/shm/${key}`
  const size = tensors[0].byteLength
  const inputs = Buffer.concat(tensors.map((data) => Buffer.from(data.buffer, data.byteOffset, data.byteLength)))
  const byteSize = inputs.length * (output === undefined ? 1 : 2)
  fs.writeFileSync(file, Buffer.concat([inputs, Buffer.alloc(byteSize - inputs.length)]))
  files.add(file)
  const region = `inputs-${files.size}`
  const shared = (i) => ({ shared_memory_region: region, shared_memory_offset: i * size, shared_memory_byte_size: size })
  return {
    region,
    file,
    register: { path: `/v2/systemsharedmemory/region/${region}/register`, body: { key: `/${key}`, offset: 0, byte_size: byteSize } },
    requests: tensors.map((_, i) =>
      post(model, ["Content-Type: application/json"], Buffer.from(JSON.stringify({
        inputs: [{ name: input, shape, datatype: "FP32", parameters: shared(i) }],
        ...(output === undefined ? {} : { outputs: [{ name: output, parameters: shared(tensors.length + i) }] })
      })))),
    outputOf: (i) => {
      const bytes = fs.readFileSync(file).subarray((tensors.length + i) * size, (tensors.length + i + 1) * size)
      return new Float32Array(bytes.buffer, bytes.byteOffset, size / 4)
    }
  }
}

/** The numbers of an answer's FP32 outputs. */
export const outputsOf = ({ head, body }) => {
  const headerBytes = Number(/inference-header-content-length: *(\d+)/.exec(head)?.[1] ?? body.length)
  let at = headerBytes
  return JSON.parse(body.toString("utf8", 0, headerBytes)).outputs.map((output) => {
    const byteLength = output.parameters?.binary_data_size
    if (byteLength === undefined) return output.data
    const bytes = body.subarray(at, (at += byteLength))
    return Array.from({ length: byteLength / 4 }, (_, i) => bytes.readFloatLE(4 * i))
  })
}

/** Seeded values in [0, 1) with `digits` decimals, as a client that prints pixels would send them. */
export const randomFloats = (count, seed, digits = 4) => {
  const uniform = random(seed)
  return Float32Array.from({ length: count }, () => Number(uniform().toFixed(digits)))
}

/** 8x8 images of 0..16, resized bilinearly to 28x28 (corners not aligned) in 0..1: LeNet's input. */
export const digitImages = (count) => {
  const file = JSON.parse(fs.readFileSync(new URL("../../resource/demo/digits-test.json", import.meta.url), "utf8"))
  const source = (i) => Math.max(0, ((i + 0.5) * 8) / 28 - 0.5)
  return file.images.slice(0, count).map((image) => {
    const pixels = image.flat()
    const out = new Float32Array(784)
    for (let y = 0; y < 28; y++) {
      for (let x = 0; x < 28; x++) {
        const [sy, sx] = [source(y), source(x)]
        const [y0, x0] = [Math.floor(sy), Math.floor(sx)]
        const [y1, x1] = [Math.min(7, y0 + 1), Math.min(7, x0 + 1)]
        const [fy, fx] = [sy - y0, sx - x0]
        const top = pixels[y0 * 8 + x0] * (1 - fx) + pixels[y0 * 8 + x1] * fx
        const bottom = pixels[y1 * 8 + x0] * (1 - fx) + pixels[y1 * 8 + x1] * fx
        out[y * 28 + x] = (top * (1 - fy) + bottom * fy) / 16
      }
    }
    return out
  })
}
