/**
 * Lets all that waits on a GPU through, for a moment at a time, so that nothing waits for ever: neither best-effort work under a latency-critical load that
 * never ends, nor both where the one waits for what the other holds (an allocation in a process that both live in waits for all its kernels). It is the
 * agent's to do, which makes no calls of the driver and cannot be held up there.
 */
import type { Claims } from "./claims.js"

/** More than all claims together. */
const everything = 100_000
/** How often, and for how long, in ms: about one part in a hundred of the time. */
export const floorPeriodMs = 100
const floorMs = 1

/** Begins; call what it returns to end it. */
export const keepFloor = (claims: Claims): (() => void) => {
  let isOpen = false
  let timer: NodeJS.Timeout | undefined
  const turn = (): void => {
    isOpen = !isOpen
    claims.add(isOpen ? -everything : everything)
    wait()
  }
  const wait = (): void => {
    timer = setTimeout(turn, isOpen ? floorMs : floorPeriodMs)
    timer.unref()
  }
  wait()
  return () => {
    clearTimeout(timer)
    if (isOpen) claims.add(everything)
  }
}
