/**
 * GPUs that are alike, counted together: what a bound knows of the inventory.
 */
import type { Gpu } from "../../../core/Gpu.js"
import type { PlanProblem } from "../../../core/PlanProblem.js"

export interface GpuClass {
  readonly type: string
  /** Shares on offer, percent, ascending. */
  readonly sharesPct: ReadonlyArray<number>
  /** What plans may fill, in bytes. */
  readonly memoryBytes: number
  /** What a glet takes before any model is loaded, in bytes. */
  readonly gletBytes: number
  /** Glets that one GPU can hold. */
  readonly maxGlets: number
  /** Price of one; 1 where none is given. */
  readonly cost: number
  /** How many there are. */
  readonly count: number
}

const classOf = ({ latency, options }: PlanProblem, gpu: Gpu): Omit<GpuClass, "count"> => ({
  type: gpu.type,
  sharesPct: [...new Set(gpu.sharesPct)].sort((a, b) => a - b),
  memoryBytes: gpu.memoryBytes * options.memoryFraction,
  gletBytes: latency.gletMemoryBytes(gpu.type),
  maxGlets: Math.min(options.maxGletsPerGpu, gpu.units),
  cost: gpu.cost ?? 1
})

/** In the order in which they first stand in the problem. */
export const gpuClasses = (problem: PlanProblem): ReadonlyArray<GpuClass> => {
  const counts = new Map<string, { readonly alike: Omit<GpuClass, "count">; count: number }>()
  // Inventories repeat the same object often; making its key is what costs.
  const known = new Map<unknown, string>()
  for (const gpu of problem.gpus) {
    let key = known.get(gpu.sharesPct)
    if (key === undefined) known.set(gpu.sharesPct, key = gpu.sharesPct.join())
    key = `${gpu.type} ${gpu.units} ${gpu.memoryBytes} ${gpu.cost ?? 1} ${key}`
    const entry = counts.get(key)
    if (entry === undefined) counts.set(key, { alike: classOf(problem, gpu), count: 1 })
    else entry.count++
  }
  return [...counts.values()].map(({ alike, count }) => ({ ...alike, count }))
}
