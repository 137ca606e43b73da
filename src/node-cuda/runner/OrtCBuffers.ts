/**
 * Memory of a batch with its OrtValues: everything `Run` needs, made once per size and used again. A buffer is laid out like a slot of all the
 * batch's items, so a request that runs alone can be bound where it stands.
 */
import type { SlotLayout, SlotPlacement } from "../../core/SlotLayout.js"
import { slotAlignment } from "../../core/SlotLayout.js"
import { loadKoffi } from "../internal/native.js"
import type { Ort } from "./OrtApi.js"
import type { BoundValues } from "./ortValues.js"
import { bindValues } from "./ortValues.js"

/** How long batches of one size took lately, in ms; shared by all buffers of the size. */
export interface Timing {
  inferMs: number
  runs: number
}

/** Values bound to memory. */
export interface BatchBuffers extends BoundValues {
  readonly key: string
  readonly timing: Timing
  readonly placement: SlotPlacement
  /** The memory, laid out as `placement`; undefined where it is a request's slot. */
  readonly bytes: Uint8Array | undefined
}

/** Bytes and number of buffers that one model keeps while they are not used. */
const keptBytes = 128 << 20
const keptBuffers = 48
const keptTimings = 1024

export class OrtCBufferPool {
  private readonly free = new Map<string, Array<BatchBuffers>>()
  private freeCount = 0
  private freeBytes = 0
  private readonly timings = new Map<string, Timing>()

  constructor(private readonly ort: Ort, private readonly layout: SlotLayout) {}

  /** Buffers for a size, to be given back with `put`. */
  take(items: number, bindings: ReadonlyArray<number>): BatchBuffers {
    const key = this.keyOf(items, bindings)
    const ready = this.free.get(key)?.pop()
    if (ready !== undefined) {
      this.freeCount--
      this.freeBytes -= ready.placement.totalBytes
      return ready
    }
    const placement = this.layout.placement(items, bindings)
    const memory = new ArrayBuffer(placement.totalBytes + slotAlignment)
    const start = loadKoffi().address(memory)
    const offset = (slotAlignment - Number(start % BigInt(slotAlignment))) % slotAlignment
    return this.bind(key, items, bindings, placement, start + BigInt(offset), new Uint8Array(memory, offset, placement.totalBytes))
  }

  /** Values on a request's slot itself. Not pooled: `put` releases them. */
  onSlot(items: number, bindings: ReadonlyArray<number>, address: bigint): BatchBuffers {
    return this.bind(this.keyOf(items, bindings), items, bindings, this.layout.placement(items, bindings), address, undefined)
  }

  put(buffers: BatchBuffers): void {
    if (buffers.bytes === undefined) return buffers.release()
    const size = this.free.get(buffers.key)
    if (size === undefined) this.free.set(buffers.key, [buffers])
    else size.push(buffers)
    this.freeCount++
    this.freeBytes += buffers.placement.totalBytes
    this.trim(keptBuffers, keptBytes)
  }

  clear(): void {
    this.trim(0, 0)
  }

  /** Drops free buffers, those of the size that came into use first before others, until so much is left. */
  private trim(count: number, bytes: number): void {
    for (const [key, list] of this.free) {
      while (list.length > 0 && (this.freeCount > count || this.freeBytes > bytes)) {
        const buffers = list.pop()!
        this.freeCount--
        this.freeBytes -= buffers.placement.totalBytes
        buffers.release()
      }
      if (list.length > 0) return
      this.free.delete(key)
    }
  }

  private keyOf(items: number, bindings: ReadonlyArray<number>): string {
    return bindings.length === 0 ? String(items) : `${items}:${bindings.join(",")}`
  }

  private timingOf(key: string): Timing {
    const known = this.timings.get(key)
    if (known !== undefined) return known
    if (this.timings.size >= keptTimings) this.timings.clear()
    const timing = { inferMs: Infinity, runs: 0 }
    this.timings.set(key, timing)
    return timing
  }

  private bind(
    key: string,
    items: number,
    bindings: ReadonlyArray<number>,
    placement: SlotPlacement,
    address: bigint,
    bytes: Uint8Array | undefined
  ): BatchBuffers {
    const values = bindValues(this.ort, this.ort.cpuMemory, this.layout, items, bindings, placement, address)
    return { ...values, key, placement, bytes, timing: this.timingOf(key) }
  }
}
