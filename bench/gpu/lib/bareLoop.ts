/**
 * The reference: ONNX Runtime's C API with its own CUDA graphs, called in a loop from this thread, with nothing of this project around it but the
 * driver's calls. Page-locked buffers of the host, device buffers, three sets for throughput.
 */
import type { Model } from "../../../src/core/Model.js"
import { makeSlotLayout } from "../../../src/core/SlotLayout.js"
import { makeRandom } from "../../../src/core/internal/random.js"
import { fill } from "../../../src/core/internal/sampleInputs.js"
import { rangeOf } from "../../../src/node-cuda/runner/cuda/copies.js"
import type { CudaDriver } from "../../../src/node-cuda/runner/cuda/driver/CudaDriver.js"
import { loadOrt } from "../../../src/node-cuda/runner/OrtApi.js"
import { cNames, createSession } from "../../../src/node-cuda/runner/OrtCSession.js"
import { bindValues } from "../../../src/node-cuda/runner/ortValues.js"
import { summary } from "./measure.js"

export interface Bare {
  readonly p50Ms: number
  readonly p99Ms: number
  readonly itemsPerS: number
  readonly graph: boolean
}

/** Latency of one batch at a time, throughput of three in flight. */
export const bareLoop = async (driver: CudaDriver, model: Model, items: number, nhwc: boolean, forMs: number): Promise<Bare> => {
  try {
    return await loop(driver, model, items, nhwc, forMs, true)
  } catch {
    return loop(driver, model, items, nhwc, forMs, false)
  }
}

const loop = async (driver: CudaDriver, model: Model, items: number, nhwc: boolean, forMs: number, graph: boolean): Promise<Bare> => {
  const ort = loadOrt()
  const { check, functions: f, make } = ort
  const layout = makeSlotLayout(model.signature)
  const placement = layout.placement(items, [])
  const stream = driver.createStream(0, undefined)
  const copyInStream = driver.createStream(0, undefined)
  const copyOutStream = driver.createStream(0, undefined)
  const session = await createSession(ort, model.path, model.signature, {
    threads: 1,
    configure: (options) => {
      const entries = [
        ["device_id", "0"], ["has_user_compute_stream", "1"], ["user_compute_stream", String(stream)],
        ["prefer_nhwc", nhwc ? "1" : "0"], ["cudnn_conv_algo_search", "HEURISTIC"], ["enable_cuda_graph", graph ? "1" : "0"]
      ] as const
      const cuda = make(f.CreateCUDAProviderOptions)
      const keys = cNames(entries.map(([key]) => key))
      const values = cNames(entries.map(([, value]) => value))
      check(f.UpdateCUDAProviderOptions(cuda, keys.address, values.address, entries.length) as bigint | null)
      check(f.SessionOptionsAppendExecutionProvider_CUDA_V2(options, cuda) as bigint | null)
      f.ReleaseCUDAProviderOptions(cuda)
    }
  })
  const memoryInfo = make(f.CreateMemoryInfo, "Cuda", 0, 0, 0)
  const random = makeRandom(1)
  const sets = Array.from({ length: 3 }, (_, i) => {
    const host = driver.allocateHost(placement.totalBytes)
    model.signature.inputs.forEach(({ datatype }, j) => {
      const at = placement.inputOffsets[j]!
      fill(host.memory.subarray(at, at + placement.inputBytes[j]!), datatype, { maxInteger: 1000, random })
    })
    const device = driver.allocate(placement.totalBytes)
    const options = make(f.CreateRunOptions)
    check(f.AddRunConfigEntry(options, "disable_synchronize_execution_providers", "1") as bigint | null)
    if (graph) check(f.AddRunConfigEntry(options, "gpu_graph_id", String(i + 1)) as bigint | null)
    return {
      host, device, options,
      values: bindValues(ort, memoryInfo, layout, items, [], placement, BigInt(device)),
      copiedIn: driver.createEvent(), computed: driver.createEvent(), done: driver.createEvent()
    }
  })
  type Set = (typeof sets)[number]
  const inputs = rangeOf(placement, "inputs")
  const outputs = rangeOf(placement, "outputs")
  const run = (set: Set): void => {
    const problem = session.run(set.values, set.options)
    if (problem !== undefined) throw new Error(problem)
  }
  const alone = (set: Set): void => {
    driver.copyIn(set.device + inputs.start, set.host.address + inputs.start, inputs.bytes, stream)
    run(set)
    driver.copyOut(set.host.address + outputs.start, set.device + outputs.start, outputs.bytes, stream)
    driver.record(set.done, stream)
    while (!driver.isDone(set.done));
  }
  const start = (set: Set): void => {
    driver.copyIn(set.device + inputs.start, set.host.address + inputs.start, inputs.bytes, copyInStream)
    driver.record(set.copiedIn, copyInStream)
    driver.wait(stream, set.copiedIn)
    run(set)
    driver.record(set.computed, stream)
    driver.wait(copyOutStream, set.computed)
    driver.copyOut(set.host.address + outputs.start, set.device + outputs.start, outputs.bytes, copyOutStream)
    driver.record(set.done, copyOutStream)
  }
  try {
    for (const set of sets) for (let i = 0; i < 4; i++) alone(set)
    const durations: Array<number> = []
    for (const endMs = performance.now() + forMs; performance.now() < endMs;) {
      const began = performance.now()
      alone(sets[0]!)
      durations.push(performance.now() - began)
    }
    for (const set of sets) start(set)
    let ended = 0
    const began = performance.now()
    for (; performance.now() < began + forMs; ended++) {
      const set = sets[ended % sets.length]!
      while (!driver.isDone(set.done));
      start(set)
    }
    const itemsPerS = (1000 * ended * items) / (performance.now() - began)
    for (const set of sets) while (!driver.isDone(set.done));
    const { p50Ms, p99Ms } = summary(durations)
    const round = (value: number) => Number(value.toPrecision(4))
    return { p50Ms: round(p50Ms), p99Ms: round(p99Ms), itemsPerS: Math.round(itemsPerS), graph }
  } finally {
    for (const set of sets) {
      set.values.release()
      f.ReleaseRunOptions(set.options)
      driver.freeHost(set.host.address)
      driver.free(set.device)
      for (const event of [set.copiedIn, set.computed, set.done]) driver.destroyEvent(event)
    }
    session.release()
    f.ReleaseMemoryInfo(memoryInfo)
    for (const each of [stream, copyInStream, copyOutStream]) driver.destroyStream(each)
  }
}
