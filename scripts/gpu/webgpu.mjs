/**
 * onnxruntime-node's WebGPU provider on this host's GPU: is it right, and how fast. One line of JSON per model, batch and layout.
 *
 *   node scripts/gpu/webgpu.mjs [--duty] MODEL.onnx... [> bench/results/h200/webgpu.jsonl]
 *
 * Run once per process: two sessions that compute at a time in one process would crash. Each model's outputs are compared with the CPU provider's.
 *
 * `--duty` measures in the same go whether shares by turns are kept, against the device's own clock (`bench/webgpuDuty.ts`, with the first model): its
 * table goes to standard error, its rows are a last line of JSON. It needs onnxruntime-web and dawn's package. A host without them, and without a
 * network, takes them along: `node scripts/gpu/webgpu.mjs --pack .gpu/duty` in a checkout where they are; what is in .gpu/duty is used there.
 */
import { spawnSync } from "node:child_process"
import * as fs from "node:fs"
import { createRequire } from "node:module"
import * as os from "node:os"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"

const { positionals: files, values: flags } = parseArgs({ allowPositionals: true, options: { duty: { type: "boolean" }, pack: { type: "string" } } })
const root = fileURLToPath(new URL("../..", import.meta.url))

/** The bench of shares with all that it needs on Linux, in under 64 MiB: Node before 24 has no JSPI and takes the other build. */
const pack = async (folder) => {
  const { build } = await import("esbuild")
  const common = { bundle: true, platform: "node", format: "esm", target: "node20", absWorkingDir: root, external: ["onnxruntime-*", "koffi", "esbuild"] }
  const banner = { js: "import { createRequire as gletCreateRequire } from 'node:module'; const require = gletCreateRequire(import.meta.url);" }
  await build({ ...common, entryPoints: ["bench/webgpuDuty.ts"], outfile: path.join(folder, "webgpuDuty.mjs"), banner })
  await build({ ...common, entryPoints: ["src/webgpu/webgpu-node-worker.ts"], outfile: path.join(folder, "webgpu-node-worker.mjs") })
  const copy = (from, file) => fs.cpSync(path.join(from, file), path.join(folder, "node_modules", path.basename(from), file), { recursive: true })
  const web = path.join(root, "node_modules/onnxruntime-web")
  const [name, binary] = "Suspending" in WebAssembly ? ["jspi", "jspi"] : ["webgpu", "asyncify"]
  for (const file of ["package.json", `dist/ort.${name}.bundle.min.mjs`, `dist/ort-wasm-simd-threaded.${binary}.wasm`, `dist/ort-wasm-simd-threaded.${binary}.mjs`]) copy(web, file)
  const dawn = path.join(root, ".test-packages/node_modules/webgpu")
  if (!fs.existsSync(dawn)) throw new Error("dawn's package is not there: scripts/install-test-packages installs it")
  for (const file of ["package.json", "index.js", `dist/${process.platform}-${process.arch}`]) copy(dawn, file)
}

if (flags.pack !== undefined) {
  await pack(path.resolve(flags.pack))
  process.exit(0)
}
if (files.length === 0) throw new Error("usage: webgpu.mjs [--duty] MODEL.onnx... | --pack FOLDER")
const ort = createRequire(import.meta.url)("onnxruntime-node")
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

if (flags.duty === true) {
  const packed = path.join(root, ".gpu/duty/webgpuDuty.mjs")
  const json = path.join(os.tmpdir(), `glet-duty-${process.pid}.json`)
  const command = fs.existsSync(packed) ? [packed] : [path.join(root, "bench/run.mjs"), "webgpuDuty"]
  const { status } = spawnSync(process.execPath, [...command, "--model", path.resolve(files[0]), "--seconds", process.env.DUTY_SECONDS ?? "10", "--json", json], { stdio: ["ignore", 2, 2] })
  if (status !== 0) throw new Error(`the bench of shares ended with ${status}`)
  console.log(JSON.stringify({ duty: JSON.parse(fs.readFileSync(json, "utf8")) }))
  fs.rmSync(json)
}
