/**
 * Glets that are looked at in place: annealing looks at millions, and makes none of them anew. Each has a slot; its models stand side by side.
 */
import type { LooseGlet } from "./looseGlet.js"

export interface Trials {
  /** Places for models in a slot. */
  readonly width: number
  readonly kind: Int32Array
  readonly share: Int32Array
  /** Models; what stands in their places beyond is left over. */
  readonly count: Int32Array
  readonly models: Int32Array
  readonly rps: Float64Array
  readonly used: Float64Array
  readonly cycleMs: Float64Array
  readonly cost: Float64Array
}

export const makeTrials = (slots: number, width: number): Trials => ({
  width,
  kind: new Int32Array(slots),
  share: new Int32Array(slots),
  count: new Int32Array(slots),
  models: new Int32Array(slots * width),
  rps: new Float64Array(slots * width),
  used: new Float64Array(slots),
  cycleMs: new Float64Array(slots),
  cost: new Float64Array(slots)
})

export const setTrial = (trials: Trials, slot: number, { cost, cycleMs, kind, models, rps, share, used }: LooseGlet): void => {
  trials.kind[slot] = kind
  trials.share[slot] = share
  trials.count[slot] = models.length
  trials.models.set(models, slot * trials.width)
  trials.rps.set(rps, slot * trials.width)
  trials.used[slot] = used
  trials.cycleMs[slot] = cycleMs
  trials.cost[slot] = cost
}

export const gletOfTrial = ({ cost, count, cycleMs, kind, models, rps, share, used, width }: Trials, slot: number): LooseGlet => {
  const from = slot * width
  const to = from + count[slot]!
  return {
    kind: kind[slot]!, share: share[slot]!, models: [...models.subarray(from, to)], rps: [...rps.subarray(from, to)],
    used: used[slot]!, cycleMs: cycleMs[slot]!, cost: cost[slot]!
  }
}
