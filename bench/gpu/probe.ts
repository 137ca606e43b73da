/**
 * What this GPU and driver do, for the choices that the engine makes: how SMs can be split, how small copies are best made, how an end is best
 * learnt, and which contexts run graphs of channels-last convolutions.
 *
 *   node probe.mjs ZOO OUT.json [split|green|copies|completion|contexts|search ...]          bundled as bench/gpu/README.md says
 */
import { loadKoffi } from "../../src/node-cuda/internal/native.js"
import type { RunBatch } from "../../src/core/internal/batchAssembly.js"
import { createCudaSession } from "../../src/node-cuda/runner/cuda/cudaSession.js"
import type { CudaRuntime } from "../../src/node-cuda/runner/cuda/CudaRuntime.js"
import { CudaModel } from "../../src/node-cuda/runner/cuda/CudaModel.js"
import { makeCopyList, putU64 } from "../../src/node-cuda/runner/cuda/driver/CudaDriver.js"
import { makeRuntime } from "../../src/node-cuda/runner/cuda/OrtCuda.js"
import { openLibcuda } from "../../src/node-cuda/runner/cuda/driver/libcuda.js"
import { sessionThreads } from "./lib/engine.js"
import { loadOrt } from "../../src/node-cuda/runner/OrtApi.js"
import { summary } from "./lib/measure.js"
import { openResults, round } from "./lib/results.js"
import { zooModel } from "./lib/zoo.js"

const [zoo, out, ...parts] = process.argv.slice(2)
if (zoo === undefined || out === undefined) throw new Error("usage: probe.mjs ZOO OUT.json")
const { guarded, write } = openResults(out, parts)
const driver = openLibcuda()
write({ what: "device", ...driver.device })

await guarded("split", () => {
  for (const forClusters of [false, true]) {
    for (const least of [2, 8, 16, 32, 64, 120]) {
      try {
        write({ what: "split", least, forClusters, units: driver.splitSms(least, forClusters).units })
      } catch (error) {
        write({ what: "split", least, forClusters, error: String(error) })
      }
    }
  }
})

await guarded("green", () => {
  const groups = driver.splitSms(8, false)
  const create = summary(Array.from({ length: 20 }, () => {
    const began = performance.now()
    const context = driver.createGreen(groups, [0, 1, 2])
    const spent = performance.now() - began
    driver.destroyGreen(context)
    return spent
  }))
  write({ what: "createGreen", ...create })
})

await guarded("copies", () => {
  const stream = driver.createStream(0, undefined)
  const event = driver.createEvent()
  const wait = () => {
    driver.record(event, stream)
    while (!driver.isDone(event));
  }
  for (const [pieces, bytes] of [[1, 602_112], [8, 602_112], [32, 602_112], [32, 150_000], [32, 32_768], [32, 16_384], [32, 4000], [32, 256], [8, 4000]] as const) {
    const stride = 1 << 20
    const host = driver.allocateHost(2 * pieces * stride)
    const device = driver.allocate(pieces * bytes)
    const list = makeCopyList(pieces)
    const fill = (count: number, first: number) => {
      list.count = 0
      for (let i = 0; i < count; i++) {
        putU64(list.host, i, host.address + (first + i) * stride)
        putU64(list.device, i, device + (first + i) * bytes)
        putU64(list.bytes, i, bytes)
        list.count++
      }
    }
    const staging = driver.allocateHost(pieces * bytes)
    const time = (work: () => void) => {
      const issue: Array<number> = []
      const total: Array<number> = []
      for (let i = 0; i < 40; i++) {
        const began = performance.now()
        work()
        issue.push(performance.now() - began)
        wait()
        total.push(performance.now() - began)
      }
      return { issueMs: round(summary(issue).p50Ms), totalMs: round(summary(total).p50Ms) }
    }
    const each = (copy: () => void) => () => {
      for (let i = 0; i < pieces; i++) {
        fill(1, i)
        copy()
      }
    }
    const whole = (copy: () => void) => () => {
      fill(pieces, 0)
      copy()
    }
    write({
      what: "copies", pieces, bytes,
      inEach: time(each(() => driver.copyAllIn(list, stream))),
      inList: time(whole(() => driver.copyAllIn(list, stream))),
      inStaged: time(() => {
        for (let i = 0; i < pieces; i++) staging.memory.set(host.memory.subarray(i * stride, i * stride + bytes), i * bytes)
        driver.copyIn(device, staging.address, pieces * bytes, stream)
      }),
      outEach: time(each(() => driver.copyAllOut(list, stream))),
      outList: time(whole(() => driver.copyAllOut(list, stream))),
      outStaged: time(() => driver.copyOut(staging.address, device, pieces * bytes, stream))
    })
    driver.freeHost(host.address)
    driver.freeHost(staging.address)
    driver.free(device)
  }
  driver.destroyStream(stream)
  driver.destroyEvent(event)
})

await guarded("completion", async () => {
  const stream = driver.createStream(0, undefined)
  const event = driver.createEvent()
  const bytes = 8 << 20
  const host = driver.allocateHost(bytes)
  const device = driver.allocate(bytes)
  const synchronize = loadKoffi().load("libcuda.so.1").func("int cuEventSynchronize(uint64_t event)")
  const time = async (wait: () => Promise<void>) => {
    const durations: Array<number> = []
    for (let i = 0; i < 200; i++) {
      const began = performance.now()
      driver.copyIn(device, host.address, bytes, stream)
      driver.record(event, stream)
      await wait()
      durations.push(performance.now() - began)
    }
    const { p50Ms, p99Ms } = summary(durations)
    return { p50Ms: round(p50Ms), p99Ms: round(p99Ms) }
  }
  const turns = async () => {
    while (!driver.isDone(event)) await new Promise((resolve) => setImmediate(resolve))
  }
  const spin = () => {
    while (!driver.isDone(event));
    return Promise.resolve()
  }
  const other = () =>
    new Promise<void>((resolve, reject) =>
      synchronize.async(event, (error: unknown, code: number) => error === null && code === 0 ? resolve() : reject(new Error(`${error} ${code}`))))
  write({ what: "completion", bytes, spin: await time(spin), turns: await time(turns), otherThread: await time(other).catch(String) })
})

const ort = loadOrt()
const fatal = (error: Error): never => {
  write({ what: "fatal", error: error.message })
  process.exit(70)
}
const threadFor = sessionThreads()
const runtime = makeRuntime(driver, ort, threadFor, fatal)
const batchOf = (items: number): RunBatch => ({ items, bindings: [], offsets: [0], entryItems: [items] })
for (const name of ["resnet50", "bert-base"]) {
  const model = zooModel(zoo, name, 8)
  const variants: ReadonlyArray<readonly [number, boolean, ReadonlyArray<number>]> = [
    [8, false, [0, 1, 2, 3, 4, 5, 6]], [8, false, [0]], [16, true, [0]], [16, true, [0, 1]], [16, true, [0, 1, 2, 3]], [32, true, [0, 1]], [64, true, [0]],
    [16, false, [0, 1, 2, 3]], [64, false, [0]]
  ]
  for (const [least, forClusters, indices] of variants) {
    for (const nhwc of name === "resnet50" ? [true, false] : [false]) {
      await guarded("contexts", async () => {
        const green = driver.createGreen(driver.splitSms(least, forClusters), indices)
        const context = { units: green.units, sharedUnits: () => 0, createStream: () => driver.createStream(0, green), close: () => undefined, giveWay: undefined, givesWayLaunching: false }
        const began = performance.now()
        const loaded = await CudaModel.open(runtime, context, { path: model.path, signature: model.signature, warmBatches: [8] }, {
          isPerSize: false,
          layouts: new Map([[8, nhwc]])
        })
        const openedMs = performance.now() - began
        await loaded.warm([8])
        const warmMs = performance.now() - began - openedMs
        const ms = await loaded.trial(loaded.sizeFor(batchOf(8)))
        write({
          what: "context", model: name, least, forClusters, groups: indices.length, units: green.units, nhwc, ms: round(ms), openedMs: round(openedMs),
          warmMs: round(warmMs), detail: loaded.detail
        })
        loaded.release()
        driver.destroyGreen(green)
      })
    }
  }
}
for (const name of ["resnet50", "mobilenet_v2", "googlenet", "densenet161", "ssd-mobilenetv1"]) {
  for (const search of ["EXHAUSTIVE", "HEURISTIC", "DEFAULT"] as const) {
    for (const nhwc of [false, true]) {
      await guarded("search", async () => {
        const model = zooModel(zoo, name, 8)
        const context = {
          units: driver.device.units, sharedUnits: () => 0, createStream: () => driver.createStream(0, undefined), close: () => undefined, giveWay: undefined, givesWayLaunching: false
        }
        const request = { path: model.path, signature: model.signature, warmBatches: [8] }
        const began = performance.now()
        const searching: CudaRuntime = {
          ...runtime, openSession: (one, settings) => createCudaSession(ort, one.path, one.signature, { ...settings, search }, threadFor())
        }
        const loaded = await CudaModel.open(searching, context, request, { isPerSize: true, layouts: new Map([[8, nhwc], [1, nhwc]]) })
        const openedMs = performance.now() - began
        await loaded.warm([8])
        const warmMs = performance.now() - began - openedMs
        const ms = await loaded.trial(loaded.sizeFor(batchOf(8)))
        const before = performance.now()
        await loaded.warm([1])
        const warm1Ms = performance.now() - before
        const ms1 = await loaded.trial(loaded.sizeFor(batchOf(1)))
        write({
          what: "search", model: name, search, nhwc, ms: round(ms), ms1: round(ms1), openedMs: round(openedMs), warmMs: round(warmMs),
          warm1Ms: round(warm1Ms), detail: loaded.detail
        })
        loaded.release()
      })
    }
  }
}
process.exit(0)
