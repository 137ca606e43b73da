/**
 * Measurements by a client that was itself late measure its machine: they are made again, a few times, and what stays late is marked. A result has
 * `latencies`, each with the lateness of its sender, `sendLagP99Ms`.
 */

/** A client that sends so late at the 99th percentile is part of what it measures, ms. */
export const lateMs = 0.75
/** Measurements at most: one, and two more. */
const most = 3

const lagOf = ({ latencies }) => Math.max(0, ...latencies.map(({ sendLagP99Ms }) => sendLagP99Ms))

/**
 * Measures until the client is punctual; of several the one whose client was least late counts. `measure` is told how often it was called before. Gives
 * that result with the lateness of all (`lagsMs`), and `lateClient` where none was punctual. No further one is begun once `isOver`.
 */
export const punctually = async (measure, isOver = () => false) => {
  const results = []
  do results.push(await measure(results.length))
  while (lagOf(results.at(-1)) > lateMs && results.length < most && !isOver())
  const best = results.reduce((one, other) => (lagOf(other) < lagOf(one) ? other : one))
  return { ...best, lagsMs: results.map(lagOf), ...(lagOf(best) > lateMs ? { lateClient: true } : {}) }
}
