/**
 * When to start a glet again whose process died. The first death is answered at once, so that the glet is back within two seconds; repeated
 * ones wait longer each time; a glet that keeps dying is in a crash loop and is retried only rarely, until it has lived for a while.
 *
 * @since 0.1.0
 */
import { makeRandom } from "../core/internal/random.js"

/** How glets that died are opened again. @since 0.1.0 @category restarts */
export interface RestartOptions {
  /** Longest delay after a first death, ms. */
  readonly firstDelayMs: number
  /** Delay after the second death, doubled for each that follows, ms. */
  readonly backoffMs: number
  readonly maxBackoffMs: number
  /** Deaths within `windowMs` that make a crash loop. */
  readonly crashLoopExits: number
  /** Also the time a glet must live to be out of a crash loop. */
  readonly windowMs: number
  /** Least delay in a crash loop, ms. */
  readonly crashLoopDelayMs: number
  /** Deaths in a row that one model alone was part of, after which it is taken out (CrashBlame). Infinity: never. */
  readonly culpritExits: number
}

/** What the online service restarts by. @since 0.1.0 @category restarts */
export const defaultRestartOptions: RestartOptions = {
  firstDelayMs: 50,
  backoffMs: 200,
  maxBackoffMs: 5_000,
  crashLoopExits: 5,
  windowMs: 60_000,
  crashLoopDelayMs: 30_000,
  culpritExits: 3
}

/** A glet's deaths, as far as they still count. @since 0.1.0 @category restarts */
export interface RestartState {
  /** Ascending, at most `crashLoopExits`. */
  readonly exitsMs: ReadonlyArray<number>
  readonly crashLoop: boolean
  /** How long to wait before the next start. */
  readonly delayMs: number
}

/** A glet that never died. @since 0.1.0 @category restarts */
export const noRestarts: RestartState = { exitsMs: [], crashLoop: false, delayMs: 0 }

/**
 * What to do about a death at `nowMs`. `seed` spreads the delays of glets that die together: give each glet its own, e.g. its number.
 * @since 0.1.0
 * @category restarts
 */
export const recordExit = (
  state: RestartState,
  nowMs: number,
  seed: number,
  options: RestartOptions = defaultRestartOptions
): RestartState => {
  const lastMs = state.exitsMs[state.exitsMs.length - 1]
  // It was started `delayMs` after its last death.
  const livedMs = lastMs === undefined ? Infinity : nowMs - lastMs - state.delayMs
  const exitsMs = [...state.exitsMs.filter((at) => nowMs - at < options.windowMs), nowMs].slice(-options.crashLoopExits)
  const crashLoop = exitsMs.length >= options.crashLoopExits || (state.crashLoop && livedMs < options.windowMs)
  // Between a half and the whole of the delay; in a crash loop between the whole and twice.
  const jitter = 0.5 + makeRandom(seed + 7919 * exitsMs.length)() / 2
  const delayMs = crashLoop
    ? 2 * jitter * options.crashLoopDelayMs
    : exitsMs.length === 1
    ? jitter * options.firstDelayMs
    : jitter * Math.min(options.maxBackoffMs, options.backoffMs * 2 ** (exitsMs.length - 2))
  return { exitsMs, crashLoop, delayMs }
}

/**
 * When a glet that died at `nowMs` is expected back: after the delay, opened as fast as the last time.
 * @since 0.1.0
 * @category restarts
 */
export const backAfterExitMs = (state: RestartState, nowMs: number, openMs: number): number => nowMs + state.delayMs + openMs
