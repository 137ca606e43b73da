/**
 * What visits use up and GPUs offer, and the most that one GPU's is worth at given prices.
 *
 * A GPU that is cut into glets of shares s_1, s_2, ... offers, for each of these shares, the time of its glets (1 each) and places for models in their
 * cycles (`maxModelsPerGlet` each), and its memory less what the glets take themselves.
 */
import type { GpuClass } from "./gpuClasses.js"

/** Where the resources of a class stand in a vector of all. */
interface ClassResources {
  /** Time of glets by share. */
  readonly time: number
  /** Places for models by share. */
  readonly places: number
  /** Memory, in GPUs' worth. */
  readonly memory: number
}

export interface Resources {
  readonly classes: ReadonlyArray<GpuClass>
  readonly at: ReadonlyArray<ClassResources>
  readonly size: number
  readonly placesPerGlet: number
}

export const makeResources = (classes: ReadonlyArray<GpuClass>, placesPerGlet: number): Resources => {
  let size = 0
  const at = classes.map(({ sharesPct }): ClassResources => {
    const time = size
    size += 2 * sharesPct.length + 1
    return { time, places: time + sharesPct.length, memory: size - 1 }
  })
  return { classes, at, size, placesPerGlet }
}

/** The best way to cut one GPU. */
export interface BestCut {
  readonly value: number
  /** Glets by share. */
  readonly glets: ReadonlyArray<number>
}

const gcd = (a: number, b: number): number => (b === 0 ? a : gcd(b, a % b))

/** The most that glets of these sizes are worth within the width, however many they are. */
const bestOfAny = (sizes: ReadonlyArray<number>, values: ReadonlyArray<number>, width: number) => {
  const best = new Float64Array(width + 1)
  const chosen = new Int16Array(width + 1).fill(-1)
  for (let w = 1; w <= width; w++) {
    // An idle step, or a glet that ends here.
    let value = best[w - 1]!
    let choice = -1
    for (let s = 0; s < sizes.length && sizes[s]! <= w; s++) {
      const with_ = best[w - sizes[s]!]! + values[s]!
      if (with_ > value) {
        value = with_
        choice = s
      }
    }
    best[w] = value
    chosen[w] = choice
  }
  const glets = sizes.map(() => 0)
  let count = 0
  for (let w = width; w > 0;) {
    const choice = chosen[w]!
    if (choice < 0) {
      w--
      continue
    }
    glets[choice]!++
    count++
    w -= sizes[choice]!
  }
  return { value: best[width]!, glets, count }
}

/** Over all ways to cut a GPU of the class into glets, the most that what it offers is worth: a knapsack of shares. */
export const bestCut = ({ at, classes, placesPerGlet }: Resources, gpuClass: number, prices: ArrayLike<number>): BestCut => {
  const { gletBytes, maxGlets, memoryBytes, sharesPct } = classes[gpuClass]!
  const { memory, places, time } = at[gpuClass]!
  const unit = sharesPct.reduce(gcd, 0)
  const width = Math.floor(100 / unit)
  const sizes = sharesPct.map((share) => share / unit)
  const values = sharesPct.map((_, s) => prices[time + s]! + placesPerGlet * prices[places + s]! - (prices[memory]! * gletBytes) / memoryBytes)
  const most = Math.min(maxGlets, Math.floor(width / sizes[0]!))
  const any = bestOfAny(sizes, values, width)
  // No cut into fewer glets is better than the best into any number.
  if (any.count <= most) return { value: any.value + prices[memory]!, glets: any.glets }
  // best[n * (width + 1) + w]: most value of n glets within w units.
  const row = width + 1
  const best = new Float64Array((most + 1) * row)
  const chosen = new Int16Array((most + 1) * row).fill(-1)
  for (let n = 1; n <= most; n++) {
    for (let w = 0; w <= width; w++) {
      let value = best[(n - 1) * row + w]!
      let choice = -1
      for (let s = 0; s < sizes.length && sizes[s]! <= w; s++) {
        const with_ = best[(n - 1) * row + w - sizes[s]!]! + values[s]!
        if (with_ > value) {
          value = with_
          choice = s
        }
      }
      best[n * row + w] = value
      chosen[n * row + w] = choice
    }
  }
  const glets = sharesPct.map(() => 0)
  let w = width
  for (let n = most; n > 0; n--) {
    const choice = chosen[n * row + w]!
    if (choice < 0) continue
    glets[choice]!++
    w -= sizes[choice]!
  }
  return { value: best[most * row + width]! + prices[memory]!, glets }
}

/** Adds what `amount` GPUs cut so offer. */
export const addOffer = (resources: Resources, gpuClass: number, { glets }: BestCut, amount: number, into: Float64Array): void => {
  const { gletBytes, memoryBytes } = resources.classes[gpuClass]!
  const { memory, places, time } = resources.at[gpuClass]!
  let count = 0
  glets.forEach((n, s) => {
    into[time + s]! += amount * n
    into[places + s]! += amount * n * resources.placesPerGlet
    count += n
  })
  into[memory]! += amount * (1 - (count * gletBytes) / memoryBytes)
}
