/**
 * Plain infer requests are read from the socket, all others by node:http. The oracle of the first is the second: a server that counts requests
 * per connection leaves all to node:http, and both must answer the same bytes with the same bytes, however these are cut on their way.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as fc from "fast-check"
import { connect } from "node:net"
import { gzipSync } from "node:zlib"
import { readHead } from "../../src/server/internal/requestHead.js"
import { makeFakes } from "../support/fakeServices.js"
import { digits, startServer } from "../support/server.js"

/**
 * Sends the pieces one by one and reads to the end; what changes from second to second is taken out. The last request waits for the answers
 * before it: what node:http cannot read behind an unanswered request cuts the connection, while ours is not there yet.
 */
const exchange = (port: number, asked: number, requests: ReadonlyArray<Buffer>, last: ReadonlyArray<Buffer>): Promise<string> =>
  new Promise((resolve, reject) => {
    let text = ""
    const socket = connect({ port, host: "127.0.0.1", noDelay: true }, () => {
      const pieces = [...requests, ...last]
      const next = (i: number): void => {
        if (i === pieces.length || socket.destroyed) return
        if (i === requests.length && text.split("HTTP/1.1 ").length <= asked) return void setTimeout(next, 5, i)
        socket.write(pieces[i]!)
        setTimeout(next, 2, i + 1)
      }
      next(0)
    })
    socket.setTimeout(10_000, () => socket.destroy(new Error(`no end after ${text}`)))
    socket.on("data", (chunk: Buffer) => {
      text += chunk.toString("latin1")
    })
    socket.on("error", reject)
    socket.on("close", () => resolve(text.replace(/Date: [^\r]*\r\n/g, "")))
  })

const post = (path: string, headers: ReadonlyArray<string>, body: Buffer | string): Buffer => {
  const bytes = Buffer.from(body)
  return Buffer.concat([
    Buffer.from(`POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: ${bytes.length}\r\n${headers.map((h) => `${h}\r\n`).join("")}\r\n`), bytes
  ])
}

const infer = "/v2/models/digits/infer"
const good = digits([1, 2, 3, 4, 5, 6])
const json = JSON.stringify({
  parameters: { binary_data_output: true },
  inputs: [{ name: "input", shape: [1, 2, 3], datatype: "FP32", parameters: { binary_data_size: 24 } }]
})
const floats = Buffer.from(Float32Array.of(1, 2, 3, 4, 5, 6).buffer)
const binary = (bytes = floats, headerBytes = json.length, more: ReadonlyArray<string> = []): Buffer =>
  post(infer, [`Inference-Header-Content-Length: ${headerBytes}`, ...more], Buffer.concat([Buffer.from(json), bytes]))

const chunked = Buffer.from(`POST ${infer} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n${good.length.toString(16)}\r\n${good}\r\n0\r\n\r\n`)

/** Requests after which the connection goes on. */
const going: ReadonlyArray<Buffer> = [
  post(infer, [], good),
  post(infer, ["Connection: keep-alive", "Content-Type: application/json"], good),
  post(`${infer}?x=1`, ["X-Odd:", "accept-encoding: gzip;q=0"], digits([1, 2, 3, 4, 5, 6], { id: "ü" })),
  post("/v2/models/digits/versions/1/infer", [], good),
  post("/v2/models/a%20b%2F%C3%BC/infer", [], JSON.stringify({ inputs: [{ name: "x", shape: [1], datatype: "FP32", data: [2.5] }] })),
  binary(),
  post(infer, ["Inference-Header-Content-Length: 0"], floats),
  // Wrong, and said so.
  post(infer, [], "{"),
  post(infer, [], digits([1, 2])),
  post("/v2/models/nobody/infer", [], good),
  post("/v2/models/digits/versions/7/infer", [], good),
  post(infer, ["Inference-Header-Content-Length: 5000"], good),
  post(infer, ["Inference-Header-Content-Length: x"], good),
  post(infer, ["Content-Encoding: br"], good),
  binary(Buffer.concat([floats, floats])),
  post(infer, [], ""),
  // Not plain, and fine.
  chunked,
  post(infer, ["Content-Encoding: gzip"], gzipSync(good)),
  post(infer, ["X-Padded:   v  "], good),
  post(infer, ["X-Twice: a", "X-Twice: b"], good),
  Buffer.from("GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n"),
  Buffer.from("HEAD /v2 HTTP/1.1\r\nHost: x\r\n\r\n")
]

/** Requests that end it. */
const ending: ReadonlyArray<Buffer> = [
  Buffer.from("GET /v2/health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
  post(infer, ["Connection: close"], good),
  Buffer.from("GARBAGE\r\n\r\n"),
  post(infer, ["Content-Length: 5"], good),
  post(infer, ["Transfer-Encoding: chunked"], good),
  post(infer, ["X-Bad\u0001: v"], good),
  post(infer, ["X-Folded: a\r\n b", "Connection: close"], good),
  post(infer, ["Content-Length : 3"], good),
  Buffer.from(`POST ${infer} HTTP/1.1\r\nHost: x\r\nContent-Length: +5\r\n\r\nhello`),
  Buffer.from(`POST ${infer} HTTP/1.1\r\nHost: x\r\nContent-Length: 5, 5\r\n\r\nhello`),
  Buffer.from(`POST ${infer} HTTP/1.1\nHost: x\nContent-Length: 5\n\nhello`),
  Buffer.from(`POST ${infer} HTTP/1.0\r\nHost: x\r\nContent-Length: ${good.length}\r\n\r\n${good}`)
]

const cut = (bytes: Buffer, at: ReadonlyArray<number>): ReadonlyArray<Buffer> => {
  const places = [...new Set(at.map((part) => Math.floor(part * bytes.length)))].sort((a, b) => a - b)
  return [0, ...places].map((start, i) => bytes.subarray(start, places[i] ?? bytes.length)).filter((piece) => piece.length > 0)
}

describe("requests read from the socket", () => {
  it.scopedLive("are answered as node:http's are, whatever comes before and behind them and however they are cut", () =>
    Effect.gen(function*() {
      const direct = makeFakes()
      const plain = makeFakes()
      const ours = yield* startServer(direct)
      const oracle = yield* startServer(plain, { maxRequestsPerConnection: 1_000_000 })
      const pieces = fc.record({
        requests: fc.array(fc.constantFrom(...going), { maxLength: 3 }),
        last: fc.constantFrom(...ending),
        cuts: fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 4 })
      }).map(({ cuts, last, requests }) => [requests.length, cut(Buffer.concat(requests), cuts), cut(last, cuts)] as const)
      yield* Effect.promise(() =>
        fc.assert(
          fc.asyncProperty(pieces, async (sent) => {
            const [mine, expected] = await Promise.all([exchange(ours.port, ...sent), exchange(oracle.port, ...sent)])
            assert.strictEqual(mine.replace(/timeout=\d+(, max=\d+)?/g, "timeout"), expected.replace(/timeout=\d+(, max=\d+)?/g, "timeout"))
          }),
          { numRuns: 300, seed: 11 }
        ))
      assert.strictEqual(direct.arena.usedBytes(), 0)
      assert.strictEqual(direct.seen.length, plain.seen.length)
    }), 120_000)

  it("are those of which no two parsers can differ on where they end", () => {
    const plain = going.filter((bytes) => readHead(bytes, 1e6) !== undefined)
    // All of the first kind, and those of the second whose heads are plain.
    assert.isAtLeast(plain.length, 9)
    for (const bytes of [...ending, chunked]) assert.isUndefined(readHead(bytes, 1e6), bytes.toString())
    for (const header of [
      "Transfer-Encoding: identity", "Expect: 100-continue", "Upgrade: h2c", "Connection: keep-alive, upgrade", "Content-Encoding: gzip",
      "X: \u0000", "X: a\rb", "X: a\nb", "X: \u00e9", " X: a", "X : a", "X: a ", "X:\ta", ": a", "Content-Length: 1"
    ]) {
      assert.isUndefined(readHead(post(infer, [header], good), 1e6), header)
    }
    assert.isUndefined(readHead(post(infer, [], good), good.length - 1), "too large")
    const head = readHead(post(infer, ["Accept-Encoding: gzip"], good), 1e6)!
    assert.strictEqual(head.acceptEncoding, "gzip")
    assert.deepStrictEqual(head.target, { name: "digits", version: undefined })
    assert.deepStrictEqual(head.body, { contentLength: good.length, encoding: "identity", jsonBytes: undefined })
  })
})
