import { assert, describe, it } from "vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Either from "effect/Either"
import * as Effects from "effect/FastCheck"
import * as fc from "fast-check"
import {
  decodeFromNode, decodeToNode, edgeProtocol, encodeFrame, FromNode, maxFrameBytes, protocolsFor, tokenOf, ToNode
} from "../../src/edge/EdgeProtocol.js"
import { isAllowedOrigin, sameToken } from "../../src/edge/NodeUpgrades.js"
import { edgeAddress } from "../../src/dev/Lending.js"

const bytes = fc.uint8Array({ maxLength: 300 })

describe("EdgeProtocol", () => {
  it("reads what it wrote, with the payload in one piece", () => {
    Effects.assert(Effects.property(Arbitrary.make(ToNode), Effects.array(Effects.uint8Array({ maxLength: 100 }), { maxLength: 3 }), (header, payload) => {
      const read = Either.getOrThrow(decodeToNode(encodeFrame(header, payload), maxFrameBytes))
      assert.deepStrictEqual(read.header, header)
      assert.deepStrictEqual([...read.payload], payload.flatMap((part) => [...part]))
    }))
    Effects.assert(Effects.property(Arbitrary.make(FromNode), Effects.uint8Array({ maxLength: 300 }), (header, payload) => {
      const read = Either.getOrThrow(decodeFromNode(encodeFrame(header, [payload]), maxFrameBytes))
      assert.deepStrictEqual(read.header, header)
      assert.deepStrictEqual([...read.payload], [...payload])
    }))
  })

  it("says what is wrong with anything else, and never throws", () => {
    fc.assert(fc.property(bytes, (frame) => {
      assert.isAtMost(Either.getOrThrow(Either.flip(decodeFromNode(frame, maxFrameBytes))).length, 300)
      assert.isAtMost(Either.getOrThrow(Either.flip(decodeToNode(frame, maxFrameBytes))).length, 300)
    }))
    // One byte of a good frame is another.
    const good = encodeFrame({ t: "pong", id: 7 })
    fc.assert(fc.property(fc.nat(good.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
      const frame = good.slice()
      frame[at] = frame[at]! ^ change
      const read = decodeFromNode(frame, maxFrameBytes)
      if (Either.isRight(read)) assert.strictEqual(read.right.header.t, "pong")
    }))
    assert.match(Either.getOrThrow(Either.flip(decodeFromNode(new Uint8Array(100), 50))), /100 bytes; 50 are allowed/)
    assert.isTrue(Either.isLeft(decodeFromNode(encodeFrame({ t: "hello", name: "Not A Name", device: "", memoryBytes: 1, sharesPct: [100] }), maxFrameBytes)))
  })

  it("carries any token as a subprotocol, and only with the protocol", () => {
    fc.assert(fc.property(fc.string({ minLength: 1, maxLength: 100, unit: "binary" }), (token) => {
      const protocols = protocolsFor(token)
      // What RFC 6455 lets a subprotocol be.
      for (const one of protocols) assert.match(one, /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/)
      assert.strictEqual(tokenOf(protocols.join(", ")), token)
      assert.isUndefined(tokenOf(protocols[1]))
    }))
    for (const none of [undefined, "", edgeProtocol, `${edgeProtocol}, token.`, `${edgeProtocol}, token.zz`, `${edgeProtocol}, token.${"0".repeat(4000)}`]) assert.isUndefined(tokenOf(none))
  })

  it("compares tokens of any length, and knows its own machine's pages", () => {
    fc.assert(fc.property(fc.string(), fc.string(), (a, b) => {
      assert.strictEqual(sameToken(a, b), a === b)
      assert.isTrue(sameToken(a, a))
    }))
    for (const origin of [undefined, "http://localhost:4840", "http://127.0.0.1", "https://[::1]:99", "https://example.org"]) {
      assert.isTrue(isAllowedOrigin(origin, ["https://example.org"]), String(origin))
    }
    for (const origin of ["null", "", "http://example.org", "https://example.org.evil.net", "http://localhost.evil.net", "http://127.0.0.1.evil.net:80", "http://localhost:4840/x"]) {
      assert.isFalse(isAllowedOrigin(origin, ["https://example.org"]), origin)
    }
  })

  it("finds the address of a server however it is written", () => {
    for (const url of ["http://127.0.0.1:8000", "127.0.0.1:8000", "ws://127.0.0.1:8000/", "http://127.0.0.1:8000/any?path"]) {
      assert.strictEqual(Either.getOrThrow(edgeAddress(url)), "ws://127.0.0.1:8000/glet/v1alpha1/edge")
    }
    assert.strictEqual(Either.getOrThrow(edgeAddress("https://example.org")), "wss://example.org/glet/v1alpha1/edge")
    for (const url of ["", "http://", "ftp://example.org", "javascript:alert(1)", "a b"]) assert.isTrue(Either.isLeft(edgeAddress(url)), url)
  })
})
