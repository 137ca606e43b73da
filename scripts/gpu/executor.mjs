// Part of scripts/gpu-check.mjs: glets of every isolation compute what the CPU computes, on the SMs they were given.
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as fs from "node:fs"
import * as Core from "../../dist/core.js"
import * as NodeCuda from "../../dist/node-cuda.js"

const file = new URL("../../resource/demo/lenet-digits.onnx", import.meta.url).pathname
const lenet = {
  name: "lenet", version: 1, path: file, maxBatch: 16, serviceClass: "latency-critical", sloMs: 50, expectedRateRps: 100, weightBytes: fs.statSync(file).size,
  signature: {
    inputs: [{ name: "input", datatype: "FP32", shape: ["batch", 1, 28, 28] }], outputs: [{ name: "logits", datatype: "FP32", shape: ["batch", 10] }], batchSymbol: "batch"
  }
}
const items = 8
const layout = Core.makeSlotLayout(lenet.signature)

/** Runs one batch of noise and gives its logits. */
const logitsOf = (executor, glet) =>
  Effect.gen(function*() {
    const { inputOffsets, outputOffsets, totalBytes } = layout.placement(items, [])
    const slot = executor.arena.allocate(totalBytes)
    slot.bytes.fill(0)
    const floats = (offset, count) => new Float32Array(slot.bytes.buffer, slot.bytes.byteOffset + offset, count)
    floats(inputOffsets[0], items * 784).forEach((_, i, all) => { all[i] = ((i * 2654435761) % 1000) / 1000 })
    const batch = { model: lenet, entries: [{ slot, items, bindings: [] }], items }
    const end = yield* Core.runBatch(glet, batch)
    if (!end.ok) return yield* Effect.fail(new Error(end.error.detail ?? end.error.message))
    const logits = Array.from(floats(outputOffsets[0], items * 10))
    const times = []
    for (let i = 0; i < 200; i++) {
      const start = performance.now()
      yield* Core.runBatch(glet, batch)
      times.push(performance.now() - start)
    }
    slot.release()
    return { logits, p50Ms: times.sort((a, b) => a - b)[100] }
  })

const onGlet = (executor, gpu, sharePct, priority, use) =>
  Effect.gen(function*() {
    const scope = yield* Scope.make()
    const start = performance.now()
    const opened = yield* Effect.either(Scope.extend(executor.open({ id: `${gpu.id}/check-${sharePct}-${priority}`, gpu, sharePct, priority }), scope))
    if (opened._tag === "Left") return { error: opened.left.message }
    const openMs = performance.now() - start
    const glet = opened.right
    const used = yield* Effect.either(Effect.gen(function*() {
      const loaded = yield* glet.load(lenet, [1, items])
      const { logits, p50Ms } = yield* logitsOf(executor, glet)
      const stats = yield* glet.stats
      return { openMs: Math.round(openMs), loadMs: Math.round(loaded.loadMs), units: stats.units, pid: stats.pid, memoryBytes: loaded.memoryBytes, detail: loaded.detail, p50Ms: +p50Ms.toFixed(3), ...(use === undefined ? {} : yield* use(logits)) }
    }))
    const closing = performance.now()
    yield* Scope.close(scope, Exit.void)
    return used._tag === "Left" ? { error: used.left.message } : { ...used.right, closeMs: Math.round(performance.now() - closing) }
  })

/** One result per isolation and share. */
export const checkExecutor = async (isolations) => {
  const cpu = NodeCuda.CpuInventory.cpuGpu({ cores: 2 })
  const reference = await Effect.runPromise(Effect.scoped(Effect.gen(function*() {
    const executor = yield* NodeCuda.CpuExecutor.make({})
    const glet = yield* executor.open({ id: "cpu/check", gpu: cpu, sharePct: cpu.sharesPct.at(-1), priority: 0 })
    yield* glet.load(lenet, [items])
    return (yield* logitsOf(executor, glet)).logits
  })))
  const compare = (logits) => Effect.succeed({ largestDifference: Math.max(...logits.map((value, i) => Math.abs(value - reference[i]))) })
  const results = []
  for (const isolation of isolations) {
    const started = performance.now()
    const exit = await Effect.runPromiseExit(Effect.scoped(Effect.gen(function*() {
      const described = yield* NodeCuda.CudaInventory.describeGpus({ isolation })
      const { gpu } = described[0]
      const executor = yield* NodeCuda.CudaExecutor.make({})
      const grid = gpu.sharesPct
      const shares = isolation === "stream" ? [100] : isolation === "mps" ? [10, 30, 50, 100] : [grid[0], grid[3], grid[7], 100]
      for (const share of shares) {
        for (const priority of share === shares.at(-1) ? [0, 1] : [0]) {
          results.push({ isolation, gpu: gpu.id, share, priority, ...(yield* onGlet(executor, gpu, share, priority, compare)) })
        }
      }
    })))
    results.push({ isolation, allMs: Math.round(performance.now() - started), ...(exit._tag === "Failure" ? { error: String(exit.cause) } : {}) })
  }
  return results
}
