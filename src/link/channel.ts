/**
 * The way for bytes between two processes of a host, both ways: a stream, or where they share memory two rings in it, and a stream for the bell. The
 * stream is what tells that the other side is gone in any case.
 *
 * ```
 * channel = i32 state of the agent | i32 state of its child                        64 bytes each
 *         | ring from the agent to the child | ring from the child to the agent
 * ```
 */
import type { Duplex } from "node:stream"
import { clearRing, lineBytes, ringBytes, RingReader, RingWriter } from "./ring.js"
import { type RingWatch, ringWatch, type WatchedRing } from "./RingWatch.js"

/** Where bytes are written; a `Writable` is one. */
export interface ByteSink {
  readonly destroyed: boolean
  readonly write: (bytes: Uint8Array) => unknown
  /** What is written from here to `uncork` may be sent at once. */
  readonly cork: () => void
  readonly uncork: () => void
}

/** Of all of a channel. */
export const channelBytes = 256 << 10
const stateLines = 2
const capacityBytes = (channelBytes - stateLines * lineBytes) / 2 - ringBytes(0)

/** Who looks at its ring needs no bell; who sleeps does; who sleeps over a full ring needs one for room, too. */
const State = { awake: 0, asleep: 1, wantsRoom: 2 } as const

/** Memory of a channel; `offset` is aligned to 64 bytes. */
export interface ChannelPlace {
  readonly memory: ArrayBufferLike
  readonly offset: number
}

/** Which end this process is. */
export type ChannelSide = "agent" | "child"

const ringAt = ({ memory, offset }: ChannelPlace, number: 0 | 1) =>
  ({ memory, offset: offset + stateLines * lineBytes + number * ringBytes(capacityBytes), capacityBytes })
const stateAt = ({ memory, offset }: ChannelPlace, number: 0 | 1) => new Int32Array(memory, offset + number * lineBytes, 1)

/** Makes it empty, before either side has it. */
export const clearChannel = (place: ChannelPlace): void => {
  for (const number of [0, 1] as const) {
    clearRing(ringAt(place, number))
    Atomics.store(stateAt(place, number), 0, State.awake)
  }
}

/** What the stream carries where rings carry the rest: zeros, which no frames begin with. */
export const bell = Buffer.alloc(1)

/** A channel in shared memory; `ringBell` makes the other side call its `RingWatch.rang`. */
export class RingChannel implements ByteSink, WatchedRing {
  destroyed = false
  private readonly out: RingWriter
  private readonly in: RingReader
  private readonly own: Int32Array
  private readonly other: Int32Array
  /** What the ring had no room for. */
  private waiting: Array<Uint8Array> = []
  private corked = 0
  private onWritten: Array<() => void> = []

  constructor(
    place: ChannelPlace,
    side: ChannelSide,
    private readonly read: (bytes: Buffer) => void,
    private readonly ringBell: () => void,
    private readonly watch: RingWatch = ringWatch
  ) {
    const [own, other] = side === "agent" ? [0, 1] as const : [1, 0] as const
    this.out = new RingWriter(ringAt(place, own))
    this.in = new RingReader(ringAt(place, other))
    this.own = stateAt(place, own)
    this.other = stateAt(place, other)
  }

  /** Begins to read. */
  open(): void {
    this.watch.add(this)
  }

  write(bytes: Uint8Array): void {
    if (this.destroyed) return
    const put = this.waiting.length > 0 ? 0 : this.out.put(bytes)
    if (put < bytes.length) {
      this.waiting.push(put === 0 ? bytes : bytes.subarray(put))
      // Asleep it would not see that there is room again.
      this.watch.wake()
    }
    if (this.corked === 0) this.call(State.asleep)
  }

  cork(): void {
    this.corked += 1
  }

  uncork(): void {
    this.corked -= 1
    if (this.corked === 0) this.call(State.asleep)
  }

  /** Calls back once the other side can read all that was written, whatever becomes of this process. */
  whenWritten(done: () => void): void {
    this.onWritten.push(done)
    this.pump()
  }

  /** The other side is gone: reads what it left, then nothing more. */
  close(): void {
    if (this.destroyed) return
    while (!this.in.isEmpty) this.in.take(this.read)
    this.destroyed = true
    this.watch.delete(this)
    this.waiting = []
  }

  look(): boolean {
    const taken = this.in.take(this.read)
    if (taken > 0) this.call(State.wantsRoom)
    return this.pump() || taken > 0
  }

  sleep(): boolean {
    Atomics.store(this.own, 0, this.waiting.length > 0 ? State.wantsRoom : State.asleep)
    return this.in.isEmpty && (this.waiting.length === 0 || this.out.room === 0)
  }

  wake(): void {
    Atomics.store(this.own, 0, State.awake)
  }

  /** Writes what waits, as far as there is room; answers whether there was any. */
  private pump(): boolean {
    let sent = false
    while (this.waiting.length > 0) {
      const first = this.waiting[0]!
      const put = this.out.put(first)
      if (put === 0) break
      sent = true
      if (put === first.length) this.waiting.shift()
      else this.waiting[0] = first.subarray(put)
    }
    if (sent) this.call(State.asleep)
    if (this.waiting.length === 0 && this.onWritten.length > 0) for (const done of this.onWritten.splice(0)) done()
    return sent
  }

  /** Wakes the other side up where it sleeps, and is to know of this. */
  private call(least: number): void {
    if (Atomics.load(this.other, 0) < least) return
    // Once: it looks at everything when it wakes up.
    if (Atomics.exchange(this.other, 0, State.awake) !== State.awake) this.ringBell()
  }
}

/** What the agent has of a channel. */
export interface AgentChannel {
  readonly sink: ByteSink
  /** The child is gone: reads what it left, then nothing more. */
  readonly close: () => void
}

/** The agent's end of a channel to the child at the other end of `stream`, in the shared memory of `place` where there is some. */
export const agentChannel = (stream: Duplex, place: ChannelPlace | undefined, read: (bytes: Buffer) => void): AgentChannel => {
  // A broken stream is a process about to be gone; its exit is what counts.
  stream.on("error", () => undefined)
  if (place === undefined) {
    stream.on("data", read)
    return { sink: stream, close: () => stream.off("data", read) }
  }
  const channel = new RingChannel(place, "agent", read, () => {
    if (!stream.destroyed) stream.write(bell)
  })
  stream.on("data", (chunk: Buffer) => {
    // What does not know of rings, as a child of another build, says so over the stream.
    if (chunk.every((byte) => byte === bell[0])) ringWatch.rang()
    else read(chunk)
  })
  channel.open()
  return { sink: channel, close: () => channel.close() }
}
