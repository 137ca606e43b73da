import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { deflateSync, gunzipSync, gzipSync, inflateSync } from "node:zlib"
import { RequestDropped } from "../../src/core/RequestError.js"
import { call, rawExchange } from "../support/http.js"
import { digits, freed, places } from "../support/server.js"

const six = [0.1, -2.5, 3e-7, 4, 16777216, 0.30000001192092896]

/** JSON part and binary part of a response. */
const split = (answer: { readonly headers: Record<string, unknown>; readonly body: Buffer }) => {
  const length = Number(answer.headers["inference-header-content-length"])
  return { json: JSON.parse(answer.body.subarray(0, length).toString()), binary: answer.body.subarray(length) }
}

const binaryRequest = (json: object, ...parts: ReadonlyArray<Buffer>) => {
  const head = Buffer.from(JSON.stringify(json))
  return {
    headers: { "Inference-Header-Content-Length": String(head.length) },
    body: Buffer.concat([head, ...parts])
  }
}

const floats = (values: ReadonlyArray<number>): Buffer => Buffer.from(Float32Array.from(values).buffer)

describe.each(places)("infer, read $where", ({ isFronted, makeFakes, startServer }) => {
  it.scopedLive("answers JSON with the shortest floats, echoes the id, releases the slot", () =>
    Effect.gen(function*() {
      const fakes = makeFakes()
      const { port } = yield* startServer(fakes)
      const answer = yield* Effect.promise(() => call(port, { path: "/v2/models/digits/infer", body: digits(six, { id: "r\"1é" }) }))
      assert.strictEqual(answer.status, 200)
      assert.strictEqual(answer.headers["content-type"], "application/json")
      assert.deepStrictEqual<unknown>(answer.json, {
        id: "r\"1é",
        model_name: "digits",
        model_version: "1",
        outputs: [{ name: "out_input", datatype: "FP32", shape: [1, 2, 3], data: [0.1, -2.5, 3e-7, 4, 16777216, 0.3] }]
      })
      yield* Effect.promise(() => freed(fakes))
    }))

  it.scopedLive("takes nested data, versions, queries, and hands parameters on", () =>
    Effect.gen(function*() {
      const fakes = makeFakes()
      const { port } = yield* startServer(fakes)
      const body = digits([[[1, 2, 3], [4, 5, 6]]], { id: "x", parameters: { timeout: 2500, priority: 1, "service-class": "best-effort", mine: { deep: [1] } } })
      const answer = yield* Effect.promise(() => call(port, { path: "/v2/models/digits/versions/1/infer?trace=1", body }))
      assert.deepStrictEqual(answer.json.outputs[0]!.data, [1, 2, 3, 4, 5, 6])
      const [request] = fakes.seen
      assert.strictEqual(request!.timeoutMs, 2.5)
      assert.strictEqual(request!.priority, 1)
      assert.strictEqual(request!.serviceClass, "best-effort")
      assert.strictEqual(request!.id, "x")
      assert.strictEqual(request!.items, 1)
    }))

  it.scopedLive("keeps 64-bit integers exact and takes booleans", () =>
    Effect.gen(function*() {
      const fakes = makeFakes()
      const { port } = yield* startServer(fakes)
      const ids = ["9007199254740993", "-9223372036854775808", "9223372036854775807", "-1", "0", "4294967296"]
      const body = `{"inputs":[{"datatype":"INT64","data":[[${ids.slice(0, 3).join(" , ")}],[${ids.slice(3).join(",")}]],"shape":[2,3],"name":"ids"},` +
        `{"name":"mask","shape":[2,3],"datatype":"BOOL","data":[true,false,1,0,true,false]}]}`
      const answer = yield* Effect.promise(() => call(port, { path: "/v2/models/text/infer", body }))
      assert.strictEqual(answer.status, 200, answer.body.toString())
      assert.include(answer.body.toString(), `"data":[${ids.join(",")}]`)
      assert.deepStrictEqual(answer.json.outputs[1]!.data, [true, false, true, false, true, false])
      assert.deepStrictEqual(fakes.seen[0]!.bindings, [3])
      assert.strictEqual(fakes.seen[0]!.items, 2)
      // The symbols' values stand at the start of the slot, where the executor reads them.
      const { slot } = fakes.seen[0]!
      assert.strictEqual(new Int32Array(slot.bytes.buffer, slot.bytes.byteOffset, 1)[0], 3)
    }))

  it.scopedLive("takes binary data in any chunks, beside JSON data, and gives outputs as they were asked for", () =>
    Effect.gen(function*() {
      const fakes = makeFakes()
      const { port } = yield* startServer(fakes)
      const ids = Buffer.from(BigInt64Array.from([1n, -2n]).buffer)
      const { body, headers } = binaryRequest({
        inputs: [
          { name: "mask", shape: [1, 2], datatype: "BOOL", data: [true, false] },
          { name: "ids", shape: [1, 2], datatype: "INT64", parameters: { binary_data_size: 16 } }
        ],
        parameters: { binary_data_output: true },
        outputs: [{ name: "out_mask", parameters: { binary_data: false } }, { name: "out_ids" }]
      }, ids)
      const pieces = [...body].map((byte) => Buffer.from([byte]))
      for (const sent of [body, pieces]) {
        const answer = yield* Effect.promise(() => call(port, { path: "/v2/models/text/infer", headers, body: sent }))
        assert.strictEqual(answer.status, 200, answer.body.toString())
        assert.strictEqual(answer.headers["content-type"], "application/octet-stream")
        const { binary, json } = split(answer)
        assert.deepStrictEqual(json.outputs, [
          { name: "out_mask", datatype: "BOOL", shape: [1, 2], data: [true, false] },
          { name: "out_ids", datatype: "INT64", shape: [1, 2], parameters: { binary_data_size: 16 } }
        ])
        assert.deepStrictEqual(binary, ids)
      }
      yield* Effect.promise(() => freed(fakes))
    }))

  it.scopedLive("an explicit binary_data wins over the request's default", () =>
    Effect.gen(function*() {
      const fakes = makeFakes()
      const { port } = yield* startServer(fakes)
      const ask = (more: object) => Effect.promise(() => call(port, { path: "/v2/models/digits/infer", body: digits(six, more) }))
      const json = yield* ask({ parameters: { binary_data_output: true }, outputs: [{ name: "out_input", parameters: { binary_data: false } }] })
      assert.isDefined(json.json.outputs[0]!.data)
      const binary = yield* ask({ parameters: { binary_data_output: false }, outputs: [{ name: "out_input", parameters: { binary_data: true } }] })
      assert.deepStrictEqual(split(binary).binary, floats(six))
    }))

  it.scopedLive("half floats travel as binary data only", () =>
    Effect.gen(function*() {
      const fakes = makeFakes()
      const { port } = yield* startServer(fakes)
      const value = Buffer.from(Uint16Array.from([0x3c00, 0xc000]).buffer)
      const input = { name: "x", shape: [1, 2], datatype: "FP16", parameters: { binary_data_size: 4 } }
      const good = yield* Effect.promise(() =>
        call(port, { path: "/v2/models/half/infer", ...binaryRequest({ inputs: [input], parameters: { binary_data_output: true } }, value) })
      )
      assert.deepStrictEqual(split(good).binary, value)
      const asJson = yield* Effect.promise(() => call(port, { path: "/v2/models/half/infer", ...binaryRequest({ inputs: [input] }, value) }))
      assert.strictEqual(asJson.status, 400)
      assert.include(asJson.json.error, "binary_data")
    }))

  it.scopedLive("takes raw requests of known and unknown length, with at most one open dimension", () =>
    Effect.gen(function*() {
      const fakes = makeFakes()
      const { port } = yield* startServer(fakes)
      const headers = { "Inference-Header-Content-Length": "0" }
      const body = floats(six)
      for (const sent of [body, [body.subarray(0, 5), body.subarray(5)]]) {
        const answer = yield* Effect.promise(() => call(port, { path: "/v2/models/digits/infer", headers, body: sent }))
        assert.deepStrictEqual(split(answer).binary, body)
      }
      const open = yield* Effect.promise(() => call(port, { path: "/v2/models/found/infer", headers, body: floats([1, 2, 3]) }))
      assert.deepStrictEqual(split(open).json.outputs, [{ name: "hits", datatype: "FP32", shape: [3], parameters: { binary_data_size: 12 } }])
      const wrong = yield* Effect.promise(() => call(port, { path: "/v2/models/digits/infer", headers, body: body.subarray(1) }))
      assert.strictEqual(wrong.status, 400)
      assert.include(wrong.json.error, "24")
      const two = yield* Effect.promise(() => call(port, { path: "/v2/models/text/infer", headers, body }))
      assert.strictEqual(two.status, 400)
    }))

  it.scopedLive("large tensors come back from their slot, which is given back after the write", () =>
    Effect.gen(function*() {
      const fakes = makeFakes()
      const { port } = yield* startServer(fakes)
      const pixels = floats(Array.from({ length: 3 * 224 * 224 }, (_, i) => i % 255))
      const { body, headers } = binaryRequest({
        inputs: [{ name: "pixels", shape: [1, 3, 224, 224], datatype: "FP32", parameters: { binary_data_size: pixels.length } }],
        outputs: [{ name: "out_pixels", parameters: { binary_data: true } }]
      }, pixels)
      const all = yield* Effect.promise(() =>
        Promise.all(Array.from({ length: 8 }, () => call(port, { path: "/v2/models/image/infer", headers, body })))
      )
      for (const answer of all) {
        assert.strictEqual(answer.status, 200)
        assert.isTrue(split(answer).binary.equals(pixels))
      }
      yield* Effect.promise(() => freed(fakes))
    }))

  it.scopedLive("inflates gzip and deflate, compresses large answers for those who ask", () =>
    Effect.gen(function*() {
      const fakes = makeFakes()
      const { port } = yield* startServer(fakes, { gzipMinBytes: 150 })
      const text = digits(six)
      for (const [name, compress] of [["gzip", gzipSync], ["deflate", deflateSync]] as const) {
        const answer = yield* Effect.promise(() =>
          call(port, { path: "/v2/models/digits/infer", headers: { "content-encoding": name }, body: compress(text) })
        )
        assert.strictEqual(answer.status, 200, answer.body.toString())
        assert.isUndefined(answer.headers["content-encoding"])
      }
      const { body, headers } = binaryRequest({
        inputs: [{ name: "input", shape: [2, 2, 3], datatype: "FP32", parameters: { binary_data_size: 48 } }],
        parameters: { binary_data_output: true }
      }, floats([...six, ...six]))
      const zipped = yield* Effect.promise(() =>
        call(port, {
          path: "/v2/models/digits/infer",
          headers: { ...headers, "content-encoding": "gzip", "accept-encoding": "br, gzip;q=0.5" },
          body: gzipSync(body)
        })
      )
      assert.strictEqual(zipped.headers["content-encoding"], "gzip")
      assert.deepStrictEqual(split({ headers: zipped.headers, body: gunzipSync(zipped.body) }).binary, floats([...six, ...six]))
      const deflated = yield* Effect.promise(() =>
        call(port, { path: "/v2/models/digits/infer", headers: { "accept-encoding": "gzip;q=0, deflate" }, body: digits(six, { id: "x".repeat(200) }) })
      )
      assert.strictEqual(deflated.headers["content-encoding"], "deflate")
      assert.strictEqual(JSON.parse(inflateSync(deflated.body).toString()).id, "x".repeat(200))
      const refused = yield* Effect.promise(() =>
        call(port, { path: "/v2/models/digits/infer", headers: { "accept-encoding": "gzip;q=0" }, body: digits(six, { id: "x".repeat(200) }) })
      )
      assert.isUndefined(refused.headers["content-encoding"])
      yield* Effect.promise(() => freed(fakes))
    }))

  it.scopedLive("answers the highest classes with their labels, as strings in JSON and in binary", () =>
    Effect.gen(function*() {
      const fakes = makeFakes()
      const defs = [
        { name: "scores", batchSymbol: "n", inputs: [["input", "FP32", ["n", 2, 3]]], labels: [["nil", "one", "two", "three", "four"]] },
        { name: "alone", inputs: [["x", "INT32", [2, 2]]] },
        { name: "half", batchSymbol: "n", inputs: [["x", "FP16", ["n", 2]]] }
      ] as const
      const { port } = yield* startServer(fakes, {}, defs)
      const ask = (model: string, body: unknown) => Effect.promise(() => call(port, { path: `/v2/models/${model}/infer`, body: JSON.stringify(body) }))
      const input = { name: "input", shape: [2, 2, 3], datatype: "FP32", data: [1, 5, 10, 4, 0, -1, 0.5, 0.25, 0, 0, 0, 9] }
      const top = (parameters: object) => ({ inputs: [input], outputs: [{ name: "out_input", parameters: { classification: 2, ...parameters } }] })
      const strings = ["10.000000:2:two", "5.000000:1:one", "9.000000:5", "0.500000:0:nil"]
      const text = yield* ask("scores", top({}))
      assert.deepStrictEqual<unknown>(text.json.outputs, [{ name: "out_input", datatype: "BYTES", shape: [2, 2], data: strings }])
      const { binary, json } = split(yield* ask("scores", top({ binary_data: true })))
      assert.deepStrictEqual(json.outputs, [{ name: "out_input", datatype: "BYTES", shape: [2, 2], parameters: { binary_data_size: binary.length } }])
      assert.deepStrictEqual(binary, Buffer.concat(strings.map((string) => Buffer.from([string.length, 0, 0, 0, ...Buffer.from(string)]))))
      const alone = { inputs: [{ name: "x", shape: [2, 2], datatype: "INT32", data: [3, -4, 5, 0] }], outputs: [{ name: "out_x", parameters: { classification: 9 } }] }
      assert.deepStrictEqual<unknown>((yield* ask("alone", alone)).json.outputs, [{ name: "out_x", datatype: "BYTES", shape: [4], data: ["5:2", "3:0", "0:3", "-4:1"] }])
      for (const classification of [-1, 1.5, "2", true]) {
        const wrong = yield* ask("scores", { inputs: [input], outputs: [{ name: "out_input", parameters: { classification } }] })
        assert.strictEqual(wrong.status, 400)
        assert.include(wrong.json.error, "outputs[0].parameters.classification: must be a whole number of classes")
      }
      const half = { inputs: [{ name: "x", shape: [1, 2], datatype: "FP16", data: [1, 2] }], outputs: [{ name: "out_x", parameters: { classification: 1 } }] }
      const refused = yield* ask("half", half)
      assert.strictEqual(refused.status, 400)
      assert.include(refused.json.error, "cannot be asked of type FP16")
      yield* Effect.promise(() => freed(fakes))
    }))

  it.scopedLive("requests and answers have the shapes that a configuration gives them", () =>
    Effect.gen(function*() {
      const fakes = makeFakes()
      const defs = [
        { name: "one", inputs: [["x", "FP32", [1, 2, 3, 1]]], asked: { x: [2, 3], out_x: [6] } },
        { name: "many", batchSymbol: "n", inputs: [["x", "INT32", ["n"]]], asked: { x: ["n", 1], out_x: ["n", 1, 1] } }
      ] as const
      const { port } = yield* startServer(fakes, {}, defs)
      const metadata = (model: string) => Effect.promise(async () => JSON.parse((await call(port, { path: `/v2/models/${model}` })).body.toString()))
      const post = (model: string, body: string | Buffer, headers = {}) => Effect.promise(() => call(port, { path: `/v2/models/${model}/infer`, body, headers }))
      const ask = (model: string, datatype: string, shape: ReadonlyArray<number>, data: unknown) => post(model, JSON.stringify({ inputs: [{ name: "x", shape, datatype, data }] }))
      assert.deepInclude((yield* metadata("one")).inputs[0], { shape: [2, 3] })
      assert.deepInclude((yield* metadata("many")).outputs[0], { shape: [-1, 1, 1] })
      for (const data of [[1, 2, 3, 4, 5, 6], [[1, 2, 3], [4, 5, 6]]]) {
        assert.deepInclude((yield* ask("one", "FP32", [2, 3], data)).json.outputs[0]!, { shape: [6], data: [1, 2, 3, 4, 5, 6] })
      }
      assert.deepInclude((yield* ask("many", "INT32", [3, 1], [7, 8, 9])).json.outputs[0]!, { shape: [3, 1, 1], data: [7, 8, 9] })
      assert.deepStrictEqual(fakes.seen.map(({ items }) => items), [1, 1, 3])
      const raw = yield* post("one", floats([1, 2, 3, 4, 5, 6]), { "Inference-Header-Content-Length": "0" })
      assert.deepStrictEqual(split(raw).json.outputs[0].shape, [6])
      const wrong = yield* ask("one", "FP32", [1, 2, 3, 1], [1, 2, 3, 4, 5, 6])
      assert.strictEqual(wrong.status, 400)
      assert.include(wrong.json.error, "has 4 dimensions, input \"x\" has 2: [2, 3]")
      assert.include((yield* ask("many", "INT32", [1, 2], [7, 8])).json.error, "the model expects 1; its shape is [-1, 1]")
      yield* Effect.promise(() => freed(fakes))
    }))

  it.scopedLive("decodes names, and answers pipelined requests in order", () =>
    Effect.gen(function*() {
      const fakes = makeFakes()
      const { port } = yield* startServer(fakes)
      const named = yield* Effect.promise(() =>
        call(port, {
          path: `/v2/models/${encodeURIComponent("a b/ü")}/infer`,
          body: JSON.stringify({ inputs: [{ name: "x", shape: [1], datatype: "FP32", data: [1] }] })
        })
      )
      assert.strictEqual(named.json.model_name, "a b/ü")
      // The first is answered last.
      const waits = [40, 5, 20]
      fakes.behaviour = (_, answer) => setTimeout(answer, waits.shift())
      const one = (id: string) => {
        const body = digits(six, { id })
        return `POST /v2/models/digits/infer HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n${body}`
      }
      const text = yield* Effect.promise(() => rawExchange(port, one("A") + one("B") + one("C"), 400))
      assert.deepStrictEqual([...text.matchAll(/"id":"(.)"/g)].map(([, id]) => id), ["A", "B", "C"])
    }))

  it.scopedLive("drops say why and when to come back; Triton's status where it is asked for", () =>
    Effect.gen(function*() {
      for (const compatTritonErrors of [false, true]) {
        const fakes = makeFakes()
        const { port } = yield* startServer(fakes, { compatTritonErrors })
        fakes.behaviour = (request, answer) =>
          answer(new RequestDropped({ model: request.model, reason: "queue-full", retryAfterMs: 1200 }))
        const answer = yield* Effect.promise(() => call(port, { path: "/v2/models/digits/infer", body: digits(six) }))
        assert.strictEqual(answer.status, compatTritonErrors ? 503 : 429)
        assert.strictEqual(answer.headers["retry-after"], "2")
        assert.strictEqual(answer.headers["x-glet-drop-reason"], "queue-full")
        assert.include(answer.json.error, "queue is full")
        yield* Effect.promise(() => freed(fakes))
      }
    }))

  // A front has a part of the memory of its own.
  it.scopedLive.skipIf(isFronted)("no memory for tensors is a drop, not an error", () =>
    Effect.gen(function*() {
      const fakes = makeFakes(1_000_000)
      const { port } = yield* startServer(fakes)
      const held = fakes.arena.allocate(999_990)!
      const answer = yield* Effect.promise(() => call(port, { path: "/v2/models/digits/infer", body: digits(six) }))
      assert.strictEqual(answer.status, 429)
      assert.strictEqual(answer.headers["x-glet-drop-reason"], "memory-full")
      held.release()
      const again = yield* Effect.promise(() => call(port, { path: "/v2/models/digits/infer", body: digits(six) }))
      assert.strictEqual(again.status, 200)
    }))
})
