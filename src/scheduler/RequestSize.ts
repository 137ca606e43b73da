/**
 * How many items of a model come at once: the mean size of its requests by item, E[k²] / E[k] of sizes k. Bursts are larger by it
 * (`rateToPlanFor`). A pure state, moved by counts.
 *
 * @since 0.1.0
 */

/**
 * Items that arrived, and the same items each counted as often as its request has items.
 * @since 0.1.0
 * @category rates
 */
export interface ArrivedItems {
  readonly items: number
  readonly together: number
}

/** What is known of the sizes of a model's requests. @since 0.1.0 @category rates */
export interface RequestSize {
  /** What arrived, of which older is forgotten. */
  readonly recent: ArrivedItems
  /** The estimate, in steps: `itemsPerRequest`. */
  readonly step: number
}

/** As if so many items had come one by one before: the first few requests say little. */
const items0 = 64

/** Before any request was seen each is taken for one item. @since 0.1.0 @category constructors */
export const unseenSize: RequestSize = { recent: { items: items0, together: items0 }, step: 0 }

/** What came is forgotten with this time constant, ms, and no faster than so many items more come: where few do, few say little. */
const memoryMs = 2_000
const memoryItems = 2_000

/** Steps in which the estimate moves: a fourth of an octave, 19 %. Chance must not make plans, so it moves when it is nearly a whole step off. */
const stepsPerOctave = 4
const stepsOff = 0.75

/**
 * Takes in what arrived in the last `elapsedMs`.
 * @since 0.1.0
 * @category rates
 */
export const observeSize = (size: RequestSize, elapsedMs: number, { items, together }: ArrivedItems): RequestSize => {
  if (!(items > 0)) return size
  const kept = Math.max(Math.exp(-Math.max(0, elapsedMs) / memoryMs), Math.exp(-items / memoryItems))
  const recent = { items: kept * size.recent.items + items, together: kept * size.recent.together + Math.max(items, together) }
  const steps = stepsPerOctave * Math.log2(recent.together / recent.items)
  return { recent, step: Math.abs(steps - size.step) > stepsOff ? Math.round(steps) : size.step }
}

/**
 * The size by item: 1 where requests bring one each.
 * @since 0.1.0
 * @category rates
 */
export const itemsPerRequest = ({ step }: RequestSize): number => 2 ** (step / stepsPerOctave)
