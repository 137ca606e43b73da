/** Order statistics, a seeded generator, and the way figures are printed. */

export const sorted = (values) => Float64Array.from(values).sort()

/** The value at a quantile of sorted values (nearest rank); NaN where there are none. */
export const quantile = (ordered, q) => ordered[Math.min(ordered.length - 1, Math.max(0, Math.ceil(q * ordered.length) - 1))] ?? NaN

export const median = (values) => {
  const ordered = sorted(values)
  const middle = ordered.length >> 1
  return ordered.length % 2 === 1 ? ordered[middle] : (ordered[middle - 1] + ordered[middle]) / 2
}

export const summary = (latenciesMs) => {
  const ordered = sorted(latenciesMs)
  return { count: ordered.length, p50Ms: quantile(ordered, 0.5), p90Ms: quantile(ordered, 0.9), p99Ms: quantile(ordered, 0.99) }
}

/** Slope of the least-squares line through (x, y). */
export const slope = (xs, ys) => {
  const n = xs.length
  const meanX = xs.reduce((a, b) => a + b, 0) / n
  const meanY = ys.reduce((a, b) => a + b, 0) / n
  let above = 0
  let below = 0
  for (let i = 0; i < n; i++) {
    above += (xs[i] - meanX) * (ys[i] - meanY)
    below += (xs[i] - meanX) ** 2
  }
  return below === 0 ? 0 : above / below
}

/** A seeded generator of numbers in [0, 1) (mulberry32). */
export const random = (seed) => {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

const figures = (value) => (typeof value !== "number" ? String(value) : Number.isInteger(value) ? String(value) : value.toPrecision(3))

/** Prints rows (plain objects with the same keys) as a table. */
export const printTable = (title, rows) => {
  console.log(`\n${title}`)
  const columns = Object.keys(rows[0] ?? {})
  const cells = [columns, ...rows.map((row) => columns.map((column) => figures(row[column])))]
  const widths = columns.map((_, c) => Math.max(...cells.map((row) => row[c].length)))
  for (const row of cells) console.log("  " + row.map((cell, c) => (c === 0 ? cell.padEnd(widths[c]) : cell.padStart(widths[c]))).join("  "))
}

/**
 * The end of a bench: each bar with its figure, one JSON line with `--json`, and with `--check` exit code 1 where a bar is missed.
 * A bar is `{ name, value, limit, rule: "<=" | ">=" }`.
 */
export const conclude = (bench, bars, details) => {
  const judged = bars.map((bar) => ({ ...bar, ok: bar.rule === "<=" ? bar.value <= bar.limit : bar.value >= bar.limit }))
  printTable(`${bench}: bars`, judged.map(({ name, value, rule, limit, ok }) => ({ bar: name, value, rule, limit, verdict: ok ? "kept" : "MISSED" })))
  if (process.argv.includes("--json")) console.log(JSON.stringify({ bench, bars: judged, details }))
  if (process.argv.includes("--check") && judged.some((bar) => !bar.ok)) process.exitCode = 1
}
