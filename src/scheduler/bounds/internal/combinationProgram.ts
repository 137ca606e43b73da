/**
 * What given GPUs, cut in a given way, can carry: a program over visits, whose least shortage is 0 wherever a plan exists.
 *
 * Of each visit (model i on glet h) the program has whether it takes place, a, and how it is mixed of corners (time, rate) of what is possible; of each
 * glet, whether it is used. Time of a glet, places on it, memory of a GPU, and rates are rows. With `isWhole` visits and glets are all or nothing.
 *
 * A cycle is as short as its tightest model asks. By `kinds` a glet is of one kind for each model that can be its tightest: then its cycle is no longer
 * than that model allows, and no tighter model is on it. Without, every model is taken as if it were alone.
 */
import { ProgramBuilder } from "../../solver/ProgramBuilder.js"
import type { LinearProgram } from "../../solver/Solver.js"
import type { BoundModel } from "./boundModel.js"
import type { Cut } from "./cuts.js"
import { rateSlack, relativeSlack } from "./slack.js"

/** A usable batch of a model on a share. */
interface UsableBatch {
  readonly batch: number
  readonly ms: number
  /** The longest cycle that keeps the SLO. */
  readonly longestMs: number
}

interface Corner {
  readonly time: number
  /** As a part of the demand's rate. */
  readonly part: number
}

/** The upper left hull: no mix of other corners carries more in as little time. */
const hull = (points: ReadonlyArray<Corner>): ReadonlyArray<Corner> => {
  const corners: Array<Corner> = []
  for (const point of [...points].sort((a, b) => a.time - b.time || b.part - a.part)) {
    const last = corners.at(-1)
    if (last !== undefined && point.part <= last.part) continue
    while (corners.length >= 2) {
      const [a, b] = [corners.at(-2)!, corners.at(-1)!]
      if ((b.part - a.part) * (point.time - a.time) > (point.part - a.part) * (b.time - a.time)) break
      corners.pop()
    }
    corners.push(point)
  }
  return corners
}

const usableBatches = ({ problem, resources }: BoundModel, demand: number, gpuClass: number, share: number): ReadonlyArray<UsableBatch> => {
  const { maxBatch, model, sloMs } = problem.demands[demand]!
  const { sharesPct, type } = resources.classes[gpuClass]!
  const limitMs = sloMs * (1 + relativeSlack)
  const usable: Array<UsableBatch> = []
  for (let batch = 1; batch <= maxBatch; batch++) {
    const ms = problem.latency.latencyMs({ gpuType: type, model, sharePct: sharesPct[share]!, batch }) * problem.options.latencyHeadroom
    if (!(ms < Infinity)) break
    if (ms > 0 && 2 * ms <= limitMs) usable.push({ batch, ms, longestMs: problem.options.dutyRule === "strict" ? limitMs / 2 : limitMs - ms })
  }
  return usable
}

/** Corners of what a model can do in cycles of at most `capMs`. */
const cornersOf = (batches: ReadonlyArray<UsableBatch>, rateRps: number, capMs: number): ReadonlyArray<Corner> =>
  hull(batches.flatMap(({ batch, longestMs, ms }): Array<Corner> => {
    const cycleMs = Math.min(capMs, longestMs)
    if (ms > cycleMs) return []
    const least = ms / cycleMs
    const perTime = (1000 * batch) / ms / rateRps
    // More than the rate is of no use.
    if (perTime * least >= 1) return [{ time: least, part: 1 }]
    return [{ time: least, part: perTime * least }, perTime <= 1 ? { time: 1, part: perTime } : { time: 1 / perTime, part: 1 }]
  }))

/** One kind of a glet: the models it may run, each with its corners. */
interface Kind {
  readonly visits: ReadonlyArray<{ readonly at: number; readonly corners: ReadonlyArray<Corner> }>
}

/** By class and share: made once for all programs of a model. */
export type KindsOf = (gpuClass: number, share: number) => ReadonlyArray<Kind>

const makeKinds = (model: BoundModel, gpuClass: number, share: number, kinds: "one" | "by-tightest"): ReadonlyArray<Kind> => {
  const { demands, problem } = model
  const batches = demands.map((demand) => usableBatches(model, demand, gpuClass, share))
  const caps = batches.map((usable) => Math.max(0, ...usable.map(({ longestMs }) => longestMs)))
  const kind = (capMs: number): Kind => ({
    visits: demands.flatMap((demand, at) => {
      if (caps[at]! < Math.min(capMs, Number.MAX_VALUE) && capMs !== Infinity) return []
      const corners = cornersOf(batches[at]!, problem.demands[demand]!.rateRps, capMs)
      return corners.length === 0 ? [] : [{ at, corners }]
    })
  })
  const tightest = kinds === "one" ? [Infinity] : [...new Set(caps)].filter((cap) => cap > 0)
  return tightest.map(kind).filter(({ visits }) => visits.length > 0)
}

export const kindsOf = (model: BoundModel, kinds: "one" | "by-tightest"): KindsOf => {
  const made = new Map<number, ReadonlyArray<Kind>>()
  return (gpuClass, share) => {
    const key = gpuClass * 101 + share
    let found = made.get(key)
    if (found === undefined) made.set(key, found = makeKinds(model, gpuClass, share, kinds))
    return found
  }
}

/** The program: minimise the part of all rates, the same of each, that is not carried. */
export const combinationProgram = (
  { demands, problem, resources }: BoundModel,
  combination: ReadonlyArray<Cut>,
  kinds: KindsOf,
  isWhole: boolean
): LinearProgram => {
  const program = new ProgramBuilder()
  const shortage = program.column({ cost: 1, upper: 1 })
  const rates = demands.map(() => program.row(1 - rateSlack, Infinity))
  for (const row of rates) program.entry(row, shortage, 1)
  for (const { gpuClass, shares } of combination) {
    const { gletBytes, memoryBytes, type } = resources.classes[gpuClass]!
    const memory = program.row(-Infinity, 1 + relativeSlack)
    for (const share of shares) {
      const oneKind = program.row(-Infinity, 1)
      for (const { visits } of kinds(gpuClass, share)) {
        const used = program.column({ upper: 1, isWhole })
        program.entry(oneKind, used, 1)
        program.entry(memory, used, gletBytes / memoryBytes)
        const time = program.row(-Infinity, relativeSlack)
        program.entry(time, used, -1)
        const places = visits.length > resources.placesPerGlet ? program.row(-Infinity, 0) : undefined
        if (places !== undefined) program.entry(places, used, -resources.placesPerGlet)
        for (const { at, corners } of visits) {
          const takesPlace = program.column({ upper: 1, isWhole })
          const mixed = program.row(0, 0)
          program.entry(mixed, takesPlace, -1)
          for (const { part, time: needed } of corners) {
            const amount = program.column({ upper: 1 })
            program.entry(mixed, amount, 1)
            program.entry(time, amount, needed)
            program.entry(rates[at]!, amount, part)
          }
          program.entry(memory, takesPlace, problem.latency.memoryBytes(type, problem.demands[demands[at]!]!.model) / memoryBytes)
          if (places !== undefined) program.entry(places, takesPlace, 1)
          const onUsed = program.row(-Infinity, 0)
          program.entry(onUsed, takesPlace, 1)
          program.entry(onUsed, used, -1)
        }
      }
    }
  }
  return program.build()
}
