/**
 * onnxruntime-node's WebGPU provider on this host's GPU: is it right, and how fast. One line of JSON per model, batch and layout.
 *
 *   node scripts/gpu/webgpu.mjs MODEL.onnx... [> bench/results/h200/webgpu.jsonl]
 *
 * Run once per process: two sessions that compute at a time in one process would crash. Each model's outputs are compared with the CPU provider's.
 */
import { createRequire } from "node:module"
import * as path from "node:path"

const ort = createRequire(import.meta.url)("onnxruntime-node")
const files = process.argv.slice(2)
if (files.length === 0) throw new Error("usage: webgpu.mjs MODEL.onnx...")
const batches = [1, 8]
const warmUp = Number(process.env.WARM_UP ?? 20)
const runs = Number(process.env.RUNS ?? 200)
/** Sizes of dimensions with a name other than the first. */
const symbolSize = 128

const random = (() => {
  let state = 12345
  return () => (state = (state * 1103515245 + 12345) % 2 ** 31) / 2 ** 31
})()

const feedsOf = (session, batch) => Object.fromEntries(session.inputMetadata.map(({ name, shape, type }) => {
  const dims = shape.map((dim, axis) => typeof dim === "number" && dim > 0 ? dim : axis === 0 ? batch : symbolSize)
  const count = dims.reduce((n, dim) => n * dim, 1)
  return [name, type === "int64"
    ? new ort.Tensor("int64", BigInt64Array.from({ length: count }, () => BigInt(Math.floor(2 * random()))), dims)
    : new ort.Tensor("float32", Float32Array.from({ length: count }, random), dims)]
}))

/** Largest difference, relative to the largest value. */
const differenceOf = (expected, found) => {
  let [difference, largest] = [0, 1e-9]
  for (const name of Object.keys(expected)) {
    expected[name].data.forEach((value, i) => {
      difference = Math.max(difference, Math.abs(Number(value) - Number(found[name].data[i])))
      largest = Math.max(largest, Math.abs(Number(value)))
    })
  }
  return difference / largest
}

for (const file of files) {
  const cpu = await ort.InferenceSession.create(file)
  for (const layout of ["NCHW", "NHWC"]) {
    const gpu = await ort.InferenceSession.create(file, { executionProviders: [{ name: "webgpu", preferredLayout: layout }], logSeverityLevel: 3 })
    for (const batch of batches) {
      const feeds = feedsOf(cpu, batch)
      const relativeError = differenceOf(await cpu.run(feeds), await gpu.run(feeds))
      for (let i = 0; i < warmUp; i++) await gpu.run(feeds)
      const durations = []
      for (let i = 0; i < runs; i++) {
        const start = performance.now()
        await gpu.run(feeds)
        durations.push(performance.now() - start)
      }
      durations.sort((a, b) => a - b)
      console.log(JSON.stringify({
        model: path.basename(file), layout, batch, relativeError, p50Ms: durations[runs >> 1], p99Ms: durations[Math.ceil(0.99 * runs) - 1], runs
      }))
    }
    await gpu.release()
  }
  await cpu.release()
}
