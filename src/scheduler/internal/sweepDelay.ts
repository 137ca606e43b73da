/** Between these the sweeper comes to requests that wait, ms. */
const atLeastMs = 1
const atMostMs = 20

/** When to sweep again, where the earliest request gives up hope in `inMs`; in ms from now. */
export const sweepDelayMs = (inMs: number): number => Math.min(Math.max(inMs, atLeastMs), atMostMs)
