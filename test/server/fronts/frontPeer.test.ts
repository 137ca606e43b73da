/** The agent's end of a front's link: whose memory it may give away when, and what it makes of a front that talks nonsense. */
import { assert, describe, it } from "@effect/vitest"
import { Duplex } from "node:stream"
import { setTimeout as sleep } from "node:timers/promises"
import { makeSegmentArena } from "../../../src/core/internal/segmentArena.js"
import type { InferRequest, RequestEnd } from "../../../src/core/Request.js"
import { RequestCanceled } from "../../../src/core/RequestError.js"
import { makeSlotLayout } from "../../../src/core/SlotLayout.js"
import { FrameWriter } from "../../../src/link/frameWriter.js"
import { FrontPeer } from "../../../src/server/fronts/frontPeer.js"
import { writeOffer } from "../../../src/server/fronts/offerCodec.js"
import { FrontFrame } from "../../../src/server/fronts/protocol.js"
import { PublishedModels } from "../../../src/server/fronts/publishedModels.js"
import type { SharedRegion, SharedRegions } from "../../../src/server/internal/sharedRegions.js"
import type { CatalogEntry } from "../../../src/server/ModelCatalog.js"
import { modelOf } from "../../support/fakeServices.js"

const model = modelOf({ name: "digits", batchSymbol: "n", inputs: [["x", "FP32", ["n"]]] })

const setUp = (regions?: Pick<SharedRegions, "numbered">) => {
  const memory = new ArrayBuffer(1 << 20)
  const arena = makeSegmentArena(memory, { fd: 0 })
  const part = arena.shared!.lend(1 << 16)!
  const offered: Array<{ readonly request: InferRequest; readonly onEnd: (end: RequestEnd) => void; canceled: number }> = []
  const refused: Array<string> = []
  const responses = new Map<number, number>()
  const malformed: Array<string> = []
  let entry: CatalogEntry = { model, layout: makeSlotLayout(model.signature), config: {}, state: "READY" }
  const models = new PublishedModels({ find: () => entry, index: () => [{ name: model.name, state: "READY", reason: "" }] }, () => {})
  models.sync()
  const written: Array<Buffer> = []
  const stream = new Duplex({ read: () => {}, write: (chunk: Buffer, _, done) => { written.push(Buffer.from(chunk)); done() } })
  const peer = new FrontPeer(stream, {
    scheduler: {
      offer: (request, onEnd) => {
        const one = { request, onEnd, canceled: 0 }
        offered.push(one)
        return () => one.canceled++
      },
      refusedUnread: (name, arrivedMs, { reason }) => refused.push(`${name} ${arrivedMs} ${reason}`)
    },
    metrics: { droppedAtFront: () => {}, responded: (status, count = 1) => responses.set(status, (responses.get(status) ?? 0) + count) },
    models, memory, part, regions,
    onOffered: () => {}, onReady: () => {}, onTaken: () => {}, onDefect: () => {}, onMalformed: ({ message }) => malformed.push(message)
  })
  /** As the front would write it. */
  const send = (write: (writer: FrameWriter) => void): void => {
    const chunks: Array<Buffer> = []
    const writer = new FrameWriter(new Duplex({ write: (chunk: Buffer, _, done) => { chunks.push(chunk); done() } }), () => {})
    write(writer)
    writer.flush()
    for (const chunk of chunks) stream.emit("data", chunk)
  }
  const offer = (id: number, number = 1, offset = part.offset, direct?: InferRequest["direct"]) =>
    send((writer) => writeOffer(writer, id, number, { ...(direct === undefined ? {} : { direct }), model: model.name, items: 1, bindings: [], arrivedAtMs: 7, slot: { offset, bytes: new Uint8Array(1024), release: () => {} } }))
  return { arena, part, peer, offered, refused, responses, malformed, written, send, offer, replace: (next: CatalogEntry) => { entry = next } }
}

describe("the agent's end of a link", () => {
  it("holds the regions of a request's tensors until it ends, and takes none in regions that glets do not know any more", () => {
    let held = 0
    const region = { retain: () => held++, release: () => held-- } as unknown as SharedRegion
    const { offer, offered, peer, written } = setUp({ numbered: (number) => (number === 7 ? region : undefined) })
    const tensor = (number: number) => ({ side: "inputs", index: 0, region: number, position: 64 }) as const
    offer(1, 1, undefined, [tensor(7), tensor(7)])
    assert.strictEqual(held, 2)
    assert.deepStrictEqual(offered[0]!.request.direct, [tensor(7), tensor(7)])
    offer(2, 1, undefined, [tensor(7), tensor(8)])
    assert.strictEqual(held, 2)
    assert.strictEqual(offered.length, 1)
    peer.ask({ type: "ping" }, () => {})
    offered[0]!.onEnd({ ok: false, error: new RequestCanceled({ model: model.name }) })
    assert.strictEqual(held, 0)
    return new Promise<void>((resolve) => setImmediate(() => {
      assert.include(Buffer.concat(written).toString("latin1"), "was unregistered meanwhile")
      resolve()
    }))
  })

  it("gives a dead front's memory back only when the last of its requests has ended", () => {
    const { offer, offered, peer } = setUp()
    offer(1)
    offer(2)
    let idle = 0
    peer.gone(() => idle++)
    assert.deepStrictEqual(offered.map(({ canceled }) => canceled), [1, 1])
    const end: RequestEnd = { ok: false, error: new RequestCanceled({ model: model.name }) }
    offered[1]!.onEnd(end)
    assert.strictEqual(idle, 0, "a batch with the first still runs")
    offered[0]!.onEnd(end)
    assert.strictEqual(idle, 1)
    offer(3)
    assert.strictEqual(offered.length, 2, "what it sent before it died is nobody's")
  })

  it("answers requests read as an older version by what the model is now", async () => {
    const { offer, offered, replace, written } = setUp()
    const same = { ...model, version: 2 }
    replace({ model: same, layout: makeSlotLayout(same.signature), config: {}, state: "READY" })
    offer(1)
    assert.strictEqual(offered.length, 1, "its tensors are the same")
    const other = modelOf({ name: "digits", batchSymbol: "n", inputs: [["x", "FP32", ["n", 2]]] })
    replace({ model: other, layout: makeSlotLayout(other.signature), config: {}, state: "READY" })
    offer(2)
    offer(3, 99)
    assert.strictEqual(offered.length, 1, "they are not, and this one never was")
    await sleep(1)
    assert.strictEqual(Buffer.concat(written).toString("latin1").split("ModelNotFound").length, 3)
  })

  it("counts refusals and responses, and what is held", () => {
    const { arena, part, peer, refused, responses, send } = setUp()
    send((writer) => {
      const at = writer.begin(FrontFrame.refused, 0, 32, 0)
      for (const [i, reason] of [1, 0].entries()) {
        writer.buffer.writeUInt32LE(1, at + 16 * i)
        writer.buffer.writeUInt32LE(reason, at + 16 * i + 4)
        writer.buffer.writeDoubleLE(10 + i, at + 16 * i + 8)
      }
      const counts = writer.begin(FrontFrame.counts, 0, 24, 0)
      writer.buffer.writeUInt32LE(0, counts)
      writer.buffer.writeUInt32LE(0, counts + 4)
      writer.buffer.writeDoubleLE(4096, counts + 8)
      writer.buffer.writeUInt32LE(429, counts + 16)
      writer.buffer.writeUInt32LE(2, counts + 20)
    })
    assert.deepStrictEqual(refused, ["digits 10 deadline-unreachable", "digits 11 queue-full"])
    assert.deepStrictEqual([...responses], [[429, 2]])
    assert.strictEqual(peer.recentAnswers, 2)
    peer.fade()
    assert.strictEqual(peer.recentAnswers, 1, "it is the less the longer ago")
    assert.strictEqual(arena.usedBytes(), 4096)
    part.release()
    assert.strictEqual(arena.usedBytes(), 0)
  })

  it("reports what no front sends", () => {
    const { malformed, offer, part, send } = setUp()
    offer(1, 1, part.offset + part.byteLength)
    offer(5)
    offer(5)
    send((writer) => writer.begin(99, 0, 0, 0))
    send((writer) => writer.begin(FrontFrame.refused, 0, 5, 0))
    send((writer) => writer.begin(FrontFrame.counts, 0, 5, 0))
    assert.strictEqual(malformed.length, 5, malformed.join("; "))
  })
})
