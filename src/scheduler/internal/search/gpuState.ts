/**
 * What one GPU does: its glets with shares, models and batches, and what they carry.
 *
 * A glet with batches b_i runs them in turn, in a duty cycle of sum L_i, the shortest there is; so what it carries follows from shares, models and
 * batches, and the slow-downs from all glets of the GPU. States are values: a change makes new ones.
 */
import type { Execution } from "../../../core/LatencyModel.js"
import type { SearchSpace } from "./searchSpace.js"

export interface GletState {
  /** Place of its share on the GPU's grid. */
  readonly share: number
  readonly models: ReadonlyArray<number>
  readonly batches: ReadonlyArray<number>
}

export interface GpuState {
  readonly kind: number
  readonly glets: ReadonlyArray<GletState>
  readonly freePct: number
  readonly freeBytes: number
  /** Models and what they get in items per second, glet after glet; a model stands there once for each glet it is on. */
  readonly models: ReadonlyArray<number>
  readonly rps: ReadonlyArray<number>
}

/** Sums of floating-point milliseconds. */
const slack = 1e-9

const shrinkRounds = 12

export interface GpuSolver {
  readonly empty: (kind: number) => GpuState
  /** The state of these glets; undefined where share, memory or an SLO is broken. */
  readonly evaluate: (kind: number, glets: ReadonlyArray<GletState>) => GpuState | undefined
  /** The same, with smaller batches where SLOs would break. */
  readonly settle: (kind: number, glets: ReadonlyArray<GletState>) => GpuState | undefined
  /**
   * The smallest batches with which the models carry the rates on glet `at`, given the others' batches; undefined where the glet cannot. `at` may
   * be the glet after the last.
   */
  readonly fit: (
    kind: number, glets: ReadonlyArray<GletState>, at: number, share: number, models: ReadonlyArray<number>, rps: ReadonlyArray<number>
  ) => GletState | undefined
}

export const makeGpuSolver = (space: SearchSpace): GpuSolver => {
  const { combine, isStrict, kinds, resources, rows, sloMs } = space
  const { latency } = space.tables.problem
  const { stride } = rows
  const isCounted = combine === "sum" || combine === "largest"
  const isSum = combine === "sum"

  // Of the GPU at hand, glet after glet: the pressure of each work, and where a glet's works begin.
  let pressures = new Float64Array(256)
  const begins = new Int32Array(kinds.reduce((most, { maxGlets }) => Math.max(most, maxGlets), 0) + 2)
  let groups: ReadonlyArray<ReadonlyArray<Execution>> = []
  const gather = (kind: number, glets: ReadonlyArray<GletState>): void => {
    if (combine === "groups") groups = glets.map(({ batches, models, share }) => models.map((model, i) => space.execution(kind, model, share, batches[i]!)))
    if (!isCounted) return
    let at = 0
    for (let g = 0; g < glets.length; g++) {
      const { batches, models, share } = glets[g]!
      begins[g] = at
      for (let i = 0; i < models.length; i++) {
        // Batches above the largest fail by themselves; they have the largest's pressure.
        const batch = Math.min(batches[i]!, rows.largest(kind, models[i]!, share))
        const from = rows.start(kind, models[i]!, share) + batch * stride + 2 + resources
        if (at + resources > pressures.length) {
          const more = new Float64Array(2 * pressures.length)
          more.set(pressures)
          pressures = more
        }
        for (let r = 0; r < resources; r++) pressures[at++] = rows.data[from + r]!
      }
    }
    begins[glets.length] = at
  }

  /** Latency of a batch on glet `at` beside the others, whose pressures were gathered. */
  const latencyMs = (kind: number, glets: ReadonlyArray<GletState>, at: number, model: number, share: number, batch: number): number => {
    if (batch > rows.largest(kind, model, share)) return Infinity
    const entry = rows.start(kind, model, share) + batch * stride
    const { data } = rows
    const ms = data[entry]!
    if (!isCounted) {
      if (combine === "none") return ms
      return ms * latency.slowdown(space.execution(kind, model, share, batch), groups.filter((_, g) => g !== at))
    }
    const base = data[entry + 1]!
    let excess = 0
    for (let g = 0; g < glets.length; g++) {
      if (g === at) continue
      let worst = 0
      const end = begins[g + 1]!
      for (let p = begins[g]!; p < end;) {
        let more = base
        for (let r = 0; r < resources; r++) more += data[entry + 2 + r]! * pressures[p++]!
        if (more > worst) worst = more
      }
      if (isSum) excess += worst
      else if (worst > excess) excess = worst
    }
    return ms * (1 + excess)
  }

  /** Latencies of the works of the glet at hand. */
  const own = new Float64Array(space.maxModels + 1)

  /** The duty cycle, or minus the factor by which it is too long for an SLO. */
  const runGlet = (kind: number, glets: ReadonlyArray<GletState>, at: number): number => {
    const { batches, models, share } = glets[at]!
    let dutyMs = 0
    for (let i = 0; i < models.length; i++) dutyMs += own[i] = latencyMs(kind, glets, at, models[i]!, share, batches[i]!)
    let over = 0
    for (let i = 0; i < models.length; i++) {
      const worstMs = dutyMs + (isStrict ? dutyMs : own[i]!)
      const slo = sloMs[models[i]!]!
      if (worstMs > slo + slack && worstMs / slo > over) over = worstMs / slo
    }
    return over === 0 ? dutyMs : -over
  }

  const leftOf = (kind: number, glets: ReadonlyArray<GletState>): { readonly freePct: number; readonly freeBytes: number } | undefined => {
    const { gletBytes, maxGlets, modelBytes, roomBytes, sharesPct } = kinds[kind]!
    if (glets.length > maxGlets) return undefined
    let freePct = 100
    let freeBytes = roomBytes
    for (const { models, share } of glets) {
      if (models.length > space.maxModels) return undefined
      freePct -= sharesPct[share]!
      freeBytes -= gletBytes
      for (const model of models) freeBytes -= modelBytes[model]!
    }
    return freePct < 0 || freeBytes < 0 ? undefined : { freePct, freeBytes }
  }

  /** Batches scaled down by what is too much, at least one of them by one; undefined where all are 1. */
  const smaller = (glet: GletState, over: number): GletState | undefined => {
    const batches = glet.batches.map((batch) => Math.max(1, Math.floor(batch / over)))
    if (batches.some((batch, i) => batch !== glet.batches[i])) return { ...glet, batches }
    const largest = batches.indexOf(Math.max(...batches))
    if (batches[largest]! <= 1) return undefined
    batches[largest]!--
    return { ...glet, batches }
  }

  const solve = (kind: number, given: ReadonlyArray<GletState>, mayShrink: boolean): GpuState | undefined => {
    const left = leftOf(kind, given)
    if (left === undefined) return undefined
    let glets = given
    for (let round = 0; round < shrinkRounds; round++) {
      const models: Array<number> = []
      const rps: Array<number> = []
      let changed: Array<GletState> | undefined
      gather(kind, glets)
      for (let g = 0; g < glets.length; g++) {
        const glet = glets[g]!
        const dutyMs = runGlet(kind, glets, g)
        if (dutyMs > 0) {
          for (let i = 0; i < glet.models.length; i++) {
            models.push(glet.models[i]!)
            rps.push((1000 * glet.batches[i]!) / dutyMs)
          }
          continue
        }
        const less = mayShrink ? smaller(glet, -dutyMs) : undefined
        if (less === undefined) return undefined
        changed ??= [...glets]
        changed[g] = less
      }
      if (changed === undefined) return { kind, glets, freePct: left.freePct, freeBytes: left.freeBytes, models, rps }
      glets = changed
    }
    return undefined
  }

  const fit: GpuSolver["fit"] = (kind, glets, at, share, models, rps) => {
    const count = models.length
    if (count > space.maxModels) return undefined
    // Whatever the cycle, the batches that a rate takes last at least so much of it.
    let leastTime = 0
    for (let i = 0; i < count; i++) leastTime += rps[i]! / space.best(kind, models[i]!, share).rps
    if (!(leastTime <= 1 + slack)) return undefined
    const batches = new Array<number>(count).fill(1)
    gather(kind, glets)
    let dutyMs = 0
    for (;;) {
      let sumMs = 0
      for (let i = 0; i < count; i++) {
        batches[i] = Math.max(batches[i]!, Math.ceil((rps[i]! * dutyMs) / 1000 - slack))
        sumMs += own[i] = latencyMs(kind, glets, at, models[i]!, share, batches[i]!)
      }
      if (sumMs === Infinity) return undefined
      const settled = sumMs <= dutyMs
      dutyMs = Math.max(dutyMs, sumMs)
      for (let i = 0; i < count; i++) if (dutyMs + (isStrict ? sumMs : own[i]!) > sloMs[models[i]!]! + slack) return undefined
      if (settled) return { share, models, batches }
    }
  }

  return {
    empty: (kind) => ({ kind, glets: [], freePct: 100, freeBytes: kinds[kind]!.roomBytes, models: [], rps: [] }),
    evaluate: (kind, glets) => solve(kind, glets, false),
    settle: (kind, glets) => solve(kind, glets, true),
    fit
  }
}
