/**
 * Slices of GPUs as gpulet cuts them, and whether given works run on them: with the longest duty cycle that keeps every SLO, hence with the
 * largest batches (gpulet §3), where that holds; else with the shortest.
 */
import type { Gpu } from "../../../core/Gpu.js"
import type { Execution } from "../../../core/LatencyModel.js"
import type { PlanTables } from "../../internal/planTables.js"

/** A part of a demand's rate. */
export interface Work {
  /** Number of the demand. */
  readonly demand: number
  readonly rateRps: number
}

export interface Slice {
  readonly sharePct: number
  /** None: the slice is free. */
  readonly works: ReadonlyArray<Work>
}

/** The slices of one GPU; none: it is whole. */
export interface SlicedGpu {
  readonly gpu: Gpu
  readonly slices: ReadonlyArray<Slice>
}

/** How a slice runs its works, by work. */
export interface SliceRun {
  readonly dutyMs: number
  readonly batches: ReadonlyArray<number>
  readonly latenciesMs: ReadonlyArray<number>
}

const idle: SliceRun = { dutyMs: 0, batches: [], latenciesMs: [] }

/** Sums of floating-point milliseconds. */
const slack = 1e-9

type Latency = (work: number, batch: number) => number

const sumOf = (values: ReadonlyArray<number>): number => values.reduce((sum, value) => sum + value, 0)

const batchesAt = (works: ReadonlyArray<Work>, dutyMs: number): ReadonlyArray<number> =>
  works.map(({ rateRps }) => Math.max(1, Math.ceil((dutyMs * rateRps) / 1000 - slack)))

/** The run with this duty cycle, if its batches fit into it and keep the SLOs. */
const runWith = (tables: PlanTables, works: ReadonlyArray<Work>, latencyMs: Latency, dutyMs: number): SliceRun | undefined => {
  const batches = batchesAt(works, dutyMs)
  const latenciesMs = batches.map((batch, i) => latencyMs(i, batch))
  const sumMs = sumOf(latenciesMs)
  if (!(sumMs <= dutyMs + slack)) return undefined
  const isStrict = tables.problem.options.dutyRule === "strict"
  const keeps = works.every(({ demand }, i) => dutyMs + (isStrict ? sumMs : latenciesMs[i]!) <= tables.demands[demand]!.sloMs + slack)
  return keeps ? { dutyMs, batches, latenciesMs } : undefined
}

/** The run with the shortest duty cycle: its batches need no less than it, and a shorter one would need smaller latencies than one item has. */
const shortestRun = (tables: PlanTables, works: ReadonlyArray<Work>, latencyMs: Latency): SliceRun | undefined => {
  const tightestMs = works.reduce((least, { demand }) => Math.min(least, tables.demands[demand]!.sloMs), Infinity)
  let dutyMs = sumOf(works.map((_, i) => latencyMs(i, 1)))
  while (dutyMs <= tightestMs) {
    const neededMs = sumOf(batchesAt(works, dutyMs).map((batch, i) => latencyMs(i, batch)))
    if (neededMs <= dutyMs + slack) return runWith(tables, works, latencyMs, dutyMs)
    dutyMs = neededMs
  }
  return undefined
}

/** Duty cycles that fill batches exactly, and those in which single items wait as long as their SLOs allow, longest first. */
const fullDuties = (tables: PlanTables, works: ReadonlyArray<Work>, latencyMs: Latency): ReadonlyArray<number> => {
  const tightestMs = works.reduce((least, { demand }) => Math.min(least, tables.demands[demand]!.sloMs), Infinity)
  const singleMs = works.map((_, i) => latencyMs(i, 1))
  const isStrict = tables.problem.options.dutyRule === "strict"
  // Below this rate an item would wait too long for its batch: the cycle is as long as it may be, and not always full.
  const waitingMs = works.reduce((least, { demand }, i) => Math.min(least, tables.demands[demand]!.sloMs - (isStrict ? sumOf(singleMs) : singleMs[i]!)), Infinity)
  const duties = waitingMs > 0 && waitingMs < Infinity ? [waitingMs] : []
  for (const { demand, rateRps } of works) {
    if (rateRps <= 0) continue
    const most = Math.min(tables.largestBatch(demand), Math.floor((tightestMs * rateRps) / 1000))
    for (let batch = 1; batch <= most; batch++) duties.push((1000 * batch) / rateRps)
  }
  return duties.sort((a, b) => b - a)
}

type BatchChoice = "largest" | "smallest"

const runSlice = (tables: PlanTables, gpuType: string, slice: Slice, slowdowns: ReadonlyArray<number>, choice: BatchChoice): SliceRun | undefined => {
  const { sharePct, works } = slice
  if (works.length === 0) return idle
  const latencyMs: Latency = (i, batch) => tables.latencyMs(gpuType, works[i]!.demand, sharePct, batch) * slowdowns[i]!
  const shortest = shortestRun(tables, works, latencyMs)
  if (shortest === undefined || choice === "smallest") return shortest
  for (const dutyMs of fullDuties(tables, works, latencyMs)) {
    if (dutyMs <= shortest.dutyMs) break
    const run = runWith(tables, works, latencyMs, dutyMs)
    if (run !== undefined) return run
  }
  return shortest
}

/** Slow-downs of every work of every slice, given what runs beside it. */
export const slowdownsOf = (
  tables: PlanTables,
  { gpu, slices }: SlicedGpu,
  runs: ReadonlyArray<Pick<SliceRun, "batches">>
): ReadonlyArray<ReadonlyArray<number>> => {
  const groups = slices.map(({ sharePct, works }, i): ReadonlyArray<Execution> =>
    works.map(({ demand }, w) => tables.execution(gpu.type, demand, sharePct, runs[i]!.batches[w]!)))
  return groups.map((group, i) => {
    const neighbours = groups.filter((other, at) => at !== i && other.length > 0)
    return group.map((execution) => tables.problem.latency.slowdown(execution, neighbours))
  })
}

/** Larger batches mean more interference and that smaller batches; rounds in which both may move, then slow-downs only rise. */
const freeRounds = 4
const rounds = 24

const runWithChoice = (tables: PlanTables, sliced: SlicedGpu, interference: boolean, choice: BatchChoice): ReadonlyArray<SliceRun> | undefined => {
  let slowdowns: ReadonlyArray<ReadonlyArray<number>> = sliced.slices.map(({ works }) => works.map(() => 1))
  for (let round = 0; round < rounds; round++) {
    const runs: Array<SliceRun> = []
    for (let i = 0; i < sliced.slices.length; i++) {
      const run = runSlice(tables, sliced.gpu.type, sliced.slices[i]!, slowdowns[i]!, choice)
      if (run === undefined) return undefined
      runs.push(run)
    }
    if (!interference || sliced.slices.filter(({ works }) => works.length > 0).length < 2) return runs
    const before = slowdowns
    const caused = slowdownsOf(tables, sliced, runs)
    if (caused.every((row, i) => row.every((factor, w) => factor <= before[i]![w]! + slack))) return runs
    slowdowns = round < freeRounds ? caused : caused.map((row, i) => row.map((factor, w) => Math.max(factor, before[i]![w]!)))
  }
  return undefined
}

const fits = ({ gletMemoryBytes, memoryBytes, problem }: PlanTables, { gpu, slices }: SlicedGpu): boolean => {
  let bytes = 0
  for (const { works } of slices) {
    if (works.length > problem.options.maxModelsPerGlet) return false
    if (works.length > 0) bytes += gletMemoryBytes(gpu.type)
    for (const { demand } of works) bytes += memoryBytes(gpu.type, demand)
  }
  return bytes <= gpu.memoryBytes * problem.options.memoryFraction
}

/** How the slices of a GPU run together; undefined where they do not. */
export const runGpu = (tables: PlanTables, sliced: SlicedGpu, interference: boolean): ReadonlyArray<SliceRun> | undefined =>
  fits(tables, sliced)
    ? runWithChoice(tables, sliced, interference, "largest") ?? runWithChoice(tables, sliced, interference, "smallest")
    : undefined
