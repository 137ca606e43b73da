/** Ranks from 1; equal values share the mean of theirs. */
const ranks = (values: ReadonlyArray<number>): ReadonlyArray<number> => {
  const order = values.map((_, i) => i).sort((a, b) => values[a]! - values[b]!)
  const result = new Array<number>(values.length)
  for (let from = 0; from < order.length;) {
    let to = from + 1
    while (to < order.length && values[order[to]!] === values[order[from]!]) to += 1
    for (let i = from; i < to; i++) result[order[i]!] = (from + to + 1) / 2
    from = to
  }
  return result
}

/** Spearman's rank correlation, -1 to 1; undefined where fewer than three pairs or nothing varies. */
export const rankCorrelation = (pairs: ReadonlyArray<readonly [number, number]>): number | undefined => {
  if (pairs.length < 3) return undefined
  const a = ranks(pairs.map(([first]) => first))
  const b = ranks(pairs.map(([, second]) => second))
  const mean = (pairs.length + 1) / 2
  let ab = 0
  let aa = 0
  let bb = 0
  a.forEach((rank, i) => {
    ab += (rank - mean) * (b[i]! - mean)
    aa += (rank - mean) ** 2
    bb += (b[i]! - mean) ** 2
  })
  return aa > 0 && bb > 0 ? ab / Math.sqrt(aa * bb) : undefined
}
