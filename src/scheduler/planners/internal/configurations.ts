/**
 * Everything that one GPU can be made to do: all ways to cut it, with every set of models and batches on each glet, exactly as the judge sees them.
 *
 * A cycle is as long as its batches: a longer one carries less and waits longer. So a glet is its share and its batches, a GPU its glets; latencies
 * follow from who is beside whom, and the rates from them.
 */
import type { Execution } from "../../../core/LatencyModel.js"
import type { PlanProblem } from "../../../core/PlanProblem.js"
import type { GpuClass } from "../../bounds/internal/gpuClasses.js"
import { keepsSlo } from "../../internal/keepsSlo.js"

interface GletChoice {
  readonly sharePct: number
  readonly works: ReadonlyArray<Execution>
  /** Place of each work's demand. */
  readonly demands: ReadonlyArray<number>
  readonly memoryBytes: number
}

/** How a glet runs among its neighbours. */
export interface GletRun {
  readonly choice: GletChoice
  readonly dutyMs: number
  readonly latenciesMs: ReadonlyArray<number>
}

export interface Configuration {
  readonly gpuClass: number
  readonly glets: ReadonlyArray<GletRun>
  /** By demand asked for, the part of its rate that is carried, at most 1. */
  readonly parts: Float64Array
}

/** Of glets and of GPUs that are looked at. */
interface Budget {
  left: number
}

const runOf = (problem: PlanProblem, choice: GletChoice, neighbours: ReadonlyArray<ReadonlyArray<Execution>>): GletRun | undefined => {
  const { latency, options } = problem
  const latenciesMs = choice.works.map((work) =>
    latency.latencyMs(work) * (options.interference ? latency.slowdown(work, neighbours) : 1) * options.latencyHeadroom)
  const dutyMs = latenciesMs.reduce((sum, ms) => sum + ms, 0)
  const holds = choice.demands.every((demand, i) =>
    dutyMs + (options.dutyRule === "strict" ? dutyMs : latenciesMs[i]!) <= problem.demands[demand]!.sloMs)
  return dutyMs > 0 && dutyMs < Infinity && holds ? { choice, dutyMs, latenciesMs } : undefined
}

/** All glets of a share that hold without neighbours, which never make one faster. Undefined where they are too many. */
const gletChoices = (
  problem: PlanProblem,
  gpuClass: GpuClass,
  sharePct: number,
  demands: ReadonlyArray<number>,
  budget: Budget
): ReadonlyArray<GletChoice> | undefined => {
  const choices: Array<GletChoice> = []
  const extend = (from: number, choice: GletChoice): boolean => {
    if (choice.works.length > 0 && runOf(problem, choice, []) !== undefined) choices.push(choice)
    if (choice.works.length >= problem.options.maxModelsPerGlet) return true
    for (let at = from; at < demands.length; at++) {
      const demand = demands[at]!
      const { maxBatch, model } = problem.demands[demand]!
      const memoryBytes = choice.memoryBytes + problem.latency.memoryBytes(gpuClass.type, model)
      if (!(memoryBytes <= gpuClass.memoryBytes)) continue
      for (let batch = 1; batch <= maxBatch; batch++) {
        if (budget.left-- <= 0) return false
        const work: Execution = { gpuType: gpuClass.type, model, sharePct, batch }
        const ms = problem.latency.latencyMs(work) * problem.options.latencyHeadroom
        if (!(ms < Infinity)) break
        if (!keepsSlo(ms, problem.demands[demand]!.sloMs)) continue
        if (!extend(at + 1, { sharePct, works: [...choice.works, work], demands: [...choice.demands, demand], memoryBytes })) return false
      }
    }
    return true
  }
  return extend(0, { sharePct, works: [], demands: [], memoryBytes: gpuClass.gletBytes }) ? choices : undefined
}

const isCovered = (parts: Float64Array, by: Float64Array): boolean => {
  for (let i = 0; i < parts.length; i++) if (parts[i]! > by[i]!) return false
  return true
}

/**
 * The configurations of each class that no other of it outdoes in every rate. Undefined where there are more than `most` to look at.
 */
export const configurations = (
  problem: PlanProblem,
  classes: ReadonlyArray<GpuClass>,
  demands: ReadonlyArray<number>,
  most: number
): ReadonlyArray<Configuration> | undefined => {
  const places = new Map(demands.map((demand, at) => [demand, at]))
  const budget: Budget = { left: most }
  const kept: Array<Configuration> = []
  for (let gpuClass = 0; gpuClass < classes.length; gpuClass++) {
    const of = classes[gpuClass]!
    const choices: Array<GletChoice> = []
    for (const sharePct of of.sharesPct) {
      const found = gletChoices(problem, of, sharePct, demands, budget)
      if (found === undefined) return undefined
      choices.push(...found)
    }
    let best: Array<Configuration> = []
    const consider = (glets: ReadonlyArray<GletChoice>): void => {
      const runs: Array<GletRun> = []
      for (let at = 0; at < glets.length; at++) {
        const run = runOf(problem, glets[at]!, glets.filter((_, other) => other !== at).map(({ works }) => works))
        if (run === undefined) return
        runs.push(run)
      }
      const parts = new Float64Array(demands.length)
      for (const { choice, dutyMs } of runs) {
        choice.demands.forEach((demand, i) => {
          parts[places.get(demand)!]! += (1000 * choice.works[i]!.batch) / dutyMs / problem.demands[demand]!.rateRps
        })
      }
      parts.forEach((part, i) => {
        parts[i] = Math.min(1, part)
      })
      if (best.some((other) => isCovered(parts, other.parts))) return
      best = best.filter((other) => !isCovered(other.parts, parts))
      best.push({ gpuClass, glets: runs, parts })
    }
    const extend = (from: number, glets: ReadonlyArray<GletChoice>, sharePct: number, memoryBytes: number): boolean => {
      if (glets.length > 0) consider(glets)
      if (glets.length >= of.maxGlets) return true
      for (let i = from; i < choices.length; i++) {
        const next = choices[i]!
        if (sharePct + next.sharePct > 100 || memoryBytes + next.memoryBytes > of.memoryBytes) continue
        if (budget.left-- <= 0) return false
        if (!extend(i, [...glets, next], sharePct + next.sharePct, memoryBytes + next.memoryBytes)) return false
      }
      return true
    }
    if (!extend(0, [], 0, 0)) return undefined
    kept.push(...best)
  }
  return kept
}
