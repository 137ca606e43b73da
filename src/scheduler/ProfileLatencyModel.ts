/**
 * Predictions from measured profiles.
 *
 * **Between measured points.** Over the batch: linear between neighbours. Over the share: linear in 1/share, for work that a share of s executes
 * takes a time of about a + b/s. A batch below the smallest measured takes as long as the smallest.
 *
 * **Beyond them.** A batch above the largest measured, or a share below the smallest, is unknown: `Infinity`. Extrapolating there would promise
 * what nobody has seen: at some batch memory runs out or a cache is left. A share above the largest measured runs like the largest, for more
 * units never slow an execution down.
 *
 * **Noise.** Latency grows with the batch and falls with the share, and planners rely on it; measurements do so only nearly. Each curve is
 * replaced by the closest monotone one (weighted by the number of executions measured), over batches first, then over shares; what little
 * still contradicts is raised, never lowered. A measured curve that is monotone is left as it is.
 *
 * **Batches that follow each other.** A point is one batch by itself. Where it was also measured how long one takes between others (`followedMs`),
 * latencies are shorter by the difference, which is what its copies take; that depends on what is copied, so what one share showed holds for all.
 *
 * @since 0.1.0
 */
import type { Gpu, Isolation } from "../core/Gpu.js"
import type { ModelName } from "../core/Ids.js"
import type { Execution, LatencyModel, LinearInterference } from "../core/LatencyModel.js"
import type { ModelProfile, ProfilePoint, WorkloadType } from "../core/Profile.js"
import type { InterferenceCoefficients, Observation, Typed } from "./InterferenceFit.js"
import { fitInterference, pressureOf, sensitivityOf, unknownType } from "./InterferenceFit.js"
import { nondecreasing } from "./internal/isotonic.js"

/**
 * How glets of one GPU slow each other down beyond their shares. The memory system is not divided by shares of SMs or cores, so memory-bound
 * work meets memory-bound work there.
 * @since 0.1.0
 * @category interference
 */
export interface InterferenceOptions {
  /** Slow-down of wholly memory-bound work beside wholly memory-bound work on the rest of the GPU: 0.3 is 30 %. */
  readonly memory: number
  /** The same for compute-bound beside compute-bound: clocks and caches. */
  readonly compute: number
  /** Slow-down by neighbours on the rest of the GPU, whatever they do; those on half of it do half of that. */
  readonly presence: number
}

/**
 * No interference beyond the shares: right for `threads`, where a profile measured with the other cores busy already contains it, and the
 * default where profiles carry no co-runs (`InterferenceFit`).
 * @since 0.1.0
 * @category interference
 */
export const noInterference: InterferenceOptions = { memory: 0, compute: 0, presence: 0 }

/**
 * `presence` of GPUs whose glets run at once and were never measured beside each other: clocks, caches and memory are shared whatever the isolation, and
 * launches too in one process; without reserved SMs these as well. Under MPS it is the mean over 400 co-runs of ten models on an H200 (0.28 in least
 * squares, bench/results/h200/coruns-mps.json): it is short by more than 8 % of every tenth, all of models of a tenth of a millisecond but two, and on an H100
 * of three in ten glets (median 0.4, bench/results/h100/corun.jsonl); serving learns the rest (`InterferenceWatch`). Green contexts
 * and streams are about the median there.
 * @since 0.1.0
 * @category interference
 */
export const unmeasuredPresence: ReadonlyMap<Isolation, number> = new Map<Isolation, number>([["mps", 0.3], ["green", 0.6], ["stream", 1]])

/**
 * What each further glet at work costs at the 99th percentile, as a part of the time alone, beyond what fits to medians of steady co-runs say: servers run
 * batches of changing sizes, and caps keep glets from more SMs, not from each other's. Four to seven glets of one H200 in service took 1.1 to 1.5 times what the fit
 * let expect at full load, two 0.9 to 1.1 times (bench/results/h200/gpu-suite.json).
 * @since 0.1.0
 * @category interference
 */
export const crowding = 0.05

/** What predictions take in beyond the profile of the model alone. @since 0.1.0 @category models */
export interface ProfileLatencyOptions {
  /** By GPU type, before what profiles say; types that are not named have the fit to their profiles' co-runs, else `unmeasured`. */
  readonly interference?: ReadonlyMap<string, InterferenceOptions>
  /** By GPU type, where profiles have no co-runs; types that are not named have `noInterference`. */
  readonly unmeasured?: ReadonlyMap<string, InterferenceOptions>
  /** Device memory a glet takes before any model is loaded, in bytes, by GPU type; 0 for types that are not named. */
  readonly gletMemoryBytes?: ReadonlyMap<string, number>
}

/**
 * The co-runs of one GPU type with the types of who took part. Neighbours that are not known here, of a profile that says more than what is served or has
 * other names for it, still say what the model suffers: the fit tells what each of them causes.
 */
const observationsOf = (models: ReadonlyMap<ModelName, ModelProfile>): ReadonlyArray<Observation> => {
  const typeOf = (model: ModelName): WorkloadType => models.get(model)?.workloadType ?? unknownType
  return [...models.values()].flatMap(({ coRuns = [], model }) =>
    coRuns.map(({ batch, neighbours, sharePct, slowdown }): Observation => ({
      victim: { execution: { model, batch, sharePct }, type: typeOf(model) },
      neighbours: neighbours.map((execution) => ({ execution, type: typeOf(execution.model) })),
      slowdown
    })))
}

/** Whether no co-run was of more than two glets. */
const isOfPairs = (models: ReadonlyMap<ModelName, ModelProfile>): boolean =>
  [...models.values()].every(({ coRuns = [] }) => coRuns.every(({ neighbours }) => neighbours.length < 2))

/** What was measured, by GPU type and model. @since 0.1.0 @category models */
export type ProfilesByType = ReadonlyMap<string, ReadonlyMap<ModelName, ModelProfile>>

interface Curve {
  /** Ascending. */
  readonly shares: ReadonlyArray<number>
  /** Ascending. */
  readonly batches: ReadonlyArray<number>
  /** By share, then batch. */
  readonly valuesMs: ReadonlyArray<ReadonlyArray<number>>
}

const ascending = (values: Iterable<number>): Array<number> => [...new Set(values)].sort((a, b) => a - b)

/** Between the knots `i - 1` and `i`, of which the latter is the first that is not below `x`. */
const interpolateAt = (knots: ReadonlyArray<number>, values: ReadonlyArray<number>, i: number, x: number): number => {
  const upper = knots[i]!
  // On a knot its value is never mixed with an infinite neighbour; beside an infinite one nothing is known.
  if (i === 0 || x === upper || values[i] === Infinity) return values[i]!
  const lower = knots[i - 1]!
  return values[i - 1]! + ((values[i]! - values[i - 1]!) * (x - lower)) / (upper - lower)
}

/** Linear interpolation in `x` over ascending knots, the first value below them, `Infinity` above. */
const interpolate = (knots: ReadonlyArray<number>, values: ReadonlyArray<number>, x: number): number => {
  for (let i = 0; i < knots.length; i++) if (x <= knots[i]!) return interpolateAt(knots, values, i, x)
  return Infinity
}

const makeCurve = (points: ReadonlyArray<ProfilePoint>, valueOf: (point: ProfilePoint) => number): Curve => {
  const shares = ascending(points.map((point) => point.sharePct))
  const batches = ascending(points.map((point) => point.batch))
  const rows = shares.map((share) => {
    const row = points.filter((point) => point.sharePct === share).sort((a, b) => a.batch - b.batch)
    const known = row.map((point) => point.batch)
    const values = nondecreasing(row.map(valueOf), row.map((point) => point.count))
    return batches.map((batch) => interpolate(known, values, batch))
  })
  batches.forEach((_, b) => {
    // A batch measured only at smaller shares takes at most as long at a larger one.
    for (let s = 1; s < rows.length; s++) if (rows[s]![b] === Infinity) rows[s]![b] = rows[s - 1]![b]!
    const known = rows.filter((row) => row[b] !== Infinity)
    const falling = nondecreasing(known.map((row) => -row[b]!), known.map(() => 1))
    known.forEach((row, i) => {
      row[b] = -falling[i]!
    })
  })
  for (let s = rows.length - 1; s >= 0; s--) {
    batches.forEach((_, b) => {
      rows[s]![b] = Math.max(rows[s]![b]!, rows[s]![b - 1] ?? 0, rows[s + 1]?.[b] ?? 0)
    })
  }
  return { shares, batches, valuesMs: rows }
}

const valueAt = (curve: Curve, sharePct: number, batch: number): number => {
  const { batches, shares, valuesMs } = curve
  const last = shares.length - 1
  if (!(sharePct >= shares[0]!) || !(batch >= 1)) return Infinity
  if (sharePct >= shares[last]!) return interpolate(batches, valuesMs[last]!, batch)
  let s = 1
  while (shares[s]! <= sharePct) s++
  const slower = interpolate(batches, valuesMs[s - 1]!, batch)
  const lower = shares[s - 1]!
  if (sharePct === lower || slower === Infinity) return slower
  const faster = interpolate(batches, valuesMs[s]!, batch)
  const weight = (1 / sharePct - 1 / shares[s]!) / (1 / lower - 1 / shares[s]!)
  return faster + (slower - faster) * weight
}

/** `valueAt` of the batches 1 to `upTo`. */
const valuesAt = (curve: Curve, sharePct: number, upTo: number): Float64Array => {
  const { batches, shares, valuesMs } = curve
  const values = new Float64Array(upTo + 1).fill(Infinity)
  values[0] = 0
  if (!(sharePct >= shares[0]!)) return values
  const last = shares.length - 1
  let s = 1
  while (s <= last && shares[s]! <= sharePct) s++
  const lower = shares[s - 1]!
  const [slowerMs, fasterMs] = [valuesMs[s - 1]!, valuesMs[Math.min(s, last)]!]
  const isMeasured = s > last || sharePct === lower
  const weight = isMeasured ? 1 : (1 / sharePct - 1 / shares[s]!) / (1 / lower - 1 / shares[s]!)
  // The measured batch that is not below.
  for (let batch = 1, knot = 0; batch <= upTo && knot < batches.length; batch++) {
    while (knot < batches.length && batches[knot]! < batch) knot++
    if (knot === batches.length) break
    const slower = interpolateAt(batches, slowerMs, knot, batch)
    if (isMeasured || slower === Infinity) values[batch] = slower
    else {
      const faster = interpolateAt(batches, fasterMs, knot, batch)
      values[batch] = faster + (slower - faster) * weight
    }
  }
  return values
}

interface Measured {
  readonly p99: Curve
  readonly p50: Curve
  /** What copies take of a batch by itself, by batch. */
  readonly overlap: Overlap
  readonly memoryBytes: number
  readonly workloadType: WorkloadType | undefined
}

interface Overlap {
  /** Ascending. */
  readonly batches: ReadonlyArray<number>
  readonly valuesMs: ReadonlyArray<number>
}

/** Copies are never more than this part of what a batch by itself takes: more is an error of measuring. */
const mostOverlap = 0.5

/** By batch the least that any share showed; nondecreasing, for larger batches copy more. */
const overlapOf = (points: ReadonlyArray<ProfilePoint>): Overlap => {
  const least = new Map<number, number>()
  for (const { batch, followedMs, p50Ms } of points) {
    if (followedMs === undefined) continue
    least.set(batch, Math.min(least.get(batch) ?? Infinity, Math.max(0, Math.min(p50Ms - followedMs, mostOverlap * p50Ms))))
  }
  const batches = ascending(least.keys())
  return { batches, valuesMs: nondecreasing(batches.map((batch) => least.get(batch)!), batches.map(() => 1)) }
}

/** As measured at the batch, between its neighbours, or of the largest known. */
const overlapAt = ({ batches, valuesMs }: Overlap, batch: number): number =>
  batches.length === 0 ? 0 : interpolate(batches, valuesMs, Math.min(batch, batches.at(-1)!))

/** A point's time where batches follow each other. */
const followed = (overlap: Overlap, ms: number, { batch }: ProfilePoint): number => ms - Math.min(overlapAt(overlap, batch), mostOverlap * ms)

/**
 * A latency model of profiles by GPU type and model. Models and types without a profile are unknown: `Infinity`.
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  profiles: ProfilesByType,
  options: ProfileLatencyOptions = {}
): LatencyModel => {
  const types = new Map<string, ReadonlyMap<ModelName, Measured>>()
  for (const [gpuType, models] of profiles) {
    const measured = new Map<ModelName, Measured>()
    for (const [model, profile] of models) {
      const overlap = overlapOf(profile.points)
      measured.set(model, {
        overlap,
        p99: makeCurve(profile.points, (point) => followed(overlap, point.p99Ms, point)),
        // A median above the 99th percentile is a slip of the clock or of rounding.
        p50: makeCurve(profile.points, (point) => followed(overlap, Math.min(point.p50Ms, point.p99Ms), point)),
        memoryBytes: profile.memoryBytes,
        workloadType: profile.workloadType
      })
    }
    types.set(gpuType, measured)
  }
  const find = (gpuType: string, model: ModelName): Measured | undefined => types.get(gpuType)?.get(model)

  const latencyMs = ({ batch, gpuType, model, sharePct }: Execution): number => {
    const measured = find(gpuType, model)
    return measured === undefined ? Infinity : valueAt(measured.p99, sharePct, batch)
  }
  const latenciesMs = (gpuType: string, model: ModelName, sharePct: number, upTo: number): Float64Array => {
    const measured = find(gpuType, model)
    return measured === undefined ? new Float64Array(upTo + 1).fill(Infinity) : valuesAt(measured.p99, sharePct, upTo)
  }
  const typicalMs = (execution: Execution): number => {
    const measured = find(execution.gpuType, execution.model)
    if (measured === undefined) return Infinity
    // The two curves are repaired apart; the median stays below.
    return Math.min(valueAt(measured.p50, execution.sharePct, execution.batch), latencyMs(execution))
  }

  const fits = new Map<string, InterferenceCoefficients>()
  for (const [gpuType, models] of profiles) {
    if (options.interference?.has(gpuType) === true) continue
    const fit = fitInterference(observationsOf(models))
    if (fit !== undefined) fits.set(gpuType, fit)
  }
  const typed = (execution: Execution): Typed => ({ execution, type: find(execution.gpuType, execution.model)?.workloadType ?? unknownType })

  const assumed = (gpuType: string): InterferenceOptions => options.interference?.get(gpuType) ?? options.unmeasured?.get(gpuType) ?? noInterference

  /** What an execution does to others: its presence, its memory traffic, its arithmetic. */
  const presses = (execution: Execution): readonly [number, number, number] => {
    const fit = fits.get(execution.gpuType)
    if (fit !== undefined) return pressureOf(fit, typed(execution))
    const part = execution.sharePct / 100
    const { type } = typed(execution)
    return [part, part * type.memory, part * type.compute]
  }
  /**
   * The part of an execution's 99th percentile that neighbours slow down, where co-runs were measured: those are of medians. What a slow execution takes beyond the
   * median is the host's doing, which comes on top: of tenths of a millisecond it is most.
   */
  const slowedPart = (execution: Execution): number => {
    const tailMs = latencyMs(execution)
    return tailMs < Infinity ? typicalMs(execution) / tailMs : 1
  }
  /** What an execution suffers from the presence, the memory traffic and the arithmetic of neighbours. */
  const suffers = (execution: Execution): readonly [number, number, number] => {
    const fit = fits.get(execution.gpuType)
    if (fit !== undefined) {
      const part = slowedPart(execution)
      const [presence, memory, compute] = sensitivityOf(fit, typed(execution))
      return [part * presence, part * memory, part * compute]
    }
    const { compute, memory, presence } = assumed(execution.gpuType)
    const { type } = typed(execution)
    return [presence, memory * type.memory, compute * type.compute]
  }
  const crowdingOf = ({ gpuType }: Execution): number => (fits.has(gpuType) ? crowding : 0)
  const slowdown = (execution: Execution, neighbours: ReadonlyArray<ReadonlyArray<Execution>>): number => {
    const [byPresence, byMemory, byCompute] = suffers(execution)
    const base = crowdingOf(execution)
    let total = 1
    for (const group of neighbours) {
      // The worst that one of a glet's executions does; one runs at a time.
      let worst = 0
      for (const other of group) {
        const [presence, memory, compute] = presses(other)
        worst = Math.max(worst, base + byPresence * presence + byMemory * memory + byCompute * compute)
      }
      total += worst
    }
    return total
  }
  const interference: LinearInterference = {
    combine: "sum",
    isAssumed: [...profiles].some(([gpuType, models]) =>
      options.interference?.has(gpuType) !== true && (fits.has(gpuType) ? isOfPairs(models) : options.unmeasured?.has(gpuType) === true)),
    resources: 3,
    // By the part that neighbours slow down.
    isPerBatch: fits.size > 0,
    pressure: presses,
    sensitivity: (execution) => ({ base: crowdingOf(execution), by: suffers(execution) })
  }

  return {
    latencyMs,
    latenciesMs,
    typicalMs,
    overlapMs: (gpuType, model, batch) => {
      const measured = find(gpuType, model)
      return measured === undefined ? 0 : overlapAt(measured.overlap, batch)
    },
    slowdown,
    interference,
    memoryBytes: (gpuType, model) => find(gpuType, model)?.memoryBytes ?? Infinity,
    gletMemoryBytes: (gpuType) => options.gletMemoryBytes?.get(gpuType) ?? 0
  }
}

/** What is assumed of the types of these GPUs. @since 0.1.0 @category interference */
export const unmeasuredOf = (gpus: ReadonlyArray<Pick<Gpu, "type" | "isolation">>): ReadonlyMap<string, InterferenceOptions> =>
  new Map(gpus.flatMap(({ isolation, type }) => {
    const presence = unmeasuredPresence.get(isolation)
    return presence === undefined ? [] : [[type, { ...noInterference, presence }] as const]
  }))

/** The same for the GPUs of a host or a problem, `unmeasuredOf` them where profiles have no co-runs. @since 0.1.0 @category constructors */
export const makeFor = (profiles: ProfilesByType, gpus: ReadonlyArray<Pick<Gpu, "type" | "isolation">>): LatencyModel =>
  make(profiles, { unmeasured: unmeasuredOf(gpus) })
