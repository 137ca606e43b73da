/**
 * How busy latency-critical glets are with the batches that requests will really form: the planned ones are for the head-room too, and larger.
 *
 * Where requests gather (gathering.ts) a batch is what comes until it must begin. Elsewhere it is what comes while the glet runs the batches before it, or one
 * item where it is idle.
 */
import type { Assignment, Plan, PlannedGlet, PlannedGpu } from "../../core/Plan.js"
import type { PlanTables } from "./planTables.js"

/** The part of an SLO by which a batch that gathered has ended, most often. */
const gatheredPart = 0.8

/** Rounds in which batches and the time of a cycle settle, and a change by which they have. */
const rounds = 24
const settled = 0.01

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

/** One item where the glet is idle; where it is busy, what comes while it runs the batches before. On average, so not whole. */
const atOnce = ({ largest, rate }: Formed, busy: number, cycleMs: number): number => Math.min(largest, 1 - busy + busy * Math.max(1, rate * cycleMs))

/** Between whole batches. */
const between = (typicalMs: (batch: number) => number, batch: number): number => {
  const below = Math.floor(batch)
  const ms = typicalMs(below)
  return below === batch ? ms : ms + (batch - below) * (typicalMs(below + 1) - ms)
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

  const busyPart = (gpu: PlannedGpu, glet: PlannedGlet): number => {
    const works = formedOn(gpu, glet)
    const isGathering = gathers(gpu)
    let batches = works.map(() => 1)
    for (let round = 0; round < rounds; round++) {
      const times = works.map(({ typicalMs }, i) => between(typicalMs, batches[i]!))
      const cycleMs = times.reduce((sum, ms) => sum + ms, 0)
      const busy = works.reduce((sum, { rate }, i) => sum + (rate * times[i]!) / batches[i]!, 0)
      const next = works.map((work, i) =>
        isGathering
          // Others are found running as often as they do.
          ? gathered(work, Math.min(1, busy) * (cycleMs - times[i]!))
          : atOnce(work, Math.min(1, busy), cycleMs))
      if (next.every((batch, i) => Math.abs(batch - batches[i]!) < settled)) break
      batches = next
    }
    return Math.min(1, works.reduce((sum, { rate, typicalMs }, i) => sum + (rate * between(typicalMs, batches[i]!)) / batches[i]!, 0))
  }

  return new Map(gpus.flatMap((gpu) => gpu.glets.flatMap((glet) => (glet.assignments.length === 0 ? [] : [[glet, busyPart(gpu, glet)] as const]))))
}
