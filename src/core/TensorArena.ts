/**
 * Memory for the tensors of requests. A front writes a request's bytes into a slot once; an executor reads and writes the same slot.
 *
 * @since 0.1.0
 */

/**
 * A piece of memory that one request holds from its first byte to its answer.
 * @since 0.1.0
 * @category memory
 */
export interface TensorSlot {
  /** The whole slot; its length is at least what was asked for. Aligned to 64 bytes within `bytes.buffer`. */
  readonly bytes: Uint8Array
  /** Where the slot begins within the arena, in bytes: what a descriptor carries across processes. */
  readonly offset: number
  /** Gives the memory back; the slot must not be used afterwards. Calling twice is a defect. */
  readonly release: () => void
}

/**
 * A piece of an arena that another process allocates in by itself.
 * @since 0.1.0
 * @category memory
 */
export interface LentPart {
  /** Where it begins within the arena, in bytes. */
  readonly offset: number
  readonly byteLength: number
  /** Bytes of it that its borrower says are held by live slots: they count as the arena's. */
  usedBytes: number
  /** Gives all of it back; nobody may use any of it afterwards. Calling twice is a defect. */
  readonly release: () => void
}

/**
 * Memory of an arena that other processes of the host can map.
 * @since 0.1.0
 * @category memory
 */
export interface SharedMemory {
  /** Descriptor of the file behind it, for processes to inherit. */
  readonly fd: number
  /** All of it, as it is mapped here. */
  readonly memory: ArrayBufferLike
  /** A part of at least `byteLength` bytes; undefined where no such piece is free. */
  readonly lend: (byteLength: number) => LentPart | undefined
}

/**
 * A bounded allocator of slots.
 * @since 0.1.0
 * @category memory
 */
export interface TensorArena {
  readonly capacityBytes: number
  /** Bytes held by live slots, rounding included, those of lent parts too. */
  readonly usedBytes: () => number
  /** A slot of at least `byteLength` bytes, its content undefined; undefined where no such piece is free. */
  readonly allocate: (byteLength: number) => TensorSlot | undefined
  /** Set where other processes can map the memory. */
  readonly shared?: SharedMemory
}

/**
 * An arena on the heap, for executors in the same process (emulated, tests, WebGPU). Slots are fresh buffers; only the sum is bounded.
 * @since 0.1.0
 * @category memory
 */
export const makeHeapArena = (capacityBytes: number): TensorArena => {
  let used = 0
  return {
    capacityBytes,
    usedBytes: () => used,
    allocate: (byteLength) => {
      if (!(byteLength >= 0) || used + byteLength > capacityBytes) return undefined
      used += byteLength
      let live = true
      return {
        bytes: new Uint8Array(byteLength),
        offset: 0,
        release: () => {
          if (!live) throw new Error("tensor slot released twice")
          live = false
          used -= byteLength
        }
      }
    }
  }
}
