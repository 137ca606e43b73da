/** Cuts a byte stream into frames. Frames that stand whole in a chunk are handed over where they stand; payloads go straight to their place. */
import { headBytes, maxMetaBytes } from "./frame.js"

/** Takes frames. */
export interface FrameSink {
  /**
   * A frame's meta stands in `bytes` from `start` to `end`, only during the call. Where `payloadBytes` is not 0, it returns the pieces of memory
   * that take the payload, in order; their sizes must add up to it.
   */
  readonly frame: (kind: number, id: number, bytes: Buffer, start: number, end: number, payloadBytes: number) => ReadonlyArray<Uint8Array>
  /** The payload of the frame last handed over is complete. */
  readonly payloadComplete: () => void
}

const nowhere: ReadonlyArray<Uint8Array> = []

/** A frame that cannot be: the other side is not what it should be, and the stream is of no more use. */
export class MalformedFrame extends Error {
  override readonly name = "MalformedFrame"
}

/** Feeds chunks to a sink. Throws `MalformedFrame`. */
export const makeFrameReader = (sink: FrameSink): (chunk: Buffer) => void => {
  /** The beginning of a frame whose meta is not all here. */
  let carry = Buffer.alloc(4096)
  let carried = 0
  /** Where the rest of a payload goes. */
  let places = nowhere
  let place = 0
  let filled = 0

  /** Bytes of head and meta of the frame that begins at `start`; what is known of it is in `bytes`. */
  const lengthAt = (bytes: Buffer, start: number): number => {
    const metaBytes = bytes.readUInt32LE(start)
    if (metaBytes > maxMetaBytes) throw new MalformedFrame(`a frame announces ${metaBytes} bytes of meta`)
    return headBytes + metaBytes
  }
  const deliver = (bytes: Buffer, start: number, end: number): void => {
    const payloadBytes = bytes.readUInt32LE(start + 4)
    const to = sink.frame(bytes.readUInt32LE(start + 8), bytes.readUInt32LE(start + 12), bytes, start + headBytes, end, payloadBytes)
    if (payloadBytes === 0) return
    let room = 0
    for (const piece of to) room += piece.length
    if (room !== payloadBytes) throw new MalformedFrame(`a payload of ${payloadBytes} bytes came for ${room}`)
    places = to
    place = 0
    filled = 0
  }
  /** Copies payload from `chunk`, returns where it ended. */
  const fill = (chunk: Buffer, start: number): number => {
    let at = start
    while (place < places.length) {
      const piece = places[place]!
      const n = Math.min(piece.length - filled, chunk.length - at)
      piece.set(chunk.subarray(at, at + n), filled)
      at += n
      filled += n
      if (filled < piece.length) return at
      place++
      filled = 0
    }
    places = nowhere
    sink.payloadComplete()
    return at
  }
  /** Appends to the carry up to `length` bytes in all; returns where it stopped in the chunk. */
  const carryTo = (length: number, chunk: Buffer, at: number): number => {
    const n = Math.min(length - carried, chunk.length - at)
    if (carried + n > carry.length) carry = Buffer.concat([carry.subarray(0, carried)], Math.max(2 * carry.length, carried + n))
    chunk.copy(carry, carried, at, at + n)
    carried += n
    return at + n
  }

  return (chunk) => {
    let at = 0
    while (at < chunk.length) {
      if (places.length > 0) {
        at = fill(chunk, at)
      } else if (carried > 0) {
        if (carried < headBytes) at = carryTo(headBytes, chunk, at)
        if (carried < headBytes) return
        const length = lengthAt(carry, 0)
        at = carryTo(length, chunk, at)
        if (carried < length) return
        carried = 0
        deliver(carry, 0, length)
      } else if (chunk.length - at < headBytes) {
        at = carryTo(headBytes, chunk, at)
      } else {
        const length = lengthAt(chunk, at)
        if (chunk.length - at < length) {
          at = carryTo(length, chunk, at)
        } else {
          const start = at
          at += length
          deliver(chunk, start, at)
        }
      }
    }
  }
}
