/**
 * What a glet does to its neighbours, and how much of them it bears, as numbers that add up: whether glets go together is then told by sums.
 */
import type { LooseGlet } from "./looseGlet.js"
import type { SearchSpace } from "./searchSpace.js"

export interface Tolerance {
  /** By resource, and for being there at all: the most that one of its models does. */
  readonly pressure: Float64Array
  /** By the same, the part of what it bears that a unit of pressure takes. It bears what takes no more than 1 in all. */
  readonly burden: Float64Array
}

/** Sums of floating-point milliseconds. */
const slack = 1e-9
const halvings = 8
/** What bears nothing at all: as large as sums can be told apart by. */
const mostBurden = 1e6

/** Whether slow-downs are sums over neighbours. */
export const areSums = ({ combine }: SearchSpace): boolean => combine === "sum" || combine === "none"

/** By glet, where slow-downs are sums; what stands there several times is looked at once. */
export const makeTolerances = (space: SearchSpace): ((glet: LooseGlet) => Tolerance) => {
  const { combine, isStrict, maxModels, resources, rows, sloMs } = space
  const { data, stride } = rows
  const effects = combine === "sum" ? resources + 1 : 0
  const known = new Map<LooseGlet, Tolerance>()
  const own = new Float64Array(maxModels)

  /** Whether the glet carries its rates beside so much pressure of one kind. */
  const carries = ({ kind, models, rps, share }: LooseGlet, effect: number, pressure: number): boolean => {
    let dutyMs = 0
    for (;;) {
      let sumMs = 0
      for (let i = 0; i < models.length; i++) {
        const model = models[i]!
        const batch = Math.max(1, Math.ceil((rps[i]! * dutyMs) / 1000 - slack))
        if (batch > rows.largest(kind, model, share)) return false
        const entry = rows.start(kind, model, share) + batch * stride
        sumMs += own[i] = data[entry]! * (1 + data[entry + 1 + effect]! * pressure)
      }
      const isSettled = sumMs <= dutyMs
      dutyMs = Math.max(dutyMs, sumMs)
      for (let i = 0; i < models.length; i++) if (!(dutyMs + (isStrict ? sumMs : own[i]!) <= sloMs[models[i]!]! + slack)) return false
      if (isSettled) return true
    }
  }

  const toleranceOf = (glet: LooseGlet): Tolerance => {
    const { kind, models, share } = glet
    const pressure = new Float64Array(effects)
    const burden = new Float64Array(effects)
    if (effects > 0) pressure[0] = 1
    for (let effect = 1; effect < effects; effect++) {
      for (const model of models) pressure[effect] = Math.max(pressure[effect]!, data[rows.start(kind, model, share) + stride + 1 + resources + effect]!)
    }
    for (let effect = 0; effect < effects; effect++) {
      // Nobody does more than all that a GPU has; of glets there may be as many as it takes.
      const most = effect === 0 ? space.kinds[kind]!.maxGlets : 1
      if (carries(glet, effect, most)) continue
      let [low, high] = [0, most]
      for (let i = 0; i < halvings; i++) {
        const middle = (low + high) / 2
        if (carries(glet, effect, middle)) low = middle
        else high = middle
      }
      burden[effect] = low === 0 ? mostBurden : 1 / low
    }
    return { pressure, burden }
  }

  return (glet) => {
    let found = known.get(glet)
    if (found === undefined) known.set(glet, found = toleranceOf(glet))
    return found
  }
}
