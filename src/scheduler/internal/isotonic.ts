/**
 * Repair of measured curves that must be monotone but, being measured, are not quite.
 */

/** The nondecreasing sequence closest to `values`, all finite, in weighted least squares (pool adjacent violators). */
export const nondecreasing = (values: ReadonlyArray<number>, weights: ReadonlyArray<number>): Array<number> => {
  const pools: Array<{ value: number; weight: number; size: number }> = []
  values.forEach((value, i) => {
    pools.push({ value, weight: weights[i] ?? 1, size: 1 })
    for (;;) {
      const last = pools[pools.length - 1]!
      const before = pools[pools.length - 2]
      if (before === undefined || before.value <= last.value) break
      const weight = before.weight + last.weight
      before.value = (before.value * before.weight + last.value * last.weight) / weight
      before.weight = weight
      before.size += last.size
      pools.pop()
    }
  })
  return pools.flatMap((pool) => new Array<number>(pool.size).fill(pool.value))
}
