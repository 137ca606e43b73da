/** What a client was told of a model is so wherever it asks next: changes of models, and the first requests after them. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { type IncomingMessage, request } from "node:http"
import { setTimeout as sleep } from "node:timers/promises"
import { call } from "../support/http.js"
import { digits, places } from "../support/server.js"

const infer = "/v2/models/digits/infer"
const one = digits([1, 2, 3, 4, 5, 6])
const two = JSON.stringify({ inputs: [{ name: "input", shape: [2, 2, 3], datatype: "FP32", data: [1, 2, 3, 4, 5, 6, 1, 2, 3, 4, 5, 6] }] })
/** So often that no look at the models every now and then is there by chance each time. */
const rounds = 8

const clientsOf = (port: number) => ({
  /** What four are answered, all at once, by all fronts. */
  statuses: async (path: string, body: string): Promise<ReadonlyArray<number>> =>
    (await Promise.all([1, 2, 3, 4].map(() => call(port, { path, body })))).map(({ status }) => status),
  change: async (what: "load" | "unload", config?: object): Promise<void> => {
    const body = config === undefined ? "" : JSON.stringify({ parameters: { config: JSON.stringify(config) } })
    const answer = await call(port, { method: "POST", path: `/v2/repository/models/digits/${what}`, body })
    assert.strictEqual(answer.status, 200, answer.body.toString())
  }
})

const all = (status: number): ReadonlyArray<number> => [status, status, status, status]

describe.each(places)("changes of models, requests read $where", ({ makeFakes, startServer }) => {
  const setup = Effect.gen(function*() {
    const fakes = makeFakes()
    const { port } = yield* startServer(fakes)
    const clients = clientsOf(port)
    assert.deepStrictEqual(yield* Effect.promise(() => clients.statuses(infer, one)), all(200))
    return { fakes, port, ...clients }
  })

  it.scopedLive("a load with another maximum batch counts from its answer on", () =>
    Effect.gen(function*() {
      const { change, statuses } = yield* setup
      yield* Effect.promise(async () => {
        for (let round = 0; round < rounds; round++) {
          await change("load", { max_batch_size: 1 })
          assert.deepStrictEqual(await statuses(infer, two), all(400))
          await change("load", { max_batch_size: 8 })
          assert.deepStrictEqual(await statuses(infer, two), all(200))
        }
      })
    }))

  it.scopedLive("a load of another version is that version's from its answer on", () =>
    Effect.gen(function*() {
      const { change, statuses } = yield* setup
      yield* Effect.promise(async () => {
        for (let version = 2; version < 2 + rounds; version++) {
          await change("load", { version })
          assert.deepStrictEqual(await statuses(`/v2/models/digits/versions/${version - 1}/infer`, one), all(404))
          assert.deepStrictEqual(await statuses(`/v2/models/digits/versions/${version}/infer`, one), all(200))
        }
      })
    }))

  it.scopedLive("an answer names the version that gave it, also where that took another's place meanwhile; who asked for the other does not get it", () =>
    Effect.gen(function*() {
      const { change, fakes, port } = yield* setup
      yield* Effect.promise(async () => {
        let before = 1
        for (const version of [2, 4_294_967_297, 20_261_128_000_000]) {
          for (const [path, status] of [[infer, 200], [`/v2/models/digits/versions/${before}/infer`, 404]] as const) {
            fakes.behaviour = (_, answer) => {
              fakes.answersAs = version
              void change("load", { version }).then(() => answer())
            }
            const answer = await call(port, { path, body: one })
            assert.strictEqual(answer.status, status)
            if (status === 200) assert.strictEqual(answer.json.model_version, String(version))
            else assert.match(answer.json.error, new RegExp(`version ${before}\\b`))
            await change("load", { version: before })
          }
          fakes.answersAs = undefined
          fakes.behaviour = (_, answer) => setImmediate(answer)
          await change("load", { version })
          before = version
        }
      })
    }))

  it.scopedLive("a request that came while its model was replaced by one of other tensors is refused, and never run", () =>
    Effect.gen(function*() {
      const { change, fakes, port } = yield* setup
      const seen = fakes.seen.length
      yield* Effect.promise(async () => {
        for (const input of ["other", "input"]) {
          const body = one.replace("\"input\"", JSON.stringify(input === "other" ? "input" : "other"))
          const refused = await new Promise<IncomingMessage>((resolve, reject) => {
            const outgoing = request({
              host: "127.0.0.1", port, path: infer, method: "POST", agent: false, headers: { "content-length": body.length, expect: "100-continue" }
            }, (response) => resolve(response.resume()))
            outgoing.on("error", reject)
            // It was read as what is there now.
            outgoing.on("continue", () => void change("load", { input }).then(() => outgoing.end(body), reject))
            outgoing.flushHeaders()
          })
          assert.strictEqual(refused.statusCode, 503)
          assert.strictEqual(refused.headers["x-glet-unavailable-reason"], "model-not-ready")
        }
        assert.strictEqual(fakes.seen.length, seen)
        assert.strictEqual((await call(port, { path: infer, body: one })).status, 200)
      })
    }))

  it.scopedLive("nothing is read for a model that was unloaded, and it is served again once it is loaded", () =>
    Effect.gen(function*() {
      const { change, statuses } = yield* setup
      yield* Effect.promise(async () => {
        for (let round = 0; round < rounds; round++) {
          await change("unload")
          assert.deepStrictEqual(await statuses(infer, "{"), all(503))
          await change("load")
          assert.deepStrictEqual(await statuses(infer, "{"), all(400))
          assert.deepStrictEqual(await statuses(infer, one), all(200))
        }
      })
    }))

  it.scopedLive("what was out of reach of the objective before a load is judged by the new one", () =>
    Effect.gen(function*() {
      const { change, fakes, statuses } = yield* setup
      yield* Effect.promise(async () => {
        for (let round = 0; round < rounds; round++) {
          fakes.refusal = "deadline-unreachable"
          for (let i = 0; i < 500 && (await statuses(infer, one)).some((status) => status !== 429); i++) await sleep(10)
          // Until the last refusals were heard of: the ends of requests bring the edges of their models up to date as well.
          await sleep(30)
          fakes.refusal = undefined
          await change("load")
          assert.deepStrictEqual(await statuses(infer, one), all(200))
        }
      })
    }))
})
