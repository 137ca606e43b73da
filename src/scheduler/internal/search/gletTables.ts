/**
 * What a model takes of a glet's time beside average neighbours, by kind, model and share: laid out so that a look at a glet reads little memory, for annealing
 * waits for that more than for anything else.
 */
import { keepsSlo } from "../keepsSlo.js"
import type { SearchSpace } from "./searchSpace.js"
import type { Slowing } from "./slowing.js"

export interface GletTables {
  /** Shares of the kind with the most. */
  readonly shares: number
  /** Shares of a model stand side by side. */
  readonly place: (kind: number, share: number, model: number) => number
  /** `width` numbers for each place. */
  readonly numbers: Float64Array
  /** The largest batch, by place. */
  readonly largest: Int32Array
  /** By place where batches begin, that of no item first: the latency, and the least for an item of all batches up to there. */
  readonly begins: Int32Array
  readonly batches: Float64Array
}

export const width = 5
/** One by the most that is carried; infinite where the model cannot run. */
export const perRps = 0
/** What a single item takes, that less the least that a further item adds, and this least, a thousandth of it. */
export const onceMs = 1
export const fixedMs = 2
export const addedPerRps = 3
/** The longest cycle that single items allow. */
export const longestMs = 4

export const makeGletTables = ({ isStrict, kinds, models, rows, sloMs }: SearchSpace, slowing: Slowing): GletTables => {
  const shares = Math.max(...kinds.map(({ sharesPct }) => sharesPct.length))
  const place = (kind: number, share: number, model: number): number => (kind * models + model) * shares + share
  const places = kinds.length * shares * models
  const largest = new Int32Array(places)
  const begins = new Int32Array(places)
  let end = 0
  kinds.forEach(({ sharesPct }, kind) => {
    for (let model = 0; model < models; model++) {
      for (let share = 0, at = place(kind, 0, model); share < sharesPct.length; share++, at++) {
        largest[at] = rows.largest(kind, model, share)
        begins[at] = end
        end += 2 * (1 + largest[at]!)
      }
    }
  })
  const numbers = new Float64Array(places * width)
  const batches = new Float64Array(end)
  kinds.forEach(({ sharesPct }, kind) => {
    for (let model = 0; model < models; model++) {
      for (let share = 0, at = place(kind, 0, model); share < sharesPct.length; share++, at++) {
        const start = rows.start(kind, model, share)
        const longer = 1 + slowing[kind]![share]![model]!
        const first = begins[at]! + 2
        let most = 0
        let added = Infinity
        let perItem = Infinity
        batches[begins[at]! + 1] = Infinity
        for (let batch = 1, entry = first; batch <= largest[at]!; batch++, entry += 2) {
          const ms = rows.data[start + batch * rows.stride]! * longer
          perItem = Math.min(perItem, ms / batch)
          batches[entry] = ms
          batches[entry + 1] = perItem
          if (batch > 1) added = Math.min(added, (ms - batches[first]!) / (batch - 1))
          if (keepsSlo(ms, sloMs[model]!) && (1000 * batch) / ms > most) most = (1000 * batch) / ms
        }
        const least = largest[at]! > 1 ? added : 0
        const once = largest[at]! > 0 ? batches[first]! : Infinity
        numbers[at * width + perRps] = 1 / most
        numbers[at * width + onceMs] = once
        numbers[at * width + fixedMs] = once - least
        numbers[at * width + addedPerRps] = least / 1000
        numbers[at * width + longestMs] = isStrict ? sloMs[model]! / 2 : sloMs[model]! - once
      }
    }
  })
  return { shares, place, numbers, largest, begins, batches }
}

/** Sums of floating-point milliseconds. */
const slack = 1e-9
/** More than any batch, and little enough for whole numbers of 32 bits. */
const mostItems = 1e9

/** The smallest whole number that is not below, and no less than 1. */
export const batchFor = (items: number): number => {
  if (!(items < mostItems)) return mostItems
  const whole = (items - slack) | 0
  return whole < items - slack ? whole + 1 : whole < 1 ? 1 : whole
}
