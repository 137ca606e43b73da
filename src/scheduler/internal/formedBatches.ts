/**
 * How busy latency-critical glets are.
 *
 * Where requests gather (gathering.ts) with the batches that they will really form: a batch is what comes until it must begin. Elsewhere with the planned ones,
 * which are for the head-room too, and larger than what starts at once: fewer glets are preferred so, on which that is soon done.
 */
import type { Assignment, Plan, PlannedGlet, PlannedGpu } from "../../core/Plan.js"
import type { PlanTables } from "./planTables.js"

/** The part of an SLO by which a batch that gathered has ended, most often. */
const gatheredPart = 0.8

/** Rounds in which batches and the time of a cycle settle. */
const rounds = 12

interface Formed {
  readonly work: Assignment
  /** Items per ms on this glet, and on all. */
  readonly rate: number
  readonly allRate: number
  readonly sloMs: number
  readonly largest: number
  /** Typical duration of a batch here. */
  readonly typicalMs: (batch: number) => number
}

/** The largest batch that is no longer than `limitMs`, from the planned one upward. */
const largestWithin = (typicalMs: (batch: number) => number, planned: number, most: number, limitMs: number): number => {
  let largest = Math.min(planned, most)
  while (largest < most && typicalMs(largest + 1) <= limitMs) largest += 1
  return largest
}

/** What comes until it must begin, of which others on the glet may take `othersMs`. */
const gathered = ({ allRate, largest, sloMs, typicalMs }: Formed, othersMs: number): number => {
  let batch = 1
  while (batch < largest && batch / allRate + typicalMs(batch + 1) + othersMs <= gatheredPart * sloMs) batch += 1
  return batch
}

/** Parts of their time that the latency-critical glets of a plan are busy, each 0 to 1. */
export const busyParts = (tables: PlanTables, { gpus }: Pick<Plan, "gpus">, gathers: (gpu: PlannedGpu) => boolean): ReadonlyMap<PlannedGlet, number> => {
  const { latency } = tables.problem
  const numbers = new Map(tables.demands.map(({ model }, number) => [model as string, number]))
  const totals = new Map<string, number>()
  for (const { glets } of gpus) for (const { assignments } of glets) for (const { model, rateRps } of assignments) totals.set(model, (totals.get(model) ?? 0) + rateRps)

  const formedOn = ({ type }: PlannedGpu, { assignments, sharePct }: PlannedGlet): ReadonlyArray<Formed> =>
    assignments.map((work): Formed => {
      const { batch, latencyMs, model, rateRps } = work
      const number = numbers.get(model)!
      const { sloMs } = tables.demands[number]!
      // By how much the neighbours slow it down, by the plan, and head-room for predictions that are wrong, which is not time that is used.
      const slowdown = Math.max(1, latencyMs / tables.latencyMs(type, number, sharePct, batch))
      const typicalMs = (items: number): number => slowdown * latency.typicalMs({ gpuType: type, model, sharePct, batch: items })
      const othersSlackMs = assignments.reduce((least, other) => (other === work ? least : Math.min(least, other.slackMs)), Infinity)
      return {
        work, sloMs, typicalMs, rate: rateRps / 1000, allRate: (totals.get(model) ?? rateRps) / 1000,
        largest: largestWithin(typicalMs, batch, tables.largestBatch(number), latencyMs + Math.max(0, othersSlackMs))
      }
    })

  const gatheredPartOf = (works: ReadonlyArray<Formed>): number => {
    let batches = works.map(() => 1)
    for (let round = 0; round < rounds; round++) {
      const times = works.map(({ typicalMs }, i) => typicalMs(batches[i]!))
      const cycleMs = times.reduce((sum, ms) => sum + ms, 0)
      const busy = works.reduce((sum, { rate }, i) => sum + (rate * times[i]!) / batches[i]!, 0)
      // Others are found running as often as they do.
      const next = works.map((work, i) => gathered(work, Math.min(1, busy) * (cycleMs - times[i]!)))
      if (next.every((batch, i) => batch === batches[i])) break
      batches = next
    }
    return works.reduce((sum, { rate, typicalMs }, i) => sum + (rate * typicalMs(batches[i]!)) / batches[i]!, 0)
  }
  const plannedPart = ({ assignments }: PlannedGlet): number =>
    assignments.reduce((sum, { batch, latencyMs, rateRps }) => sum + (rateRps * latencyMs) / (1000 * batch), 0)
  const busyPart = (gpu: PlannedGpu, glet: PlannedGlet): number => Math.min(1, gathers(gpu) ? gatheredPartOf(formedOn(gpu, glet)) : plannedPart(glet))

  return new Map(gpus.flatMap((gpu) => gpu.glets.flatMap((glet) => (glet.assignments.length === 0 ? [] : [[glet, busyPart(gpu, glet)] as const]))))
}
