/** The runner's engine in this process: what the GPU does under it, without the way from and to the agent. */
import { pathToFileURL } from "node:url"
import { makeRandom } from "../../../src/core/internal/random.js"
import type { Model } from "../../../src/core/Model.js"
import { makeSlotLayout } from "../../../src/core/SlotLayout.js"
import { fill } from "../../../src/core/internal/sampleInputs.js"
import { createSegment } from "../../../src/node-cuda/internal/segment.js"
import type { CudaGlet } from "../../../src/node-cuda/runner/cuda/CudaGlet.js"
import type { HeldTime } from "../../../src/node-cuda/runner/cuda/HeldTime.js"
import { openLibcuda } from "../../../src/node-cuda/runner/cuda/driver/libcuda.js"
import { makeOrtCuda } from "../../../src/node-cuda/runner/cuda/OrtCuda.js"
import { makeSessionThreads } from "../../../src/node-cuda/runner/cuda/sessionThreads.js"
import { findRunner } from "../../../src/node-cuda/internal/runnerPath.js"
import type { RunBatch } from "../../../src/core/internal/batchAssembly.js"
import type { Start } from "./measure.js"

export interface Bench {
  readonly driver: ReturnType<typeof openLibcuda>
  /** What the engine has to say of this device. */
  readonly notes: ReadonlyArray<string>
  readonly openGlet: (units: number, priority?: number) => Promise<BenchGlet>
}

export interface BenchGlet {
  readonly units: number
  readonly depth: number
  /** ms this thread has spent on batches, and on what of them. */
  readonly held: HeldTime
  readonly load: (model: Model, warmBatches: ReadonlyArray<number>) => Promise<BenchModel>
  readonly close: () => Promise<void>
}

export interface BenchModel {
  readonly loadMs: number
  readonly memoryBytes: number
  readonly detail: string
  /** Batches of requests of one item each, in slots of their own; `set` chooses the slots. */
  readonly batch: (items: number, set?: number) => { readonly start: Start; readonly outputs: () => ReadonlyArray<Uint8Array> }
  readonly release: () => Promise<void>
}

/** Threads that sessions are made on begin with the built runner; GLET_RUNNER names another. */
export const sessionThreads = () => makeSessionThreads(pathToFileURL(process.env["GLET_RUNNER"] ?? findRunner() ?? "dist/runner.js"))

const align = (n: number): number => Math.ceil(n / 4096) * 4096

/** Opens the engine with a segment of its own. With `GLET_BENCH_MOVER=0` it gathers small tensors on the host. */
export const openBench = (isolation: "green" | "stream", segmentBytes = 768 << 20): Bench => {
  const segment = createSegment(segmentBytes)
  const bytes = new Uint8Array(segment.memory)
  const opened = openLibcuda()
  const withoutMover = () => {
    throw new Error("GLET_BENCH_MOVER=0")
  }
  const driver = process.env["GLET_BENCH_MOVER"] === "0" ? { ...opened, openMover: withoutMover } : opened
  const engine = makeOrtCuda({ bytes, address: segment.address }, { isolation }, driver, sessionThreads(), (error) => {
    process.stderr.write(`fatal: ${error.message}\n`)
    process.exit(70)
  })
  let used = 0
  return {
    driver,
    notes: engine.cuda?.notes ?? [],
    openGlet: async (units, priority = 0) => {
      const glet = await engine.openGlet({ units, sharePct: Math.round((100 * units) / driver.device.units), priority }) as CudaGlet
      return {
        units: glet.opened.units,
        depth: glet.opened.depth ?? 2,
        held: glet.held,
        close: () => glet.close(),
        load: async (model, warmBatches) => {
          const began = performance.now()
          const { loaded, model: running } = await glet.load({ path: model.path, signature: model.signature, warmBatches })
          const layout = makeSlotLayout(model.signature)
          const slotBytes = align(layout.placement(1, []).totalBytes)
          const base = used
          const sets = Math.max(...warmBatches) * 3
          used += slotBytes * sets
          if (used > segmentBytes) throw new Error(`the bench's segment of ${segmentBytes} bytes is too small`)
          const random = makeRandom(1)
          const { inputBytes, inputOffsets, outputBytes, outputOffsets } = layout.placement(1, [])
          // A few that differ are enough to tell slots apart, and large inputs take long to draw.
          const drawn = Math.min(sets, 4)
          for (let i = 0; i < drawn; i++) {
            const slot = bytes.subarray(base + i * slotBytes, base + (i + 1) * slotBytes)
            model.signature.inputs.forEach(({ datatype }, j) => {
              fill(slot.subarray(inputOffsets[j]!, inputOffsets[j]! + inputBytes[j]!), datatype, { maxInteger: 1000, random })
            })
          }
          for (let i = drawn; i < sets; i++) bytes.copyWithin(base + i * slotBytes, base + (i % drawn) * slotBytes, base + (i % drawn + 1) * slotBytes)
          return {
            loadMs: performance.now() - began,
            memoryBytes: loaded.memoryBytes,
            detail: loaded.detail,
            release: () => running.release(),
            batch: (items, set = 0) => {
              const offsets = Array.from({ length: items }, (_, i) => base + ((set * Math.max(...warmBatches) + i) % sets) * slotBytes)
              const batch: RunBatch = { items, bindings: [], offsets, entryItems: offsets.map(() => 1) }
              return {
                start: (done) => running.run(batch, (end) => {
                  if (!end.ok) throw new Error(end.detail)
                  done()
                }),
                outputs: () => offsets.flatMap((at) => outputOffsets.map((offset, j) => bytes.slice(at + offset, at + offset + outputBytes[j]!)))
              }
            }
          }
        }
      }
    }
  }
}
