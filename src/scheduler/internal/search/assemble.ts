/**
 * GPUs out of glets: each is filled with glets whose shares sum to all of it and whose memory fits, as long as all of them carry beside each other what they
 * are to carry.
 */
import type { GletState, GpuSolver, GpuState } from "./gpuState.js"
import type { LooseGlet } from "./looseGlet.js"
import type { SearchSpace } from "./searchSpace.js"

/** Rates that count as carried. */
const met = 1 - 1e-9
/** Fillings that are tried for a GPU, and glets for a place. */
const tries = 16
const looks = 12
/** The largest glet that leads to a full GPU is passed over so often. */
const passedOver = 0.25
/** Where GPUs have more than this part of all glets that one may have, on average, the last could be small glets only, and never full. */
const crowded = 0.4
/** Batches may change those of neighbours. */
const rounds = 3

interface Item {
  readonly glet: LooseGlet
  readonly bytes: number
}

/** The GPU with one glet more; undefined where they do not all carry their rates. `placed`: the glets of `state`. */
export const beside = (solver: GpuSolver, { glets: known, kind }: GpuState, placed: ReadonlyArray<LooseGlet>, added: LooseGlet): GpuState | undefined => {
  const wanted = [...placed, added]
  const glets: Array<GletState> = [...known, { share: added.share, models: added.models, batches: added.models.map(() => 1) }]
  for (let round = 0; round < rounds; round++) {
    for (let at = round === 0 ? known.length : 0; at < wanted.length; at++) {
      const { models, rps, share } = wanted[at]!
      const fitted = solver.fit(kind, glets, at, share, models, rps)
      if (fitted === undefined) return undefined
      glets[at] = fitted
    }
    const state = solver.evaluate(kind, glets)
    if (state === undefined) continue
    let place = 0
    if (wanted.every(({ rps }) => rps.every((each) => state.rps[place++]! >= each * met))) return state
  }
  return undefined
}

/** Sums of shares that can be made of so many glets of each. */
export const sumsOf = (sharesPct: ReadonlyArray<number>, counts: ReadonlyArray<number>): Uint8Array => {
  const isSum = new Uint8Array(101)
  isSum[0] = 1
  sharesPct.forEach((pct, share) => {
    for (let n = Math.min(counts[share]!, Math.floor(100 / pct)); n > 0; n--) {
      for (let sum = 100; sum >= pct; sum--) if (isSum[sum - pct] === 1) isSum[sum] = 1
    }
  })
  return isSum
}

/** What is tried first beside what is on a GPU: the largest glets, any in proportion to what is left, or the largest that leave share for as many as there are on average. */
export type Filling = "largest" | "mixed" | "even"
export const fillings: ReadonlyArray<Filling> = ["largest", "mixed", "even"]

/** Whether so many glets go on a GPU on average, of some kind, that it matters how they are spread; else "even" is "largest". */
export const isCrowded = ({ kinds }: SearchSpace, glets: ReadonlyArray<LooseGlet>): boolean =>
  kinds.some(({ maxGlets, sharesPct }, kind) => {
    const own = glets.filter((glet) => glet.kind === kind)
    return own.length > crowded * maxGlets * own.reduce((sum, { share }) => sum + sharesPct[share]! / 100, 0)
  })

/** All glets on GPUs, those that are hardest to place first; undefined where one does not even fit alone. */
export const assemble = (space: SearchSpace, solver: GpuSolver, glets: ReadonlyArray<LooseGlet>, filling: Filling, random: () => number): ReadonlyArray<GpuState> | undefined => {
  const states: Array<GpuState> = []
  let isWhole = true
  space.kinds.forEach(({ gletBytes, maxGlets, modelBytes, roomBytes, sharesPct }, kind) => {
    // By share, ascending in memory.
    const buckets: Array<ReadonlyArray<Item>> = sharesPct.map((_, share) =>
      glets.filter((glet) => glet.kind === kind && glet.share === share)
        .map((glet): Item => ({ glet, bytes: glet.models.reduce((sum, model) => sum + modelBytes[model]!, gletBytes) }))
        .sort((a, b) => a.bytes - b.bytes))

    const fill = (): { readonly items: ReadonlyArray<Item>; readonly state: GpuState } => {
      const left = buckets.map((bucket) => bucket.length)
      const isSum = sumsOf(sharesPct, left)
      let [pcts, bytes, count] = [0, 0, 0]
      let [hardest, first] = [0, -1]
      buckets.forEach((bucket, share) => bucket.forEach((item) => {
        pcts += sharesPct[share]!
        bytes += item.bytes
        count++
        const hard = Math.max(sharesPct[share]! / 100, item.bytes / roomBytes)
        if (hard <= hardest) return
        hardest = hard
        first = share
      }))
      const average = (100 * count) / pcts
      const wanted = filling === "even" && average > crowded * maxGlets ? Math.min(maxGlets, Math.ceil(average)) : 0
      const items: Array<Item> = []
      const failed = new Uint8Array(sharesPct.length)
      let state = solver.empty(kind)
      const fits = (share: number): boolean => left[share]! > 0 && failed[share] === 0 && sharesPct[share]! <= state.freePct
      const nextShare = (): number => {
        if (items.length === 0 && fits(first)) return first
        if (wanted > items.length + 1) {
          const smallest = sharesPct.find((_, share) => fits(share)) ?? 0
          const others = smallest * (wanted - items.length - 1)
          const large = sharesPct.findLastIndex((pct, share) => fits(share) && state.freePct - pct >= others && random() >= passedOver)
          if (large >= 0) return large
          const small = sharesPct.findIndex((pct, share) => fits(share) && isSum[state.freePct - pct] === 1)
          if (small >= 0) return small
        }
        if (filling === "mixed") {
          // In proportion to what is left.
          let sum = 0
          let chosen = -1
          for (let share = sharesPct.length - 1; share >= 0; share--) {
            if (!fits(share) || isSum[state.freePct - sharesPct[share]!] !== 1) continue
            const weight = left[share]! * sharesPct[share]!
            sum += weight
            if (random() * sum < weight) chosen = share
          }
          if (chosen >= 0) return chosen
        } else for (let share = sharesPct.length - 1; share >= 0; share--) {
          if (fits(share) && isSum[state.freePct - sharesPct[share]!] === 1 && random() >= passedOver) return share
        }
        return sharesPct.findLastIndex((_, share) => fits(share))
      }
      while (items.length < maxGlets) {
        const share = nextShare()
        if (share < 0) break
        const bucket = buckets[share]!.filter((item) => !items.includes(item))
        // Memory as much as share: of what an average GPU would have filled in the end, this glet's part of what is left. The first one is the largest.
        const wantedBytes = items.length === 0 ? Infinity : ((bytes / pcts) * 100 - (roomBytes - state.freeBytes)) * (sharesPct[share]! / state.freePct)
        const found = bucket.findIndex((item) => item.bytes >= wantedBytes)
        const middle = found < 0 ? bucket.length - 1 : found
        const refused = new Set<LooseGlet>()
        let placed: Item | undefined
        for (let look = 0; look < 2 * bucket.length && refused.size < looks && placed === undefined; look++) {
          const item = bucket[middle + (look % 2 === 0 ? -1 : 1) * ((look + 1) >> 1)]
          if (item === undefined || item.bytes > state.freeBytes || refused.has(item.glet)) continue
          const next = beside(solver, state, items.map(({ glet }) => glet), item.glet)
          if (next === undefined) {
            refused.add(item.glet)
            continue
          }
          state = next
          placed = item
        }
        if (placed === undefined) failed[share] = 1
        else {
          items.push(placed)
          left[share]!--
        }
      }
      return { items, state }
    }

    while (buckets.some((bucket) => bucket.length > 0)) {
      let best = fill()
      for (let attempt = 1; attempt < tries && best.items.length > 0 && best.items.length < maxGlets && best.state.freePct > 0; attempt++) {
        const other = fill()
        if (other.items.length > 0 && other.state.freePct < best.state.freePct) best = other
      }
      if (best.items.length === 0) {
        isWhole = false
        break
      }
      // Glets of which there are more make the same GPU again.
      const taken = new Map<LooseGlet, number>()
      for (const { glet } of best.items) taken.set(glet, (taken.get(glet) ?? 0) + 1)
      const there = new Map([...taken.keys()].map((glet) => [glet, buckets[glet.share]!.reduce((count, item) => count + (item.glet === glet ? 1 : 0), 0)]))
      const copies = [...taken].reduce((least, [glet, count]) => Math.min(least, Math.floor(there.get(glet)! / count)), Infinity)
      for (let copy = 0; copy < copies; copy++) states.push(best.state)
      for (const [glet, count] of taken) {
        let left = copies * count
        buckets[glet.share] = buckets[glet.share]!.filter((item) => item.glet !== glet || left-- <= 0)
      }
    }
  })
  return isWhole ? states : undefined
}
