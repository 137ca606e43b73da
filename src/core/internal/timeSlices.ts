/**
 * Shares that are turns on a device (`duty`): a glet of share p that took g ms may go on g/p ms after it was allowed the time before, so back to
 * back a batch takes g/p by construction, and its tail no more than the tail of g over p. Measuring that would take 1/p times as long, and a
 * runtime of its own for every share.
 */
import type { ProfilePoint } from "../Profile.js"

/** What one part of the device takes for what the whole takes. */
export const sliceOf = (whole: ProfilePoint, sharePct: number): ProfilePoint => {
  const slower = whole.sharePct / sharePct
  const { batch, count, meanMs, p50Ms, p90Ms, p99Ms } = whole
  return { sharePct, batch, meanMs: meanMs * slower, p50Ms: p50Ms * slower, p90Ms: p90Ms * slower, p99Ms: p99Ms * slower, count }
}
