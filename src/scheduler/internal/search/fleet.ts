/**
 * A complete plan in the making: the states of all GPUs, what they carry together, and how far that is from what is asked.
 */
import type { GpuState } from "./gpuState.js"
import type { SearchSpace } from "./searchSpace.js"

/** What cannot be told from nothing: parts of a rate. */
const negligible = 1e-9

export interface Fleet {
  readonly gpus: ReadonlyArray<GpuState>
  /** Items per second by model. */
  readonly carried: Float64Array
  readonly target: Float64Array
  /** Unmet rates, in parts of a GPU. 0 where all is carried. */
  readonly penalty: () => number
  /** Models that get less than their target. */
  readonly unmet: ReadonlyArray<number>
  /** What a model lacks, in items per second; negative where it gets more than it needs. */
  readonly lack: (model: number) => number
  /** How the penalty changes where a GPU, or two, change. */
  readonly change: (at: number, state: GpuState, at2?: number, state2?: GpuState) => number
  readonly set: (at: number, state: GpuState) => void
  readonly setTargets: (target: Float64Array) => void
  /** The multiple of the target that every model gets at least. */
  readonly factor: () => number
}

/** Weights: parts of a GPU that an item per second is worth, by model. */
export const makeFleet = (space: SearchSpace, states: ReadonlyArray<GpuState>, weights: Float64Array, targets: Float64Array): Fleet => {
  const gpus = [...states]
  const carried = new Float64Array(space.models)
  const target = Float64Array.from(targets)
  const unmet: Array<number> = []
  const place = new Int32Array(space.models).fill(-1)
  // What a proposal changes by model, and the models it touches.
  const difference = new Float64Array(space.models)
  const touched: Array<number> = []
  const isTouched = new Uint8Array(space.models)

  const lack = (model: number): number => target[model]! - carried[model]!
  const isMet = (model: number): boolean => lack(model) <= negligible * target[model]!
  const mark = (model: number): void => {
    const at = place[model]!
    if (isMet(model)) {
      if (at < 0) return
      const last = unmet.pop()!
      if (last !== model) {
        unmet[at] = last
        place[last] = at
      }
      place[model] = -1
    } else if (at < 0) {
      place[model] = unmet.length
      unmet.push(model)
    }
  }
  const add = ({ models, rps }: GpuState, sign: number): void => {
    for (let i = 0; i < models.length; i++) {
      const model = models[i]!
      if (isTouched[model] === 0) {
        isTouched[model] = 1
        touched.push(model)
      }
      difference[model]! += sign * rps[i]!
    }
  }
  const clear = (): void => {
    for (const model of touched) {
      difference[model] = 0
      isTouched[model] = 0
    }
    touched.length = 0
  }
  const recount = (): void => {
    carried.fill(0)
    for (const { models, rps } of gpus) for (let i = 0; i < models.length; i++) carried[models[i]!]! += rps[i]!
    for (let model = 0; model < space.models; model++) mark(model)
  }
  recount()
  let sets = 0
  return {
    gpus, carried, target, unmet, lack,
    penalty: () => {
      let sum = 0
      for (const model of unmet) sum += weights[model]! * lack(model)
      return sum
    },
    change: (at, state, at2, state2) => {
      add(gpus[at]!, -1)
      add(state, 1)
      if (state2 !== undefined) {
        add(gpus[at2!]!, -1)
        add(state2, 1)
      }
      let sum = 0
      for (const model of touched) {
        const before = lack(model)
        const after = before - difference[model]!
        sum += weights[model]! * ((after > 0 ? after : 0) - (before > 0 ? before : 0))
      }
      clear()
      return sum
    },
    set: (at, state) => {
      add(gpus[at]!, -1)
      add(state, 1)
      gpus[at] = state
      for (const model of touched) {
        const now = carried[model]! + difference[model]!
        // What is left of a model that stands nowhere any more is rounding, and must not pass for a place.
        carried[model] = Math.abs(now) <= negligible * Math.abs(difference[model]!) ? 0 : now
        mark(model)
      }
      clear()
      // Sums of differences drift.
      if (++sets % 4096 === 0) recount()
    },
    setTargets: (next) => {
      target.set(next)
      for (let model = 0; model < space.models; model++) mark(model)
    },
    factor: () => {
      let least = Infinity
      for (let model = 0; model < space.models; model++) if (target[model]! > 0) least = Math.min(least, carried[model]! / target[model]!)
      return least
    }
  }
}
