/**
 * What batches in flight claim of each GPU, in percent of its SMs, for the GPU itself to read: work that gives way waits on it between two kernels
 * (`CudaDriver.waitUntil`), without any process in between.
 *
 * It stands at the beginning of the segment that agent and runners share, a line of words for each GPU: the first is the sum, the others what each
 * runner has in it, by which the agent takes back what one that died has left. All count downwards from 0: the driver's wait asks whether a word is
 * at least some value.
 */
import type { GpuId } from "../../core/Ids.js"

const wordBytes = 4
/** One for the sum, the others for runners; MPS has 48 clients at most. */
const lineWords = 64
const lines = 64

/** What it takes of the segment. */
export const claimsBytes = wordBytes * lineWords * lines

/** A runner's place. */
export interface ClaimsPlace {
  /** Which line, and which word of it. */
  readonly line: number
  readonly word: number
}

/** Where the sum of a line stands in the segment. */
export const sumOffset = ({ line }: ClaimsPlace): number => wordBytes * lineWords * line

/** A runner's claims. */
export class Claims {
  private readonly words: Int32Array

  constructor(memory: ArrayBufferLike, private readonly place: ClaimsPlace) {
    this.words = new Int32Array(memory, sumOffset(place), lineWords)
  }

  /** The word of the GPU's line that waits look at, as it is now. */
  get sum(): number {
    return Atomics.load(this.words, 0)
  }

  /** Claims so much more, or less. */
  add(percent: number): void {
    Atomics.sub(this.words, this.place.word, percent)
    Atomics.sub(this.words, 0, percent)
  }
}

/** The agent's side: which runner has which place. */
export class ClaimsPlaces {
  private readonly taken = new Map<GpuId, { readonly line: number; readonly words: Set<number> }>()

  constructor(private readonly memory: ArrayBufferLike) {}

  /** Undefined where there are more GPUs or runners than places. */
  take(gpu: GpuId): ClaimsPlace | undefined {
    const known = this.taken.get(gpu)
    const line = known?.line ?? this.freeLine()
    if (line === undefined) return undefined
    const words = known?.words ?? new Set<number>()
    let word = 1
    while (words.has(word)) word++
    if (word >= lineWords) return undefined
    words.add(word)
    this.taken.set(gpu, { line, words })
    return { line, word }
  }

  /** Takes back what a runner that is gone has claimed, and its place. */
  release(gpu: GpuId, place: ClaimsPlace): void {
    const known = this.taken.get(gpu)
    if (known?.line !== place.line || !known.words.delete(place.word)) return
    const words = new Int32Array(this.memory, sumOffset(place), lineWords)
    const left = Atomics.exchange(words, place.word, 0)
    Atomics.sub(words, 0, left)
    if (known.words.size > 0) return
    // Nobody is there: what a runner left between its two writes is gone too.
    Atomics.store(words, 0, 0)
    this.taken.delete(gpu)
  }

  private freeLine(): number | undefined {
    const used = new Set([...this.taken.values()].map(({ line }) => line))
    for (let line = 0; line < lines; line++) if (!used.has(line)) return line
    return undefined
  }
}
