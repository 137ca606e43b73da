import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { Writable } from "node:stream"
import type { FrameSink } from "../../src/link/frameReader.js"
import { makeFrameReader, MalformedFrame } from "../../src/link/frameReader.js"
import { FrameWriter } from "../../src/link/frameWriter.js"
import { maxMetaBytes } from "../../src/link/frame.js"

interface Frame {
  readonly kind: number
  readonly id: number
  readonly meta: Uint8Array
  readonly payload: ReadonlyArray<Uint8Array>
}

const bytes = (maxLength: number) => fc.uint8Array({ maxLength })
const frame: fc.Arbitrary<Frame> = fc.record({
  kind: fc.integer({ min: 1, max: 3 }),
  id: fc.integer({ min: 0, max: 0xffffffff }),
  meta: fc.oneof({ weight: 5, arbitrary: bytes(60) }, { weight: 1, arbitrary: fc.integer({ min: 4000, max: 70_000 }).map((n) => new Uint8Array(n).fill(n)) }),
  payload: fc.array(bytes(3000), { maxLength: 3 })
})

/** Writes frames, a flush at each turn given; answers everything that was written. */
const written = (frames: ReadonlyArray<Frame>, flushAfter: ReadonlySet<number>): Buffer => {
  const chunks: Array<Buffer> = []
  const stream = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      chunks.push(chunk)
      done()
    }
  })
  const writer = new FrameWriter(stream)
  frames.forEach(({ id, kind, meta, payload }, i) => {
    const at = writer.begin(kind, id, meta.length, payload.reduce((sum, piece) => sum + piece.length, 0))
    writer.buffer.set(meta, at)
    for (const piece of payload) writer.payload(piece)
    if (flushAfter.has(i)) writer.flush()
  })
  writer.flush()
  return Buffer.concat(chunks)
}

/** A sink that keeps frames; payloads go into pieces of odd sizes. */
const keeper = () => {
  const frames: Array<{ kind: number; id: number; meta: Uint8Array; pieces: ReadonlyArray<Uint8Array>; complete: boolean }> = []
  const sink: FrameSink = {
    frame: (kind, id, source, start, end, payloadBytes) => {
      const pieces: Array<Uint8Array> = []
      for (let left = payloadBytes; left > 0;) {
        const size = Math.min(left, 1 + (payloadBytes % 97))
        pieces.push(new Uint8Array(size))
        left -= size
      }
      frames.push({ kind, id, meta: Uint8Array.prototype.slice.call(source, start, end), pieces, complete: payloadBytes === 0 })
      return pieces
    },
    payloadComplete: () => {
      const last = frames.at(-1)!
      assert.isFalse(last.complete)
      last.complete = true
    }
  }
  return { frames, sink }
}

describe("frames", () => {
  it("come out as they went in, however the stream is cut", () => {
    fc.assert(fc.property(fc.array(frame, { maxLength: 12 }), fc.array(fc.integer({ min: 1, max: 5000 }), { minLength: 1, maxLength: 30 }), fc.array(fc.nat(12)), (frames, cuts, flushes) => {
      const stream = written(frames, new Set(flushes))
      const { frames: read, sink } = keeper()
      const push = makeFrameReader(sink)
      for (let at = 0, i = 0; at < stream.length; i++) {
        const size = cuts[i % cuts.length]!
        // A chunk's memory is used again for the next one, as the runner's is.
        const chunk = Buffer.from(stream.subarray(at, at + size))
        push(chunk)
        chunk.fill(0xee)
        at += size
      }
      assert.strictEqual(read.length, frames.length)
      frames.forEach((expected, i) => {
        const { complete, id, kind, meta, pieces } = read[i]!
        assert.isTrue(complete)
        assert.strictEqual(kind, expected.kind)
        assert.strictEqual(id, expected.id)
        assert.isTrue(Buffer.from(meta).equals(expected.meta))
        assert.isTrue(Buffer.concat(pieces).equals(Buffer.concat(expected.payload)))
      })
    }))
  })

  it("are refused where they announce more than is allowed, or room and payload differ", () => {
    const head = (metaBytes: number, payloadBytes: number): Buffer => {
      const at = Buffer.alloc(16)
      at.writeUInt32LE(metaBytes, 0)
      at.writeUInt32LE(payloadBytes, 4)
      return at
    }
    const sink: FrameSink = { frame: () => [new Uint8Array(3)], payloadComplete: () => undefined }
    assert.throws(() => makeFrameReader(sink)(head(maxMetaBytes + 1, 0)), MalformedFrame)
    assert.throws(() => makeFrameReader(sink)(head(0, 4)), MalformedFrame)
  })

  it("of one turn are one write", async () => {
    let writes = 0
    const stream = new Writable({
      write: (_chunk, _encoding, done) => {
        writes++
        done()
      }
    })
    const writer = new FrameWriter(stream)
    for (let i = 0; i < 100; i++) writer.begin(2, i, 24, 0)
    assert.strictEqual(writes, 0)
    await new Promise((resolve) => setImmediate(resolve))
    assert.strictEqual(writes, 1)
  })
})
