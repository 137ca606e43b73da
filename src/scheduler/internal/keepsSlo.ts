/** Sums and products of floating-point milliseconds: 1.1 times 25 ms is a little more than 27.5, and an SLO of 55 ms is kept. */
const slackMs = 1e-9

/** Whether a batch keeps the SLO alone on a glet: it just misses its turn, waits for as long as it takes, then runs. */
export const keepsSlo = (latencyMs: number, sloMs: number): boolean => 2 * latencyMs <= sloMs + slackMs
