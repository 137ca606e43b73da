/** What crosses between agent and front says the same on both sides, however it is cut into chunks. */
import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { Writable } from "node:stream"
import type { ModelName } from "../../../src/core/Ids.js"
import type { InferRequest, RequestEnd } from "../../../src/core/Request.js"
import { ExecutionFailed, InvalidRequest, ModelNotFound, ModelUnavailable, RequestCanceled, RequestDropped } from "../../../src/core/RequestError.js"
import { FrontModel } from "../../../src/front/FrontModels.js"
import { makeFrameReader, MalformedFrame } from "../../../src/link/frameReader.js"
import { FrameWriter } from "../../../src/link/frameWriter.js"
import { readEnd, writeEnd } from "../../../src/server/fronts/endCodec.js"
import { readOffer, writeOffer } from "../../../src/server/fronts/offerCodec.js"
import type { AnswerEnd } from "../../../src/server/internal/inferContext.js"
import { modelOf } from "../../support/fakeServices.js"

const name = "digits" as ModelName
const model = new FrontModel(1, 0, modelOf({ name, batchSymbol: "n", inputs: [["x", "FP32", ["n"]]] }))

/** The bytes of what is written. */
const written = (write: (writer: FrameWriter) => void): Buffer => {
  const chunks: Array<Buffer> = []
  const writer = new FrameWriter(new Writable({ write: (chunk: Buffer, _, done) => { chunks.push(Buffer.from(chunk)); done() } }), () => {})
  write(writer)
  writer.flush()
  return Buffer.concat(chunks)
}

/** Reads frames that come in pieces of so many bytes. */
const read = (bytes: Buffer, size: number, frame: (id: number, bytes: Buffer, start: number, end: number) => ReadonlyArray<Uint8Array>): void => {
  const take = makeFrameReader({ frame: (_, id, bytes, start, end) => frame(id, bytes, start, end), payloadComplete: () => {} })
  for (let at = 0; at < bytes.length; at += size) take(Buffer.from(bytes.subarray(at, at + size)))
}

const memory = new ArrayBuffer(1 << 16)
const part = { offset: 4096, byteLength: 8192 }

const request: fc.Arbitrary<InferRequest> = fc.record({
  model: fc.constant(name),
  slot: fc.record({ at: fc.integer({ min: 0, max: 63 }), units: fc.integer({ min: 1, max: 64 }) }).map(({ at, units }) => {
    const offset = part.offset + 64 * at
    return { offset, bytes: new Uint8Array(memory, offset, 64 * units), release: () => {} }
  }),
  items: fc.integer({ min: 1, max: 65536 }),
  bindings: fc.array(fc.integer({ min: 1, max: 0x7fffffff }), { maxLength: 4 }),
  arrivedAtMs: fc.double({ min: 0, max: 1e13, noNaN: true }),
  timeoutMs: fc.double({ min: 0, max: 1e9, noNaN: true }),
  priority: fc.nat(0xffffffff),
  serviceClass: fc.constant("best-effort" as const),
  direct: fc.array(fc.record({
    side: fc.constantFrom("inputs" as const, "outputs" as const), index: fc.nat(7), region: fc.nat(0xffffffff), position: fc.maxSafeNat()
  }), { minLength: 1, maxLength: 4 }),
  id: fc.string({ minLength: 1, maxLength: 80, unit: "grapheme-composite" })
}, { requiredKeys: ["model", "slot", "items", "bindings", "arrivedAtMs"] })

describe("offers", () => {
  it("say the same on both sides", () => {
    fc.assert(fc.property(fc.array(request, { minLength: 1, maxLength: 5 }), fc.integer({ min: 1, max: 300 }), (requests, size) => {
      const bytes = written((writer) => requests.forEach((one, i) => writeOffer(writer, i + 1, 100 + i, one)))
      const seen: Array<number> = []
      read(bytes, size, (id, bytes, start, end) => {
        const sent = requests[id - 1]!
        const offer = readOffer(memory, part, bytes, start, end)
        assert.deepStrictEqual(
          { items: offer.items, bindings: offer.bindings, at: offer.arrivedAtMs, timeout: offer.timeoutMs, priority: offer.priority, class: offer.serviceClass, direct: offer.direct, number: offer.number },
          { items: sent.items, bindings: sent.bindings, at: sent.arrivedAtMs!, timeout: sent.timeoutMs, priority: sent.priority, class: sent.serviceClass, direct: sent.direct, number: 99 + id }
        )
        assert.strictEqual(offer.slot.offset, sent.slot.offset)
        assert.strictEqual(offer.slot.bytes.length, sent.slot.bytes.length)
        // A long one is cut.
        assert.isTrue(sent.id === undefined ? offer.id === undefined : sent.id.startsWith(offer.id!.replace(/\ufffd+$/, "")))
        seen.push(id)
        return []
      })
      assert.deepStrictEqual(seen, requests.map((_, i) => i + 1))
    }))
  })

  it("with slots outside their front's part, or of another length, are malformed", () => {
    const offer = (offset: number, byteLength: number, cut = 0, direct?: InferRequest["direct"]) => {
      const bytes = written((writer) => writeOffer(writer, 1, 1, {
        ...(direct === undefined ? {} : { direct }), model: name, items: 1, bindings: [7], slot: { offset, bytes: new Uint8Array(byteLength), release: () => {} }
      }))
      return () => readOffer(memory, part, bytes, 16, bytes.length - cut)
    }
    offer(part.offset, part.byteLength)()
    for (const wrong of [offer(0, 64), offer(part.offset - 64, 128), offer(part.offset, part.byteLength + 64), offer(2 ** 37, 64), offer(part.offset, 64, 1), offer(part.offset, 64, 40), offer(part.offset, 64, 20, [{ side: "inputs", index: 0, region: 1, position: 0 }])]) {
      assert.throws(wrong, MalformedFrame)
    }
  })
})

const end: fc.Arbitrary<RequestEnd> = fc.oneof(
  fc.record({
    // Of up to 15 digits, as the repository takes them.
    version: fc.integer({ min: 1, max: 999_999_999_999_999 }),
    outputBindings: fc.array(fc.integer({ min: 0, max: 0x7fffffff }), { maxLength: 3 }),
    overflow: fc.option(fc.array(fc.option(fc.uint8Array({ maxLength: 50 }), { nil: undefined }), { minLength: 1, maxLength: 3 }), { nil: undefined })
  }).map((result): RequestEnd => ({
    ok: true, result: { ...result, times: { arrivedMs: 0, queuedMs: 0, batchClosedMs: 0, startedMs: 0, endedMs: 0 }, batchItems: 1 }
  })),
  fc.oneof(
    fc.record({ reason: fc.constantFrom("queue-full" as const, "deadline-unreachable" as const, "expired" as const, "memory-full" as const), retryAfterMs: fc.double({ min: 1, max: 1e5, noNaN: true }) })
      .map((drop) => new RequestDropped({ model: name, ...drop })),
    fc.constant(new RequestCanceled({ model: name })),
    fc.string().map((detail) => new ExecutionFailed({ model: name, detail })),
    fc.string().map((detail) => new ModelUnavailable({ model: name, reason: "glet-exited", detail })),
    fc.string().map((problem) => new InvalidRequest({ field: "inputs", problem })),
    fc.constant(new ModelNotFound({ model: name, version: 2 }))
  ).map((error): RequestEnd => ({ ok: false, error }))
)

describe("ends", () => {
  it("without an answer, since tensors in the client's memory could not be moved, are the client's mistake", () => {
    const times = { arrivedMs: 0, queuedMs: 0, batchClosedMs: 0, startedMs: 0, endedMs: 0 }
    const bytes = written((writer) => writeEnd(writer, 1, {
      ok: true, result: { version: 1, times, batchItems: 1, outputBindings: [], overflow: undefined, directProblem: "was shrunk" }
    }))
    const { end } = readEnd(model, bytes, 16, bytes.length)
    assert(!end.ok && end.error._tag === "InvalidRequest")
    assert.deepStrictEqual({ field: end.error.field, problem: end.error.problem }, { field: "shared_memory_region", problem: "was shrunk" })
  })

  it("say the same on both sides", () => {
    fc.assert(fc.property(fc.array(end, { minLength: 1, maxLength: 5 }), fc.integer({ min: 1, max: 300 }), (ends, size) => {
      const bytes = written((writer) => ends.forEach((one, i) => writeEnd(writer, i, one)))
      const seen: Array<AnswerEnd> = []
      read(bytes, size, (id, bytes, start, end) => {
        const told = readEnd(model, bytes, start, end)
        assert.strictEqual(id, seen.length)
        seen.push(told.end)
        return told.places
      })
      assert.strictEqual(seen.length, ends.length)
      ends.forEach((sent, i) => {
        const told = seen[i]!
        if (sent.ok && told.ok) {
          assert.strictEqual(told.result.version, sent.result.version)
          assert.deepStrictEqual(told.result.outputBindings, sent.result.outputBindings)
          assert.deepStrictEqual(told.result.overflow, sent.result.overflow)
        } else if (!sent.ok && !told.ok) {
          assert.strictEqual(told.error._tag, sent.error._tag)
          assert.strictEqual(told.error.message, sent.error.message)
          assert.deepStrictEqual({ ...told.error }, { ...sent.error })
        } else assert.fail("one failed, the other did not")
      })
    }))
  })
})
