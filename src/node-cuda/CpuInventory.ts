/**
 * The inventory of a machine whose GPU is its CPU.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as os from "node:os"
import type { Gpu, GpuTelemetry } from "../core/Gpu.js"
import { GpuInventory } from "../core/Gpu.js"
import { unsafeGpuId } from "../core/Ids.js"
import { usableCores } from "./internal/usableCores.js"

/** How the CPU is described as a GPU; every field has a default. @since 0.1.0 @category options */
export interface CpuInventoryOptions {
  /** Cores to serve with. Default: all that this process may use, within its container's limit. */
  readonly cores?: number
  /** Memory for models and glets, in bytes. Default: what is free at the start. */
  readonly memoryBytes?: number
}

/** Memory that this process can still get, also within a container's limit. */
const availableBytes = (): number => process.availableMemory?.() ?? os.freemem()

/** Memory of the machine, or of the container where that is less. */
const totalBytes = (): number => {
  const limit = process.constrainedMemory?.() ?? 0
  return limit > 0 && limit < os.totalmem() ? limit : os.totalmem()
}

/** Shares of whole cores, ascending: 50 and 100 on two. Rounded to percents they stand for the same cores again (`unitsOfShare`). */
const wholeCores = (cores: number): [number, ...Array<number>] => {
  const shares = Array.from({ length: cores }, (_, i) => Math.min(100, Math.max(1, Math.round((100 * (i + 1)) / cores))))
  return [...new Set(shares)] as [number, ...Array<number>]
}

/**
 * The CPU as a GPU: id and type `cpu`, a unit is a core, a share some of its cores.
 * @since 0.1.0
 * @category constructors
 */
export const cpuGpu = (options: CpuInventoryOptions = {}): Gpu => {
  const cores = Math.max(1, Math.floor(options.cores ?? usableCores()))
  return {
    id: unsafeGpuId("cpu"),
    type: "cpu",
    isolation: "threads",
    units: cores,
    memoryBytes: Math.max(1, options.memoryBytes ?? availableBytes()),
    sharesPct: wholeCores(cores)
  }
}

/** Busy and idle time of all cores since the machine started, ms. */
const coreTimes = (): { readonly busyMs: number; readonly idleMs: number } => {
  let busyMs = 0
  let idleMs = 0
  for (const { times } of os.cpus()) {
    busyMs += times.user + times.nice + times.sys + times.irq
    idleMs += times.idle
  }
  return { busyMs, idleMs }
}

/**
 * Lists the CPU. Its utilization is that of the whole machine since the last reading.
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: CpuInventoryOptions = {}): Layer.Layer<GpuInventory> =>
  Layer.sync(GpuInventory, () => {
    const gpu = cpuGpu(options)
    let last = coreTimes()
    const telemetry = Effect.sync((): ReadonlyArray<GpuTelemetry> => {
      const now = coreTimes()
      const busyMs = now.busyMs - last.busyMs
      const passedMs = busyMs + now.idleMs - last.idleMs
      last = now
      const memoryTotalBytes = totalBytes()
      return [{
        gpu: gpu.id,
        utilizationRatio: passedMs > 0 ? Math.min(1, Math.max(0, busyMs / passedMs)) : 0,
        memoryUsedBytes: Math.max(0, memoryTotalBytes - availableBytes()),
        memoryTotalBytes
      }]
    })
    return { gpus: [gpu], telemetry }
  })
