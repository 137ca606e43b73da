/**
 * A ring: bytes that one process writes and another reads, in memory that both have, in order, without a system call.
 *
 * ```
 * ring = head | tail | data
 * head = i32 where the next byte goes; the writer's        64 bytes, so that no two processes write into one cache line
 * tail = i32 where the next byte comes from; the reader's  64 bytes
 * ```
 * Both count within the data, one byte of which stays free: where they are equal nothing is there. They are written and read by `Atomics`: who sees a
 * head sees the bytes before it.
 */

/** A cache line. */
export const lineBytes = 64
const headLines = 2
/** What a ring of so many bytes of data takes. */
export const ringBytes = (capacityBytes: number): number => headLines * lineBytes + capacityBytes

interface RingPlace {
  readonly memory: ArrayBufferLike
  /** Aligned to 64 bytes. */
  readonly offset: number
  readonly capacityBytes: number
}

/** The position of one end, as both see it. */
class Position {
  private readonly word: Int32Array

  constructor({ memory, offset }: RingPlace, line: number) {
    this.word = new Int32Array(memory, offset + line * lineBytes, 1)
  }

  get value(): number {
    return Atomics.load(this.word, 0)
  }

  set value(at: number) {
    Atomics.store(this.word, 0, at)
  }
}

/** Makes a ring empty; nobody may use it meanwhile. */
export const clearRing = (place: RingPlace): void => {
  new Position(place, 0).value = 0
  new Position(place, 1).value = 0
}

/** What both ends have of a ring. */
class RingEnd {
  protected readonly head: Position
  protected readonly tail: Position
  protected readonly data: Buffer

  constructor(place: RingPlace) {
    this.head = new Position(place, 0)
    this.tail = new Position(place, 1)
    this.data = Buffer.from(place.memory as ArrayBuffer, place.offset + headLines * lineBytes, place.capacityBytes)
  }
}

/** The end that writes. */
export class RingWriter extends RingEnd {
  private at = this.head.value

  /** Bytes that it takes now. */
  get room(): number {
    const { length } = this.data
    return (this.tail.value - this.at - 1 + length) % length
  }

  /** Writes as many of the bytes as there is room for; answers how many. */
  put(bytes: Uint8Array): number {
    const { data, room } = this
    const count = Math.min(room, bytes.length)
    if (count === 0) return 0
    const first = Math.min(count, data.length - this.at)
    data.set(first === bytes.length ? bytes : bytes.subarray(0, first), this.at)
    if (first < count) data.set(bytes.subarray(first, count), 0)
    this.at = (this.at + count) % data.length
    this.head.value = this.at
    return count
  }
}

/** The end that reads. */
export class RingReader extends RingEnd {
  private at = this.tail.value

  get isEmpty(): boolean {
    return this.head.value === this.at
  }

  /** Hands over what is there where it stands, in one or two pieces, each only during the call; answers how many bytes that were. */
  take(read: (bytes: Buffer) => void): number {
    let taken = 0
    // Twice at most: what comes meanwhile is for the next look, so that no ring keeps the others waiting.
    for (let piece = 0; piece < 2; piece++) {
      const head = this.head.value
      if (head === this.at) break
      const end = head > this.at ? head : this.data.length
      const bytes = this.data.subarray(this.at, end)
      this.at = end % this.data.length
      taken += bytes.length
      try {
        read(bytes)
      } finally {
        this.tail.value = this.at
      }
    }
    return taken
  }
}
