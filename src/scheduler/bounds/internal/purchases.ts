/**
 * Costs are sums of prices of whole GPUs: between two of them no plan's cost lies.
 */

/** So many GPUs of each class. */
interface Purchase {
  readonly counts: ReadonlyArray<number>
  readonly cost: number
}

/** All purchases that cost at least `least` and less than `below`, cheapest first; undefined where they are more than `most`, or hardly fewer are looked at. */
export const purchasesBetween = (
  unitCosts: ReadonlyArray<number>,
  available: ReadonlyArray<number>,
  least: number,
  below: number,
  most: number
): ReadonlyArray<Purchase> | undefined => {
  const found: Array<Purchase> = []
  let looked = 0
  const extend = (at: number, counts: ReadonlyArray<number>, cost: number): boolean => {
    if (looked++ > 20 * most) return false
    if (at === unitCosts.length) return cost < least || found.push({ counts, cost }) <= most
    const last = at === unitCosts.length - 1
    // Of the last class there must be enough to reach the least.
    const from = last ? Math.max(0, Math.ceil((least - cost) / unitCosts[at]! - 1e-9)) : 0
    for (let n = from; n <= available[at]! && cost + n * unitCosts[at]! < below; n++) {
      if (!extend(at + 1, [...counts, n], cost + n * unitCosts[at]!)) return false
    }
    return true
  }
  return extend(0, [], 0) ? found.sort((a, b) => a.cost - b.cost) : undefined
}
