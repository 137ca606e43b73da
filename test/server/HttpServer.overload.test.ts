import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { call, rawExchange } from "../support/http.js"
import { digits, freed, places } from "../support/server.js"

const infer = "/v2/models/digits/infer"
const good = digits([1, 2, 3, 4, 5, 6])

/** Value of a metric's line. */
const metric = (page: string, line: string): number => {
  const found = page.split("\n").find((text) => text.startsWith(`${line} `))
  return found === undefined ? NaN : Number(found.slice(line.length + 1))
}

/** No event tells of what the fakes do; fronts look every 100 ms. */
const heard = (isFronted: boolean): Effect.Effect<void> => (isFronted ? Effect.sleep("300 millis") : Effect.void)

describe.each(places)("under overload, read $where", ({ isFronted, makeFakes, startServer }) => {
  it.scopedLive("a request is refused unread, told why, counted once, and its connection goes on", () =>
    Effect.gen(function*() {
      const fakes = makeFakes()
      const { port } = yield* startServer(fakes)
      fakes.refusal = "deadline-unreachable"
      yield* heard(isFronted)
      yield* Effect.promise(async () => {
        // Broken where nobody looks: it is not even parsed.
        const refused = await call(port, { path: infer, body: digits("none") })
        assert.strictEqual(refused.status, 429)
        assert.strictEqual(refused.headers["retry-after"], "2")
        assert.strictEqual(refused.headers["x-glet-drop-reason"], "deadline-unreachable")
        assert.include(refused.json.error, "digits")
        const head = `POST ${infer} HTTP/1.1\r\nHost: x\r\nContent-Length: ${good.length}\r\n\r\n`
        const text = await rawExchange(port, `${head}${good}${head}${good}GET /v2/health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`)
        assert.deepStrictEqual(text.match(/HTTP\/1\.1 \d+/g), ["HTTP/1.1 429", "HTTP/1.1 429", "HTTP/1.1 200"])
        assert.strictEqual(fakes.seen.length, 0)
        await freed(fakes)
        const page = (await call(port, { path: "/metrics" })).body.toString()
        assert.strictEqual(metric(page, `glet_requests_dropped_total{model="digits",version="1",reason="deadline-unreachable"}`), 3)
        assert.strictEqual(metric(page, `nv_inference_request_failure{model="digits",version="1",reason="REJECTED"}`), 3)
        const stats = await call(port, { path: "/v2/models/digits/stats" })
        assert.strictEqual(stats.json.model_stats[0]!.inference_stats.fail.count, 3)
      })
    }))

  it.scopedLive("what brings a limit, a priority or a class of its own is read, and judged by it", () =>
    Effect.gen(function*() {
      const fakes = makeFakes()
      const { port } = yield* startServer(fakes)
      fakes.refusal = "queue-full"
      yield* heard(isFronted)
      yield* Effect.promise(async () => {
        for (const parameters of [{ priority: 1 }, { timeout: 5_000_000 }, { "service-class": "best-effort" }]) {
          assert.strictEqual((await call(port, { path: infer, body: digits([1, 2, 3, 4, 5, 6], { parameters }) })).status, 200)
        }
        assert.strictEqual((await call(port, { path: infer, body: good })).status, 429)
      })
      assert.strictEqual(fakes.seen.length, 3)
    }))

  it.scopedLive("a large body is refused at its first bytes; what is much is not waited for", () =>
    Effect.gen(function*() {
      const fakes = makeFakes()
      const { port } = yield* startServer(fakes)
      fakes.refusal = "deadline-unreachable"
      yield* heard(isFronted)
      const json = JSON.stringify({ inputs: [{ name: "pixels", shape: [1, 3, 224, 224], datatype: "FP32", parameters: { binary_data_size: 602112 } }] })
      yield* Effect.promise(async () => {
        const head = `POST /v2/models/image/infer HTTP/1.1\r\nHost: x\r\nInference-Header-Content-Length: ${json.length}\r\n`
        const text = await rawExchange(port, `${head}Content-Length: ${json.length + 602112}\r\n\r\n${json}`)
        assert.match(text, /^HTTP\/1\.1 429 /)
        assert.match(text, /connection: close/i)
      })
      yield* Effect.promise(() => freed(fakes))
    }))
})
