/**
 * How an emulated glet computes its batches, one at a time: each to its end; on a GPU where batches can give way (`Gpu.preemptMs`) claiming its share
 * while it has any; or giving way itself. A batch's beginning may lie a little in the past, where the one before was due.
 */
import type { PreemptibleGpu } from "../../core/internal/preemption.js"
import type { Execution } from "../../core/LatencyModel.js"
import type { PreciseTimer } from "./preciseTimer.js"

/** Called when a batch has ended: when that was, and how long it computed, ms. */
type OnComputed = (endMs: number, computedMs: number) => void

export interface Computing {
  /** Begins a batch that takes `aloneMs` alone; the one before has ended. */
  readonly begin: (beganMs: number, execution: Execution, aloneMs: number, onEnd: OnComputed) => void
  /** What others see of it. */
  readonly seen: () => Execution | undefined
  /** No batch follows the one that ended then. */
  readonly idle: (nowMs: number) => void
  /** What it computes takes so much longer. */
  readonly holdUp: (ms: number) => void
  /** Forgets what it computes, and takes no part any more. */
  readonly leave: (nowMs: number) => void
}

interface ComputingOptions {
  readonly timer: PreciseTimer
  readonly sharePct: number
  /** By which factor those that compute on the GPU slow an execution down now. */
  readonly slowdown: (execution: Execution) => number
}

/** To its end. `gpu`: where others give way to it. */
export const makeComputing = ({ sharePct, slowdown, timer }: ComputingOptions, gpu: PreemptibleGpu | undefined): Computing => {
  let current: { readonly execution: Execution; readonly onEnd: OnComputed } | undefined
  let claims = false
  let beganMs = 0
  let heldMs = 0
  let endMs = 0
  let cancel = (): void => {}

  const claim = (nowMs: number): number => {
    if (gpu === undefined) return 0
    if (!claims) gpu.claim(nowMs, sharePct)
    claims = true
    return gpu.heldMs(nowMs)
  }
  const release = (nowMs: number): void => {
    if (claims) gpu!.release(nowMs, sharePct)
    claims = false
  }
  const ended = (): void => {
    const { onEnd } = current!
    current = undefined
    onEnd(endMs, endMs - beganMs - heldMs)
  }
  return {
    begin: (atMs, execution, aloneMs, onEnd) => {
      beganMs = atMs
      heldMs = claim(atMs)
      endMs = atMs + heldMs + aloneMs * slowdown(execution)
      current = { execution, onEnd }
      cancel = timer.at(endMs, ended)
    },
    seen: () => current?.execution,
    idle: release,
    holdUp: (ms) => {
      if (current === undefined) return
      heldMs += ms
      endMs += ms
      cancel()
      cancel = timer.at(endMs, ended)
    },
    leave: (nowMs) => {
      cancel()
      current = undefined
      release(nowMs)
    }
  }
}

/** Giving way to the others of the GPU. */
export const makeGivingWay = ({ sharePct, slowdown, timer }: ComputingOptions, gpu: PreemptibleGpu, random: () => number): Computing => {
  let current: { readonly execution: Execution; readonly onEnd: OnComputed } | undefined
  let cancel = (): void => {}

  const batch = gpu.join({
    sharePct, random,
    slowdown: () => slowdown(current!.execution),
    onChange: () => {
      cancel()
      if (batch.nextMs < Infinity) cancel = timer.at(batch.nextMs, turn)
      else if (batch.endedMs !== undefined) cancel = timer.at(batch.endedMs, turn)
    }
  })
  const turn = (): void => {
    batch.advance(timer.nowMs())
    const { endedMs } = batch
    if (current === undefined || endedMs === undefined) return
    const { onEnd } = current
    const computedMs = batch.busyMs(endedMs)
    cancel()
    batch.clear()
    current = undefined
    onEnd(endedMs, computedMs)
  }
  return {
    begin: (beganMs, execution, aloneMs, onEnd) => {
      current = { execution, onEnd }
      batch.begin(beganMs, aloneMs)
    },
    seen: () => (batch.isSeen ? current?.execution : undefined),
    idle: () => {},
    holdUp: () => {},
    leave: () => {
      cancel()
      current = undefined
      gpu.leave(batch)
    }
  }
}
