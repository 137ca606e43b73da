/**
 * Who gives way to whom on a GPU. A glet of latency-critical work claims its share as long as it has batches; one that gives way waits, on the GPU, until
 * the claims leave its own share free (`PreemptionPoints`).
 */
import type { ClaimsPlace } from "../../internal/claims.js"
import { Claims, sumOffset } from "../../internal/claims.js"
import { textOf } from "../../../core/internal/loadFailure.js"
import type { SegmentMemory } from "../OrtC.js"
import type { CudaDriver, WaitCondition } from "./driver/CudaDriver.js"

/** What a glet has of it. */
export interface Manners {
  /** What its graphs wait for; undefined where they run to their end. */
  readonly giveWay: WaitCondition | undefined
  /**
   * Whether a batch is launched only when the one before has ended. What waits on the GPU fills the driver's queue, and whoever launches more waits with
   * it: in a process that latency-critical glets live in too, they would.
   */
  readonly launchesSingly: boolean
  /** Whether what gives way waits at this moment, or will before long. */
  readonly isHeld: () => boolean
  /** To be told when the glet begins to have batches, and when it has none any more. */
  readonly onBusy: (isBusy: boolean) => void
}

export interface Preemption {
  readonly mannersOf: (glet: { readonly sharePct: number; readonly givesWay?: boolean | undefined }) => Manners
  /** Why nothing can give way although it is asked for. */
  readonly problem: string | undefined
}

const carefree: Manners = { giveWay: undefined, launchesSingly: false, isHeld: () => false, onBusy: () => undefined }

/** What a runner knows of it. */
interface PreemptionOptions {
  /** Undefined where nobody is told what is claimed. */
  readonly place: ClaimsPlace | undefined
  /** The driver has page-locked the segment. */
  readonly isLocked: boolean
  /** The process has other glets too. */
  readonly isShared: boolean
}

export const makePreemption = (driver: CudaDriver, memory: SegmentMemory, { isLocked, isShared, place }: PreemptionOptions): Preemption => {
  if (place === undefined) return { mannersOf: () => carefree, problem: undefined }
  const claims = new Claims(memory.bytes.buffer, place)
  let word: number | undefined
  let problem: string | undefined = isLocked ? undefined : "the memory that tells what is claimed is not page-locked"
  if (isLocked) {
    try {
      word = driver.deviceAddress(Number(memory.address) + sumOffset(place))
    } catch (error) {
      problem = textOf(error)
    }
  }
  return {
    problem,
    mannersOf: ({ givesWay, sharePct }) => {
      if (givesWay !== true) return { ...carefree, onBusy: (isBusy) => claims.add(isBusy ? sharePct : -sharePct) }
      if (word === undefined) return carefree
      const least = sharePct - 100
      return { giveWay: { word, least }, launchesSingly: isShared, isHeld: () => claims.sum < least, onBusy: () => undefined }
    }
  }
}
