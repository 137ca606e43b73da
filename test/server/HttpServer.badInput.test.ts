import { afterAll, assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as fc from "fast-check"
import { gzipSync } from "node:zlib"
import { call, rawExchange } from "../support/http.js"
import { digits, freed, places } from "../support/server.js"

const infer = "/v2/models/digits/infer"
const six = [1, 2, 3, 4, 5, 6]
const good = digits(six)

const input = (change: object): string =>
  JSON.stringify({ inputs: [{ name: "input", shape: [1, 2, 3], datatype: "FP32", data: six, ...change }] })

const binary = (change: object, bytes: number): { readonly body: Buffer; readonly headers: Record<string, string> } => {
  const head = Buffer.from(JSON.stringify({
    inputs: [{ name: "input", shape: [1, 2, 3], datatype: "FP32", parameters: { binary_data_size: 24 }, ...change }]
  }))
  return { body: Buffer.concat([head, Buffer.alloc(bytes)]), headers: { "Inference-Header-Content-Length": String(head.length) } }
}

/** Name of the case, what is sent, and what the error must name. */
const bodies: ReadonlyArray<readonly [name: string, body: string | Buffer, field: string]> = [
  ["empty", "", "body"],
  ["not JSON", "{\"inputs\": [}", "body"],
  ["cut off", good.slice(0, -3), "body"],
  ["trailing garbage", `${good}x`, "body"],
  ["not UTF-8", Buffer.from([0x7b, 0xff, 0xfe, 0x7d]), "body"],
  ["an array", "[]", "body"],
  ["null", "null", "body"],
  ["no inputs", "{}", "inputs"],
  ["inputs is an object", "{\"inputs\":{}}", "inputs"],
  ["no input in inputs", "{\"inputs\":[]}", "inputs"],
  ["an input that is a number", "{\"inputs\":[3]}", "inputs[0]"],
  ["wrong name", input({ name: "inptu" }), "inputs[0].name"],
  ["name is a number", input({ name: 5 }), "inputs[0].name"],
  ["name is __proto__", input({ name: "__proto__" }), "inputs[0].name"],
  ["name is constructor", input({ name: "constructor" }), "inputs[0].name"],
  ["twice the same input", `{"inputs":[${good.slice(11, -2)},${good.slice(11, -2)}]}`, "inputs[1].name"],
  ["twice inputs", `{"inputs":[],"inputs":[]}`, "inputs"],
  ["twice data", good.replace("\"data\"", "\"data\":[1],\"data\""), "inputs[0].data"],
  ["wrong type", input({ datatype: "INT64" }), "inputs[0].datatype"],
  ["type is no name", input({ datatype: { toString: 1 } }), "inputs[0].datatype"],
  ["no shape", input({ shape: undefined }), "inputs[0].shape"],
  ["shape is text", input({ shape: "1,2,3" }), "inputs[0].shape"],
  ["too few dimensions", input({ shape: [2, 3] }), "inputs[0].shape"],
  ["wrong dimension", input({ shape: [1, 3, 2] }), "inputs[0].shape[1]"],
  ["negative dimension", input({ shape: [-1, 2, 3] }), "inputs[0].shape[0]"],
  ["batch of none", input({ shape: [0, 2, 3], data: [] }), "inputs[0].shape[0]"],
  ["fractional dimension", input({ shape: [1.5, 2, 3] }), "inputs[0].shape[0]"],
  ["huge dimension", input({ shape: [1e15, 2, 3] }), "inputs[0].shape[0]"],
  ["infinite dimension", good.replace("[1,2,3]", "[1e999,2,3]"), "inputs[0].shape[0]"],
  ["dimension is null", input({ shape: [null, 2, 3] }), "inputs[0].shape[0]"],
  ["batch above the maximum", input({ shape: [9, 2, 3] }), "inputs[0].shape[0]"],
  ["too few elements", input({ data: [1, 2] }), "inputs[0].data"],
  ["too many elements", input({ data: [...six, 7] }), "inputs[0].data"],
  ["no data", input({ data: undefined }), "inputs[0].data"],
  ["data is text", input({ data: "abc" }), "inputs[0].data"],
  ["data is null", input({ data: null }), "inputs[0].data"],
  ["text in data", input({ data: [1, 2, 3, 4, 5, "6"] }), "inputs[0].data[5]"],
  ["null in data", input({ data: [1, 2, null, 4, 5, 6] }), "inputs[0].data[2]"],
  ["an object in data", input({ data: [1, 2, {}, 4, 5, 6] }), "inputs[0].data[2]"],
  ["true in data", input({ data: [1, 2, true, 4, 5, 6] }), "inputs[0].data[2]"],
  ["NaN", good.replace("[1,2,3,4,5,6]", "[1,2,NaN,4,5,6]"), "inputs[0].data[2]"],
  ["-Infinity", good.replace("[1,2,3,4,5,6]", "[1,2,3,4,-Infinity,6]"), "inputs[0].data[4]"],
  ["beyond a float", good.replace("[1,2,3,4,5,6]", "[1,2,3,4,1e39,6]"), "inputs[0].data[4]"],
  ["leading zero", good.replace("[1,2,3,4,5,6]", "[1,2,3,4,05,6]"), "inputs[0].data[4]"],
  ["comma at the end", good.replace("[1,2,3,4,5,6]", "[1,2,3,4,5,6,]"), "inputs[0].data[6]"],
  ["two commas", good.replace("[1,2,3,4,5,6]", "[1,2,,3,4,5,6]"), "inputs[0].data[2]"],
  ["nested otherwise than the shape", input({ data: [[1, 2], [3, 4], [5, 6]] }), "inputs[0].data"],
  ["nested unevenly", input({ data: [[[1, 2, 3, 4], [5, 6]]] }), "inputs[0].data"],
  ["data not closed", good.slice(0, -4), "body"],
  ["id is a number", digits(six, { id: 7 }), "id"],
  ["parameters is an array", digits(six, { parameters: [] }), "parameters"],
  ["timeout is text", digits(six, { parameters: { timeout: "1" } }), "parameters.timeout"],
  ["timeout is negative", digits(six, { parameters: { timeout: -1 } }), "parameters.timeout"],
  ["service-class is none", digits(six, { parameters: { "service-class": "cheap" } }), "parameters.service-class"],
  ["priority is a fraction", digits(six, { parameters: { priority: 0.5 } }), "parameters.priority"],
  ["unknown output", digits(six, { outputs: [{ name: "logits" }] }), "outputs[0].name"],
  ["twice the same output", digits(six, { outputs: [{ name: "out_input" }, { name: "out_input" }] }), "outputs[1].name"],
  ["binary_data is text", digits(six, { outputs: [{ name: "out_input", parameters: { binary_data: "yes" } }] }), "outputs[0].parameters.binary_data"],
  ["binary size without the header", input({ data: undefined, parameters: { binary_data_size: 24 } }), "inputs[0].parameters.binary_data_size"],
  ["data and a binary size", input({ parameters: { binary_data_size: 24 } }), "inputs[0].data"]
]

describe.each(places)("bad input, read $where", ({ makeFakes, startServer }) => {
  // One server for all that needs no settings of its own: whatever it was sent before, it answers as ever. Its fronts take a second to start.
  const scope = Effect.runSync(Scope.make())
  const server = Effect.runSync(Effect.cached(Effect.suspend(() => {
    const fakes = makeFakes()
    return Effect.map(Scope.extend(startServer(fakes), scope), ({ port }) => ({ fakes, port }))
  })))
  afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))

  it.scopedLive("every malformed JSON body is a 400 that names the field, and nothing is held", () =>
    Effect.gen(function*() {
      const { fakes, port } = yield* server
      const seen = fakes.seen.length
      for (const [name, body, field] of bodies) {
        const answer = yield* Effect.promise(() => call(port, { path: infer, body }))
        assert.strictEqual(answer.status, 400, `${name}: ${answer.body.toString()}`)
        assert.isTrue(String(answer.json.error).startsWith(`${field}:`), `${name}: ${answer.json.error}`)
      }
      assert.strictEqual(fakes.seen.length, seen)
      yield* Effect.promise(() => freed(fakes))
      const after = yield* Effect.promise(() => call(port, { path: infer, body: good }))
      assert.strictEqual(after.status, 200)
    }))

  it.scopedLive("several inputs: one missing, sizes that contradict each other, integers that do not fit", () =>
    Effect.gen(function*() {
      const { fakes, port } = yield* server
      const ids = { name: "ids", shape: [1, 2], datatype: "INT64", data: [1, 2] }
      const mask = { name: "mask", shape: [1, 2], datatype: "BOOL", data: [1, 0] }
      const cases: ReadonlyArray<readonly [ReadonlyArray<object>, string]> = [
        [[ids], "inputs: input \"mask\" is missing"],
        [[ids, { ...mask, shape: [1, 3], data: [1, 0, 1] }], "inputs[1].shape[1]"],
        [[ids, { ...mask, shape: [2, 2], data: [1, 0, 1, 0] }], "inputs[1].shape[0]"],
        [[{ ...ids, data: [1, 1.5] }, mask], "inputs[0].data[1]"],
        [[ids, { ...mask, data: [1, 2] }], "inputs[1].data[1]"],
        [[{ ...ids, shape: [1, 2_000_000_000] }, mask], "inputs[0].data"]
      ]
      for (const [inputs, expected] of cases) {
        const answer = yield* Effect.promise(() => call(port, { path: "/v2/models/text/infer", body: JSON.stringify({ inputs }) }))
        assert.strictEqual(answer.status, 400)
        assert.isTrue(String(answer.json.error).startsWith(expected), answer.json.error)
      }
      for (const number of ["9223372036854775808", "-9223372036854775809", "1" + "0".repeat(60)]) {
        const body = JSON.stringify({ inputs: [ids, mask] }).replace("\"data\":[1,2]", `"data":[1,${number}]`)
        const answer = yield* Effect.promise(() => call(port, { path: "/v2/models/text/infer", body }))
        assert.strictEqual(answer.status, 400)
        assert.isTrue(String(answer.json.error).startsWith("inputs[0].data[1]:"), answer.json.error)
      }
      yield* Effect.promise(() => freed(fakes))
    }))

  it.scopedLive("binary parts that are cut off, too long or of the wrong size, by length and by chunks", () =>
    Effect.gen(function*() {
      const { fakes, port } = yield* server
      const cases: ReadonlyArray<readonly [object, number, string]> = [
        [{}, 23, "body"], [{}, 25, "body"], [{}, 0, "body"],
        [{ parameters: { binary_data_size: 23 } }, 23, "inputs[0].parameters.binary_data_size"],
        [{ parameters: { binary_data_size: -24 } }, 24, "inputs[0].parameters.binary_data_size"],
        [{ parameters: { binary_data_size: "24" } }, 24, "inputs[0].parameters.binary_data_size"],
        [{ parameters: { binary_data_size: 1e300 } }, 24, "inputs[0].parameters.binary_data_size"],
        [{ data: six }, 24, "inputs[0].data"]
      ]
      for (const [change, bytes, field] of cases) {
        const { body, headers } = binary(change, bytes)
        for (const sent of [body, [body.subarray(0, 40), body.subarray(40)]]) {
          const answer = yield* Effect.promise(() => call(port, { path: infer, headers, body: sent }))
          assert.strictEqual(answer.status, 400, answer.body.toString())
          assert.isTrue(String(answer.json.error).startsWith(`${field}:`), answer.json.error)
        }
      }
      yield* Effect.promise(() => freed(fakes))
    }))

  it.scopedLive("headers: negative, absurd and duplicate values are named", () =>
    Effect.gen(function*() {
      const { port } = yield* server
      const { body } = binary({}, 24)
      const name = "Inference-Header-Content-Length"
      for (const value of ["-1", "1e3", "12.5", "abc", "", " ", "0x10", "99999999999999999999", String(body.length + 1), ["5", "5"]]) {
        const answer = yield* Effect.promise(() => call(port, { path: infer, headers: { [name]: value }, body }))
        assert.strictEqual(answer.status, 400, JSON.stringify(value))
        assert.isTrue(String(answer.json.error).startsWith(name), `${JSON.stringify(value)}: ${answer.json.error}`)
      }
      const short = yield* Effect.promise(() => call(port, { path: infer, headers: { [name]: "500" }, body: [body.subarray(0, 20)] }))
      assert.strictEqual(short.status, 400)
      for (const lengths of ["Content-Length: -5", "Content-Length: abc", "Content-Length: 5\r\nContent-Length: 6", "Content-Length: 5\r\nTransfer-Encoding: chunked"]) {
        const text = yield* Effect.promise(() => rawExchange(port, `POST ${infer} HTTP/1.1\r\nHost: x\r\n${lengths}\r\n\r\nabcde`))
        assert.match(text, /^HTTP\/1\.1 400 /, lengths)
        assert.match(text, /\{"error":"[^"]*(Content-Length|Transfer-Encoding|request)/, lengths)
      }
      const encoding = yield* Effect.promise(() => call(port, { path: infer, headers: { "content-encoding": "br" }, body: good }))
      assert.strictEqual(encoding.status, 415)
      assert.include(encoding.json.error, "Content-Encoding")
      const large = yield* Effect.promise(() => call(port, { path: infer, headers: { "x-large": "a".repeat(40_000) }, body: good }))
      assert.strictEqual(large.status, 431)
      const expect = yield* Effect.promise(() => rawExchange(port, `POST ${infer} HTTP/1.1\r\nHost: x\r\nExpect: 200-maybe\r\nContent-Length: 2\r\n\r\n{}`))
      assert.match(expect, /^HTTP\/1\.1 400 .*\{"error"/s)
    }))

  it.scopedLive("bodies above the limit are a 413: declared, chunked, and inflated", () =>
    Effect.gen(function*() {
      const fakes = makeFakes()
      const { port } = yield* startServer(fakes, { maxBodyBytes: 100_000 })
      const declared = yield* Effect.promise(() =>
        rawExchange(port, `POST ${infer} HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999\r\n\r\n`, 300)
      )
      assert.match(declared, /^HTTP\/1\.1 413 .*\{"error":"body: is larger than the limit of 100000 bytes/s)
      const waiting = yield* Effect.promise(() =>
        rawExchange(port, `POST ${infer} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 200000\r\n\r\n`, 300)
      )
      assert.match(waiting, /^HTTP\/1\.1 413 /)
      const large = yield* Effect.promise(() => call(port, { path: infer, body: Buffer.alloc(1_000_000, 32) }))
      assert.strictEqual(large.status, 413)
      const chunked = yield* Effect.promise(() => call(port, { path: infer, body: Array.from({ length: 30 }, () => Buffer.alloc(10_000, 32)) }))
      assert.strictEqual(chunked.status, 413)
      const bomb = gzipSync(Buffer.alloc(50_000_000, 32))
      const inflated = yield* Effect.promise(() => call(port, { path: infer, headers: { "content-encoding": "gzip" }, body: bomb }))
      assert.strictEqual(inflated.status, 413)
      const good413 = yield* Effect.promise(() => call(port, { path: infer, body: good }))
      assert.strictEqual(good413.status, 200)
      for (const broken of [Buffer.from("not gzip"), gzipSync(good).subarray(0, 30), Buffer.alloc(0)]) {
        const answer = yield* Effect.promise(() => call(port, { path: infer, headers: { "content-encoding": "gzip" }, body: broken }))
        assert.strictEqual(answer.status, 400, answer.body.toString())
      }
      yield* Effect.promise(() => freed(fakes))
    }))

  it.scopedLive("the memory for bodies that are being read is bounded", () =>
    Effect.gen(function*() {
      const fakes = makeFakes()
      const { port } = yield* startServer(fakes, { maxBufferedBytes: 200_000 })
      const answer = yield* Effect.promise(() => call(port, { path: infer, body: Array.from({ length: 30 }, () => Buffer.alloc(10_000, 32)) }))
      assert.strictEqual(answer.status, 429)
      const after = yield* Effect.promise(() => call(port, { path: infer, body: [Buffer.from(good)] }))
      assert.strictEqual(after.status, 200)
    }))

  it.scopedLive("100,000 brackets harm nobody, wherever they stand", () =>
    Effect.gen(function*() {
      const { port } = yield* server
      const open = "[".repeat(100_000)
      const nest = open + "]".repeat(100_000)
      const objects = "{\"a\":".repeat(100_000) + "1" + "}".repeat(100_000)
      for (
        const body of [
          open, nest, objects, good.replace("[1,2,3,4,5,6]", nest), good.replace("[1,2,3,4,5,6]", open), good.replace("[1,2,3]", nest),
          good.replace("\"input\"", nest), digits(six, {}).replace("{", `{"id":${nest},`)
        ]
      ) {
        const answer = yield* Effect.promise(() => call(port, { path: infer, body }))
        assert.strictEqual(answer.status, 400, answer.body.toString().slice(0, 200))
      }
      const custom = yield* Effect.promise(() => call(port, { path: infer, body: good.replace("{", `{"parameters":{"mine":${nest}},`) }))
      assert.strictEqual(custom.status, 200)
    }))

  it.scopedLive("strange names are unknown names", () =>
    Effect.gen(function*() {
      const { port } = yield* server
      for (const name of ["nope", "..", "%2e%2e", "__proto__", "constructor", "a%00b", "%2Fetc%2Fpasswd", "digits%20", "a".repeat(5000)]) {
        for (const path of [`/v2/models/${name}/infer`, `/v2/models/${name}/versions/1/infer`]) {
          const answer = yield* Effect.promise(() => call(port, { path, body: good }))
          assert.strictEqual(answer.status, 404, path)
          assert.isString(answer.json.error)
        }
        for (const path of [`/v2/models/${name}`, `/v2/models/${name}/ready`, `/v2/models/${name}/config`, `/v2/models/${name}/stats`]) {
          const answer = yield* Effect.promise(() => call(port, { path }))
          assert.strictEqual(answer.status, 404, path)
          assert.isString(answer.json.error)
        }
      }
      const version = yield* Effect.promise(() => call(port, { path: "/v2/models/digits/versions/2/infer", body: good }))
      assert.strictEqual(version.status, 404)
      const words = yield* Effect.promise(() => call(port, { path: "/v2/models/digits/versions/one/infer", body: good }))
      assert.strictEqual(words.status, 404)
      const percent = yield* Effect.promise(() => call(port, { path: "/v2/models/%zz/infer", body: good }))
      assert.strictEqual(percent.status, 400)
      assert.include(percent.json.error, "percent")
    }))

  it.scopedLive("what is not done is a clear 501", () =>
    Effect.gen(function*() {
      const { port } = yield* server
      for (
        const body of [
          digits(six, { parameters: { sequence_id: 7 } }),
          digits(six, { parameters: { sequence_start: true } }),
          input({ parameters: { shared_memory_region: "r" } })
        ]
      ) {
        const answer = yield* Effect.promise(() => call(port, { path: infer, body }))
        assert.strictEqual(answer.status, 501)
        assert.match(answer.json.error, /not supported|is off/)
      }
      const none = yield* Effect.promise(() => call(port, { path: infer, body: digits(six, { parameters: { sequence_id: 0, sequence_start: false } }) }))
      assert.strictEqual(none.status, 200)
    }))

  it.scopedLive("bytes that are not HTTP get a 400 and the server lives", () =>
    Effect.gen(function*() {
      const { fakes, port } = yield* server
      for (const bytes of ["\0\0\0\0\r\n\r\n", "GET\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", `POST ${infer} HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n`]) {
        const text = yield* Effect.promise(() => rawExchange(port, bytes))
        assert.match(text, /^HTTP\/1\.1 400 .*\{"error":/s, JSON.stringify(bytes))
      }
      yield* Effect.promise(() => freed(fakes))
      const after = yield* Effect.promise(() => call(port, { path: infer, body: good }))
      assert.strictEqual(after.status, 200)
    }))

  it.scopedLive("mutated bodies are never a 500, and nothing leaks", () =>
    Effect.gen(function*() {
      const { fakes, port } = yield* server
      const { body: withBinary, headers } = binary({}, 24)
      const seeds = [
        { path: infer, body: Buffer.from(good), headers: {} },
        { path: infer, body: withBinary, headers },
        { path: infer, body: Buffer.from(digits([[[1, 2, 3], [4, 5, 6]]], { id: "a", parameters: { timeout: 5 }, outputs: [{ name: "out_input" }] })), headers: {} },
        {
          path: "/v2/models/text/infer",
          body: Buffer.from(JSON.stringify({ inputs: [{ name: "ids", shape: [1, 2], datatype: "INT64", data: [1, 2] }, { name: "mask", shape: [1, 2], datatype: "BOOL", data: [true, false] }] })),
          headers: {}
        }
      ]
      const tokens = ["[", "]", "{", "}", "\"", "\\", ",", ":", "0", "-", "e", ".", "null", "1e400", "NaN", "\"data\"", "\"inputs\"", "\u0000", "ÿ", "  "]
      const mutation = fc.record({
        at: fc.double({ min: 0, max: 1, noNaN: true }),
        remove: fc.integer({ min: 0, max: 6 }),
        insert: fc.oneof(fc.constantFrom(...tokens), fc.string({ maxLength: 3 }))
      })
      yield* Effect.promise(() =>
        fc.assert(
          fc.asyncProperty(fc.constantFrom(...seeds), fc.array(mutation, { minLength: 1, maxLength: 4 }), fc.boolean(), async (seed, mutations, chunked) => {
            let body = seed.body
            for (const { at, insert, remove } of mutations) {
              const position = Math.floor(at * body.length)
              body = Buffer.concat([body.subarray(0, position), Buffer.from(insert), body.subarray(position + remove)])
            }
            const answer = await call(port, { path: seed.path, headers: seed.headers, body: chunked ? [body] : body })
            assert.include([200, 400, 501], answer.status, answer.body.toString())
            if (answer.status !== 200) assert.isString(answer.json.error)
          }),
          { seed: 20240607, numRuns: 1500 }
        )
      )
      yield* Effect.promise(() => freed(fakes))
      const after = yield* Effect.promise(() => call(port, { path: infer, body: good }))
      assert.strictEqual(after.status, 200)
    }))
})
