/**
 * GPUs that are alike, counted together: what a bound knows of the inventory.
 */
import type { Gpu } from "../../../core/Gpu.js"
import type { PlanProblem } from "../../../core/PlanProblem.js"

export interface GpuClass {
  /** The same for GPUs that are alike. */
  readonly key: string
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

export const classKeyOf = (gpu: Gpu): string => `${gpu.type} ${gpu.units} ${gpu.memoryBytes} ${gpu.cost ?? 1} ${gpu.sharesPct.join()}`

const classOf = ({ latency, options }: PlanProblem, gpu: Gpu, key: string, count: number): GpuClass => ({
  key,
  type: gpu.type,
  sharesPct: [...new Set(gpu.sharesPct)].sort((a, b) => a - b),
  memoryBytes: gpu.memoryBytes * options.memoryFraction,
  gletBytes: latency.gletMemoryBytes(gpu.type),
  maxGlets: Math.min(options.maxGletsPerGpu, gpu.units),
  cost: gpu.cost ?? 1,
  count
})

const isSame = (one: Gpu, other: Gpu): boolean =>
  one.type === other.type && one.units === other.units && one.memoryBytes === other.memoryBytes && one.cost === other.cost && one.sharesPct === other.sharesPct

/** In the order in which they first stand in the problem. */
export const gpuClasses = (problem: PlanProblem): ReadonlyArray<GpuClass> => {
  const counts = new Map<string, { readonly gpu: Gpu; count: number }>()
  let last: { readonly gpu: Gpu; count: number } | undefined
  for (const gpu of problem.gpus) {
    // GPUs that are alike mostly stand together.
    if (last !== undefined && isSame(last.gpu, gpu)) {
      last.count++
      continue
    }
    const key = classKeyOf(gpu)
    last = counts.get(key) ?? { gpu, count: 0 }
    last.count++
    counts.set(key, last)
  }
  return [...counts].map(([key, { count, gpu }]) => classOf(problem, gpu, key, count))
}
