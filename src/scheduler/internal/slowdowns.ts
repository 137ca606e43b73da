/**
 * How executions on one GPU slow each other down, from what is known of each by itself where the latency model is made so: no pair is asked about.
 */
import type { Execution, LatencyModel } from "../../core/LatencyModel.js"

/** An execution with what it does to others and suffers from them. */
export interface Effect {
  readonly execution: Execution
  /** The excess it suffers from any neighbour, then by resource. */
  readonly base: number
  readonly by: ReadonlyArray<number>
  readonly pressure: ReadonlyArray<number>
}

const none: ReadonlyArray<number> = []

export const effectOf = ({ interference }: Pick<LatencyModel, "interference">, execution: Execution): Effect => {
  if (interference === undefined) return { execution, base: 0, by: none, pressure: none }
  const { base, by } = interference.sensitivity(execution)
  return { execution, base, by, pressure: interference.pressure(execution) }
}

/** Numbers of executions whose effects are kept for one latency model; beyond them what is known is forgotten. */
const mostKept = 1 << 16

type KnownEffects = (execution: Execution) => Effect

const makeKnownEffects = (latency: LatencyModel): KnownEffects => {
  const types = new Map<string, Map<string, Map<number, Effect>>>()
  const isPerBatch = latency.interference?.isPerBatch ?? true
  let kept = 0
  return (execution) => {
    const { batch, gpuType, model, sharePct } = execution
    let models = types.get(gpuType)
    if (models === undefined) types.set(gpuType, models = new Map())
    let known = models.get(model)
    if (known === undefined) models.set(model, known = new Map())
    // Shares are whole percents up to 100.
    const place = isPerBatch ? batch * 101 + sharePct : sharePct
    const found = known.get(place)
    if (found !== undefined) return found
    const made = effectOf(latency, execution)
    if (++kept > mostKept) {
      types.clear()
      kept = 0
    } else known.set(place, made)
    return made
  }
}

const effectsOf = new WeakMap<LatencyModel, KnownEffects>()

/** Effects by execution, kept as long as the latency model lives: planners are asked again and again with the same one. */
export const knownEffects = (latency: LatencyModel): KnownEffects => {
  let known = effectsOf.get(latency)
  if (known === undefined) effectsOf.set(latency, known = makeKnownEffects(latency))
  return known
}

/** The part of its time by which one execution slows another down. */
export const excessOf = (own: Effect, { pressure }: Effect): number => {
  let more = own.base
  for (let r = 0; r < pressure.length; r++) more += own.by[r]! * pressure[r]!
  return Math.max(0, more)
}

/** The factor by which the works of all groups but one slow an execution of that one down. Of a group one runs at a time. */
export const slowdownAmong = (latency: LatencyModel, own: Effect, groups: ReadonlyArray<ReadonlyArray<Effect>>, ownGroup: number): number => {
  const { interference } = latency
  if (interference === undefined) {
    const neighbours = groups.filter((group, other) => other !== ownGroup && group.length > 0)
    return latency.slowdown(own.execution, neighbours.map((group) => group.map(({ execution }) => execution)))
  }
  const isSum = interference.combine === "sum"
  let excess = 0
  for (let g = 0; g < groups.length; g++) {
    if (g === ownGroup) continue
    let worst = 0
    for (const other of groups[g]!) worst = Math.max(worst, excessOf(own, other))
    if (isSum) excess += worst
    else if (worst > excess) excess = worst
  }
  return 1 + excess
}
