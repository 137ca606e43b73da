/** Collects frames and writes them at once: one system call for all of them. */
import type { ByteSink } from "./channel.js"
import { controlKind, headBytes } from "./frame.js"

const blockBytes = 64 << 10

export class FrameWriter {
  /** Frames are written into blocks that are never written twice: the stream may hold on to them. */
  private block = Buffer.allocUnsafeSlow(blockBytes)
  private used = 0
  private sent = 0
  private pieces: Array<Uint8Array> = []
  private scheduled = false

  /** `defer` runs the flush a little later: by default as soon as what runs now is done. */
  constructor(private readonly sink: ByteSink, private readonly defer: (flush: () => void) => void = process.nextTick) {}

  /** The buffer that the last `begin` reserved in. */
  get buffer(): Buffer {
    return this.block
  }

  /** Begins a frame: writes its head and reserves its meta, whose position in `buffer` it returns. The meta is to be filled in at once. */
  begin(kind: number, id: number, metaBytes: number, payloadBytes: number): number {
    const length = headBytes + metaBytes
    if (this.used + length > this.block.length) {
      this.seal()
      this.block = Buffer.allocUnsafeSlow(Math.max(blockBytes, length))
      this.used = 0
      this.sent = 0
    }
    const at = this.used
    this.used += length
    this.block.writeUInt32LE(metaBytes, at)
    this.block.writeUInt32LE(payloadBytes, at + 4)
    this.block.writeUInt32LE(kind, at + 8)
    this.block.writeUInt32LE(id, at + 12)
    if (!this.scheduled) {
      this.scheduled = true
      this.defer(this.flush)
    }
    return at + headBytes
  }

  /** Adds payload to the frame begun last, without a copy: the bytes must not change before the other side has answered. */
  payload(bytes: Uint8Array): void {
    this.seal()
    if (bytes.length > 0) this.pieces.push(bytes)
  }

  /** A control message. */
  control(id: number, message: object): void {
    const text = Buffer.from(JSON.stringify(message))
    const at = this.begin(controlKind, id, text.length, 0)
    text.copy(this.block, at)
  }

  /** Writes what is collected. Happens by itself at the end of the turn. */
  readonly flush = (): void => {
    this.scheduled = false
    this.seal()
    const { pieces, sink } = this
    if (pieces.length === 0) return
    this.pieces = []
    if (sink.destroyed) return
    if (pieces.length === 1) {
      sink.write(pieces[0]!)
      return
    }
    sink.cork()
    for (const piece of pieces) sink.write(piece)
    sink.uncork()
  }

  private seal(): void {
    if (this.used > this.sent) this.pieces.push(this.block.subarray(this.sent, this.used))
    this.sent = this.used
  }
}
