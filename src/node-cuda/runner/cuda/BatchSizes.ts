/** The batch sizes of one model: those that are ready, others that were met lately, and the buffer sets of each. */
import type { RunBatch } from "../../../core/internal/batchAssembly.js"
import type { SlotLayout } from "../../../core/SlotLayout.js"
import type { BatchSize, BufferSet } from "./BufferSets.js"
import { bytesOfSet, freeBufferSet, makeBatchSize, makeBufferSet } from "./BufferSets.js"
import type { CudaRuntime } from "./CudaRuntime.js"

/** Sets of a size that exist at most: one computes while another is filled; small ones come and go faster than one can be filled. */
export const setsOf = (size: BatchSize): number => bytesOfSet(size) < 1 << 20 ? 3 : 2
/** `CudaRuntime.moveFromBytes` where none is given. */
const movesFromBytes = 16 << 10
/** Sizes other than the ready ones that are remembered; the one that was used longest ago goes first. */
const mostOtherSizes = 48

/**
 * Few numbers of items, at most a half apart: each with its bindings has sets, and graphs that take as long to record as some batches to run, so that
 * sequences of many lengths in batches of all sizes would never all be recorded.
 */
const grown = (items: number): number => {
  let size = 1
  while (size < items) size *= 2
  return size >= 4 && 0.75 * size >= items ? 0.75 * size : size
}

const keyOf = (items: number, bindings: ReadonlyArray<number>): string => bindings.length === 0 ? String(items) : `${items}:${bindings.join(",")}`

export class BatchSizes {
  private readonly known = new Map<string, BatchSize>()
  /** Ascending. */
  ready: ReadonlyArray<BatchSize> = []

  constructor(
    private readonly runtime: CudaRuntime,
    private readonly layout: SlotLayout,
    /** Whether a batch may run as a larger one: shapes are the same but for the items, whatever the data. */
    private readonly mayGrow: boolean,
    /** The layout of convolutions for a size that was not warmed. */
    private readonly nhwcOf: (items: number) => boolean,
    private readonly onFree: (size: BatchSize) => void
  ) {}

  /** A size that is not known yet. */
  make(items: number, bindings: ReadonlyArray<number>, nhwc: boolean): BatchSize {
    const { mover, moveFromBytes = movesFromBytes } = this.runtime
    return makeBatchSize(this.layout, keyOf(items, bindings), items, bindings, nhwc, mover === undefined ? undefined : moveFromBytes)
  }

  /** From now on batches of these items and bindings run as this one. */
  keep(size: BatchSize): void {
    this.known.set(size.key, size)
    if (this.layout.isStatic) this.ready = [...this.ready, size].sort((a, b) => a.items - b.items)
  }

  isKept(size: BatchSize): boolean {
    return this.known.get(size.key) === size
  }

  /** All that are known. */
  get all(): ReadonlyArray<BatchSize> {
    return [...this.known.values()]
  }

  /** The size that a batch runs as. */
  of(batch: RunBatch): BatchSize {
    if (!this.mayGrow) return this.exactly(batch.items, batch.bindings)
    // Of shapes that requests choose none is ready before it was asked for.
    if (!this.layout.isStatic) return this.exactly(grown(batch.items), batch.bindings)
    return this.ready.find(({ items }) => items >= batch.items) ?? this.exactly(batch.items, batch.bindings)
  }

  /** A set that no batch has; undefined where all are taken. Throws where there is no memory for the first. */
  takeSet(size: BatchSize): BufferSet | undefined {
    // Sets that were recorded come first.
    return size.free.pop() ?? (size.made < setsOf(size) ? this.makeSet(size) : undefined)
  }

  putSet(set: BufferSet): void {
    set.size.free.push(set)
  }

  makeSet(size: BatchSize): BufferSet {
    const { driver, memoryInfo, ort } = this.runtime
    return makeBufferSet(driver, ort, memoryInfo, this.layout, size)
  }

  /** Frees what a size has; no batch may use it. */
  free(size: BatchSize): void {
    for (const set of size.free.splice(0)) freeBufferSet(this.runtime.driver, set)
    this.onFree(size)
  }

  /** Frees all. */
  clear(): void {
    for (const size of this.known.values()) this.free(size)
    this.known.clear()
  }

  private exactly(items: number, bindings: ReadonlyArray<number>): BatchSize {
    const key = keyOf(items, bindings)
    const known = this.known.get(key)
    if (known !== undefined) {
      // Used last, forgotten last.
      if (!this.ready.includes(known)) {
        this.known.delete(key)
        this.known.set(key, known)
      }
      return known
    }
    const size = this.make(items, bindings, this.nhwcOf(items))
    this.known.set(key, size)
    this.forgetOthers()
    return size
  }

  /** Frees sizes beyond what is remembered that no batch uses. */
  private forgetOthers(): void {
    let others = this.known.size - this.ready.length
    for (const [key, size] of this.known) {
      if (others <= mostOtherSizes) return
      if (this.ready.includes(size) || size.made === 0 || size.free.length < size.made) continue
      this.free(size)
      this.known.delete(key)
      others--
    }
  }
}
