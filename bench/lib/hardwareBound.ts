/**
 * What GPUs could serve at most, whoever planned and dispatched: the largest factor on all rates for which the work fits into the GPUs' time at all.
 *
 * Bursts, queues, duty cycles and head-room cost nothing here, every execution is of the size with the best throughput among those that fit into the
 * SLO when they are at their fastest, glets change their models at will, and GPUs their cuts. What is left: executions take their mean time; a cut's
 * glets are within 100 % and within the GPU's memory; glets that run side by side slow each other down, each by what its neighbours' models do to it with
 * the batches that do so least. One in a hundred requests need not be served. At any moment a GPU is cut in some way, and each glet runs some model: a linear
 * program over these: maximise f with
 *   sum over cuts with models of w <= GPUs;  for each model, sum over cuts with models of (items per second) w >= 0.99 f load.
 */
import type { Execution } from "../../src/core/LatencyModel.js"
import type { Model } from "../../src/core/Model.js"
import type { LatencyDistribution } from "../../src/scheduler/LatencyDistribution.js"
import { ProgramBuilder } from "../../src/scheduler/solver/ProgramBuilder.js"
import type { Solver } from "../../src/scheduler/solver/Solver.js"
import type { SimulationInput } from "../../src/simulator/SimulationInput.js"

const meanMs = ({ lowestMs, p50Ms, p90Ms, p99Ms }: LatencyDistribution): number =>
  0.25 * (lowestMs + p50Ms) + 0.2 * (p50Ms + p90Ms) + 0.05 * (p90Ms + p90Ms + ((p99Ms - p90Ms) / 0.09) * 0.1)

/** A model on a share: what its executions take alone, and at the least beside each other such. */
interface Glet {
  readonly sharePct: number
  readonly model: number
  readonly bytes: number
  readonly runs: ReadonlyArray<{ readonly execution: Execution; readonly ms: number }>
  /** By number of the neighbour, by execution: the part by which it is slowed down at the least. */
  readonly excess: Array<ReadonlyArray<number>>
}

/** Models that are alike in all but their names, as one with all their requests: whoever serves them apart can serve that one. */
interface Merged {
  readonly model: Model
  readonly rateRps: number
}

/** The factor on the rates that `input.models` expect; GPUs are taken as alike. */
export const hardwareBound = (solver: Solver, input: SimulationInput): number => {
  const [gpu] = input.gpus
  if (gpu === undefined) return 0
  const shares = [...gpu.sharesPct].sort((a, b) => b - a)
  const runsOf = (model: Model, sharePct: number) =>
    Array.from({ length: model.maxBatch }, (_, i): Execution => ({ gpuType: gpu.type, model: model.name, sharePct, batch: i + 1 })).flatMap((execution) => {
      const time = input.distribution(execution)
      return time === undefined || time.lowestMs > model.sloMs! ? [] : [{ execution, ms: meanMs(time) }]
    })
  const looksOf = (model: Model): string =>
    JSON.stringify([input.latency.memoryBytes(gpu.type, model.name), shares.map((share) => runsOf(model, share).map(({ execution, ms }) => [execution.batch, ms]))])
  const merged = new Map<string, Merged>()
  for (const model of input.models) {
    if (model.sloMs === undefined || !(model.expectedRateRps > 0)) continue
    const looks = looksOf(model)
    merged.set(looks, { model: merged.get(looks)?.model ?? model, rateRps: (merged.get(looks)?.rateRps ?? 0) + model.expectedRateRps })
  }
  const models = [...merged.values()]

  const glets: ReadonlyArray<Glet> = shares.flatMap((sharePct) => models.flatMap(({ model }, index): ReadonlyArray<Glet> => {
    const runs = runsOf(model, sharePct)
    return runs.length === 0 ? [] : [{ sharePct, model: index, runs, excess: [], bytes: input.latency.gletMemoryBytes(gpu.type) + input.latency.memoryBytes(gpu.type, model.name) }]
  }))
  for (const glet of glets) {
    for (const other of glets) {
      glet.excess.push(glet.runs.map(({ execution }) =>
        other.runs.reduce((least, run) => Math.min(least, input.slowdown(execution, [[run.execution]]) - 1), Infinity)))
    }
  }
  const isSum = input.interference?.combine === "sum"
  /** Items per second of glet `at` beside the others of a cut, at most. */
  const throughput = (cut: ReadonlyArray<number>, at: number): number => {
    const glet = glets[cut[at]!]!
    let most = 0
    glet.runs.forEach(({ execution, ms }, run) => {
      let excess = 0
      cut.forEach((other, place) => {
        if (place === at) return
        const each = glet.excess[other]![run]!
        excess = isSum ? excess + each : Math.max(excess, each)
      })
      most = Math.max(most, (1000 * execution.batch) / (ms * (1 + excess)))
    })
    return most
  }

  const program = new ProgramBuilder()
  const factor = program.column({ cost: -1 })
  const gpus = program.row(-Infinity, input.gpus.length)
  const served = models.map(({ rateRps }) => {
    const row = program.row(0, Infinity)
    program.entry(row, factor, -0.99 * rateRps)
    return row
  })
  const add = (cut: ReadonlyArray<number>): void => {
    const weight = program.column()
    program.entry(gpus, weight, 1)
    const rps = new Float64Array(models.length)
    cut.forEach((glet, at) => rps[glets[glet]!.model]! += throughput(cut, at))
    rps.forEach((each, model) => {
      if (each > 0) program.entry(served[model]!, weight, each)
    })
  }
  // Every choice of glets within 100 % and the memory, each in descending order.
  const extend = (cut: ReadonlyArray<number>, from: number, leftPct: number, leftBytes: number): void => {
    for (let glet = from; glet < glets.length; glet++) {
      const { bytes, sharePct } = glets[glet]!
      if (sharePct > leftPct || bytes > leftBytes) continue
      const next = [...cut, glet]
      add(next)
      extend(next, glet, leftPct - sharePct, leftBytes - bytes)
    }
  }
  extend([], 0, 100, gpu.memoryBytes * input.planOptions.memoryFraction)
  const solved = solver.solve(program.build())
  if (solved.status !== "optimal") throw new Error(`the hardware's bound was not found: ${solved.status}`)
  return solved.values[factor]!
}
