/**
 * A problem as the search sees it: GPUs by kind, models and shares by number, latencies and interference of pairs tabulated.
 */
import type { Gpu } from "../../../core/Gpu.js"
import type { Execution } from "../../../core/LatencyModel.js"
import { gletsAllowed } from "../gletSolver.js"
import type { PlanTables } from "../planTables.js"
import type { GpuKind } from "./gpuKind.js"
import type { Best, Rows } from "./rows.js"
import { makeRows } from "./rows.js"

export interface SearchSpace {
  readonly tables: PlanTables
  readonly kinds: ReadonlyArray<GpuKind>
  readonly models: number
  readonly isStrict: boolean
  readonly maxModels: number
  readonly sloMs: Float64Array
  readonly rows: Rows
  readonly best: (kind: number, model: number, share: number) => Best
  /** `groups`: the latency model is asked for every slow-down. */
  readonly combine: "none" | "sum" | "largest" | "groups"
  readonly resources: number
  readonly execution: (kind: number, model: number, share: number, batch: number) => Execution
}

const isAlike = (one: Gpu, other: Gpu): boolean =>
  one.type === other.type && one.memoryBytes === other.memoryBytes && one.units === other.units && (one.cost ?? 1) === (other.cost ?? 1) &&
  (one.sharesPct === other.sharesPct || (one.sharesPct.length === other.sharesPct.length && one.sharesPct.every((share, s) => share === other.sharesPct[s])))

const kindsOf = (tables: PlanTables): ReadonlyArray<GpuKind> => {
  const { demands, problem } = tables
  const found: Array<{ readonly gpu: Gpu; readonly members: Array<number> }> = []
  problem.gpus.forEach((gpu, at) => {
    const known = found.find((kind) => isAlike(kind.gpu, gpu))
    if (known === undefined) found.push({ gpu, members: [at] })
    else known.members.push(at)
  })
  return found.map(({ gpu, members }) => {
    return {
      gpu,
      members,
      sharesPct: gpu.sharesPct,
      maxGlets: gletsAllowed(tables, gpu),
      roomBytes: gpu.memoryBytes * problem.options.memoryFraction,
      gletBytes: tables.gletMemoryBytes(gpu.type),
      modelBytes: Float64Array.from(demands, (_, demand) => tables.memoryBytes(gpu.type, demand)),
      cost: gpu.cost ?? 1
    }
  })
}

export const makeSearchSpace = (tables: PlanTables): SearchSpace => {
  const { demands, problem } = tables
  const { latency, options } = problem
  const { interference } = latency
  const kinds = kindsOf(tables)
  const models = demands.length
  const sloMs = Float64Array.from(demands, (demand) => demand.sloMs)
  const rows = makeRows(tables, kinds)
  const resources = options.interference ? interference?.resources ?? 0 : 0

  const execution = (kind: number, model: number, share: number, batch: number): Execution =>
    tables.execution(kinds[kind]!.gpu.type, model, kinds[kind]!.sharesPct[share]!, batch)
  return {
    tables, kinds, models, sloMs, rows, best: rows.best, execution, resources,
    isStrict: options.dutyRule === "strict",
    maxModels: options.maxModelsPerGlet,
    combine: options.interference ? interference?.combine ?? "groups" : "none"
  }
}
