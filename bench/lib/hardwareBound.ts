/**
 * What GPUs could serve at most, whoever planned and dispatched: the largest factor on all rates for which the work fits into the GPUs' time at all.
 *
 * Bursts, queues, duty cycles and head-room cost nothing here, every execution is of the size with the best throughput among those that fit into the
 * SLO when they are at their fastest, glets change their models at will, and GPUs their cuts. What is left: executions take their mean time; a cut's
 * glets are within 100 % and within the GPU's memory; glets that run side by side slow each other down, each by the neighbours that do so least. One in
 * a hundred requests need not be served. A linear program over cuts: maximise f with
 *   sum over cuts of w_cut <= GPUs;  sum over models of y_cut,share,model <= (glets of that share in the cut) w_cut;  sum rate y >= 0.99 f load.
 */
import type { Execution } from "../../src/core/LatencyModel.js"
import type { Model } from "../../src/core/Model.js"
import type { LatencyDistribution } from "../../src/scheduler/LatencyDistribution.js"
import { ProgramBuilder } from "../../src/scheduler/solver/ProgramBuilder.js"
import type { Solver } from "../../src/scheduler/solver/Solver.js"
import type { SimulationInput } from "../../src/simulator/SimulationInput.js"

const meanMs = ({ lowestMs, p50Ms, p90Ms, p99Ms }: LatencyDistribution): number =>
  0.25 * (lowestMs + p50Ms) + 0.2 * (p50Ms + p90Ms) + 0.05 * (p90Ms + p90Ms + ((p99Ms - p90Ms) / 0.09) * 0.1)

/** Every choice of shares within 100 %, each descending. */
const cutsOf = (shares: ReadonlyArray<number>, left = 100): ReadonlyArray<ReadonlyArray<number>> =>
  shares.flatMap((share, at) => {
    if (share > left) return []
    return [[share], ...cutsOf(shares.slice(at), left - share).map((rest) => [share, ...rest])]
  })

/** The factor on the rates that `input.models` expect; GPUs are taken as alike. */
export const hardwareBound = (solver: Solver, input: SimulationInput): number => {
  const [gpu] = input.gpus
  if (gpu === undefined) return 0
  const models = input.models.filter(({ expectedRateRps, sloMs }) => sloMs !== undefined && expectedRateRps > 0)
  const shares = [...gpu.sharesPct].sort((a, b) => b - a)
  const executions = (model: Model, sharePct: number): ReadonlyArray<{ readonly execution: Execution; readonly time: LatencyDistribution }> =>
    Array.from({ length: model.maxBatch }, (_, i): Execution => ({ gpuType: gpu.type, model: model.name, sharePct, batch: i + 1 })).flatMap((execution) => {
      const time = input.distribution(execution)
      return time === undefined || time.lowestMs > model.sloMs! ? [] : [{ execution, time }]
    })
  const table = new Map(shares.map((share) => [share, models.map((model) => executions(model, share))]))
  /** The least that a neighbour of this share slows an execution down, whatever it runs. */
  const least = new Map<Execution, Map<number, number>>()
  const slowdownBy = (execution: Execution, share: number): number => {
    let known = least.get(execution)
    if (known === undefined) least.set(execution, known = new Map())
    let slowdown = known.get(share)
    if (slowdown === undefined) {
      slowdown = Infinity
      for (const others of table.get(share)!) for (const other of others) slowdown = Math.min(slowdown, input.slowdown(execution, [[other.execution]]))
      known.set(share, slowdown)
    }
    return slowdown
  }
  const leastModelBytes = Math.min(...models.map(({ name }) => input.latency.memoryBytes(gpu.type, name)))
  const program = new ProgramBuilder()
  const factor = program.column({ cost: -1 })
  const gpus = program.row(-Infinity, input.gpus.length)
  const served = models.map(({ expectedRateRps }) => {
    const row = program.row(0, Infinity)
    program.entry(row, factor, -0.99 * expectedRateRps)
    return row
  })
  for (const cut of cutsOf(shares)) {
    const bytes = cut.length * (input.latency.gletMemoryBytes(gpu.type) + leastModelBytes)
    if (bytes > gpu.memoryBytes * input.planOptions.memoryFraction) continue
    const weight = program.column()
    program.entry(gpus, weight, 1)
    for (const share of new Set(cut)) {
      const time = program.row(-Infinity, 0)
      program.entry(time, weight, -cut.filter((other) => other === share).length)
      const neighbours = [...cut]
      neighbours.splice(neighbours.indexOf(share), 1)
      models.forEach((_, model) => {
        let best = 0
        for (const { execution, time } of table.get(share)![model]!) {
          const slowdown = neighbours.reduce((most, other) => Math.max(most, slowdownBy(execution, other)), 1)
          best = Math.max(best, (1000 * execution.batch) / (meanMs(time) * slowdown))
        }
        if (best === 0) return
        const part = program.column()
        program.entry(time, part, 1)
        program.entry(served[model]!, part, best)
      })
    }
  }
  const solved = solver.solve(program.build())
  if (solved.status !== "optimal") throw new Error(`the hardware's bound was not found: ${solved.status}`)
  return solved.values[factor]!
}
