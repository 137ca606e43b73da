/** Weights of least squared error, by the normal equations; a little on the diagonal keeps what the rows do not tell apart small. */
export const leastSquares = (rows: ReadonlyArray<ReadonlyArray<number>>, values: ReadonlyArray<number>): ReadonlyArray<number> => {
  const n = rows[0]!.length
  const a = Array.from({ length: n }, (_, i) => [
    ...Array.from({ length: n }, (_, j) => rows.reduce((sum, row) => sum + row[i]! * row[j]!, i === j ? 1e-9 : 0)), rows.reduce((sum, row, r) => sum + row[i]! * values[r]!, 0)
  ])
  for (let i = 0; i < n; i++) {
    const pivot = a.slice(i).reduce((best, row, k) => (Math.abs(row[i]!) > Math.abs(a[best]![i]!) ? i + k : best), i)
    ;[a[i], a[pivot]] = [a[pivot]!, a[i]!]
    for (let k = 0; k < n; k++) {
      if (k === i) continue
      const factor = a[k]![i]! / a[i]![i]!
      for (let j = i; j <= n; j++) a[k]![j]! -= factor * a[i]![j]!
    }
  }
  return a.map((row, i) => row[n]! / row[i]!)
}
