/** What the search knows of GPUs: kinds of them. */
import type { Gpu } from "../../../core/Gpu.js"

/** GPUs that are alike in all that planning looks at. */
export interface GpuKind {
  /** Any of them. */
  readonly gpu: Gpu
  /** Their places in the problem, ascending. */
  readonly members: ReadonlyArray<number>
  readonly sharesPct: ReadonlyArray<number>
  readonly maxGlets: number
  /** What plans may fill of its memory, in bytes. */
  readonly roomBytes: number
  readonly gletBytes: number
  readonly modelBytes: Float64Array
  readonly cost: number
}
