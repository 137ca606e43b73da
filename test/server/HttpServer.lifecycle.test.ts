import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import * as Scope from "effect/Scope"
import { once } from "node:events"
import { connect, createServer } from "node:net"
import { setTimeout as sleep } from "node:timers/promises"
import { call, rawExchange } from "../support/http.js"
import { digits, freed, makeSharedFakes, places } from "../support/server.js"

const infer = "/v2/models/digits/infer"
const good = digits([1, 2, 3, 4, 5, 6])
const head = (length: number) => `POST ${infer} HTTP/1.1\r\nHost: x\r\nContent-Length: ${length}\r\n\r\n`

/** Requests that Effect's routes have taken and that have not ended. */
const routed = (): number =>
  [...Effect.runSync(Fiber.roots)].filter(({ currentContext }) => Context.getOption(currentContext, HttpServerRequest.HttpServerRequest)._tag === "Some").length

/** Waits for a condition that other events bring about. */
const until = async (condition: () => boolean): Promise<void> => {
  for (let i = 0; i < 500 && !condition(); i++) await sleep(10)
  assert.isTrue(condition())
}

describe.each(places)("clients, read $where", ({ isFronted, makeFakes, startServer }) => {
  it.scopedLive("one that goes away leaves the queue, and its slot comes back", () =>
    Effect.gen(function*() {
      const fakes = makeFakes()
      const { port } = yield* startServer(fakes)
      fakes.behaviour = () => {}
      yield* Effect.promise(async () => {
        const socket = connect(port, "127.0.0.1", () => socket.write(head(good.length) + good + head(good.length) + good))
        // The second waits until the first is answered.
        await until(() => fakes.pending.size === 1)
        assert.isAbove(fakes.arena.usedBytes(), 0)
        socket.destroy()
        await until(() => fakes.canceled === 1)
      })
      assert.strictEqual(fakes.pending.size, 0)
      yield* Effect.promise(() => freed(fakes))
    }))

  it.scopedLive("those that go away as soon as they have asked for something else than an infer request leave nothing that waits", () =>
    Effect.gen(function*() {
      const fakes = makeFakes()
      const { port } = yield* startServer(fakes)
      yield* Effect.promise(async () => {
        for (let i = 0; i < 20; i++) {
          const socket = connect(port, "127.0.0.1")
          await once(socket, "connect")
          socket.end(`GET ${i % 2 === 0 ? "/v2/health/live" : "/glet/v1alpha1/status/watch"} HTTP/1.1\r\nHost: x\r\n\r\n`)
          socket.destroy()
        }
        for (let i = 0; i < 4; i++) assert.strictEqual((await call(port, { path: "/v2/health/live", method: "GET" })).status, 200)
        await until(() => routed() === 0)
      })
    }))

  it.scopedLive("one that goes away in the middle of its binary data gives its slot back", () =>
    Effect.gen(function*() {
      const fakes = makeFakes()
      const { port } = yield* startServer(fakes)
      const json = JSON.stringify({ inputs: [{ name: "pixels", shape: [1, 3, 224, 224], datatype: "FP32", parameters: { binary_data_size: 602112 } }] })
      const lines = `POST /v2/models/image/infer HTTP/1.1\r\nInference-Header-Content-Length: ${json.length}\r\nContent-Length: ${json.length + 602112}\r\n\r\n`
      yield* Effect.promise(async () => {
        const socket = connect(port, "127.0.0.1", () => socket.write(`${lines}${json}${"x".repeat(100_000)}`))
        await until(() => fakes.arena.usedBytes() > 602112)
        socket.destroy()
        await until(() => fakes.arena.usedBytes() === 0)
      })
      assert.strictEqual(fakes.seen.length, 0)
    }))

  it.scopedLive.each(["", "TE: trailers\r\n"])("one that reads a large answer late has its own, whatever other requests have put into memory since (%j)", (more) =>
    Effect.gen(function*() {
      // Of the heap's arena every slot is new memory.
      const fakes = makeSharedFakes()
      // Of two fronts the other would have the others.
      const { port } = yield* startServer(fakes, isFronted ? { fronts: 1 } : {})
      const request = (items: number, seed: number) => {
        const pixels = Buffer.alloc(items * 602112, Uint8Array.from([seed, seed + 1, seed + 2]))
        const json = JSON.stringify({
          inputs: [{ name: "pixels", shape: [items, 3, 224, 224], datatype: "FP32", parameters: { binary_data_size: pixels.length } }],
          parameters: { binary_data_output: true }
        })
        return { pixels, json, headers: { "Inference-Header-Content-Length": String(json.length) }, body: Buffer.concat([Buffer.from(json), pixels]) }
      }
      const late = request(8, 1)
      yield* Effect.promise(async () => {
        const lines = `POST /v2/models/image/infer HTTP/1.1\r\nHost: x\r\n${more}Inference-Header-Content-Length: ${late.json.length}\r\nContent-Length: ${late.body.length}\r\n\r\n`
        const socket = connect(port, "127.0.0.1", () => {
          socket.write(lines)
          socket.write(late.body)
        })
        const parts: Array<Buffer> = []
        socket.on("data", (part: Buffer) => parts.push(part)).pause()
        await until(() => fakes.seen.length === 1 && fakes.pending.size === 0)
        // Of the same size: a slot that is free again is theirs.
        for (const other of [2, 3, 4].map((seed) => request(8, 10 * seed))) {
          const answer = await call(port, { path: "/v2/models/image/infer", headers: other.headers, body: other.body })
          assert.isTrue(answer.body.subarray(-other.pixels.length).equals(other.pixels))
        }
        socket.resume()
        const isThere = () => {
          const all = Buffer.concat(parts)
          return all.length > late.pixels.length && all.length >= all.indexOf("\r\n\r\n") + 4 + Number(/content-length: (\d+)/i.exec(all.toString("latin1", 0, 600))![1])
        }
        await until(isThere)
        socket.destroy()
        assert.isTrue(Buffer.concat(parts).subarray(-late.pixels.length).equals(late.pixels))
        await freed(fakes)
      })
    }))

  it.scopedLive("one that reads nothing of a large answer is cut, and its slot comes back", () =>
    Effect.gen(function*() {
      const fakes = makeFakes()
      const { port } = yield* startServer(fakes, { requestTimeoutMs: 400 })
      const pixels = Buffer.alloc(8 * 602112)
      const json = JSON.stringify({
        inputs: [{ name: "pixels", shape: [8, 3, 224, 224], datatype: "FP32", parameters: { binary_data_size: pixels.length } }],
        parameters: { binary_data_output: true }
      })
      const lines = `POST /v2/models/image/infer HTTP/1.1\r\nInference-Header-Content-Length: ${json.length}\r\nContent-Length: ${json.length + pixels.length}\r\n\r\n`
      yield* Effect.promise(async () => {
        const socket = connect(port, "127.0.0.1", () => {
          socket.write(lines + json)
          socket.write(pixels)
        })
        socket.pause()
        await until(() => fakes.seen.length === 1 && fakes.arena.usedBytes() === 0)
        socket.destroy()
      })
    }))

  it.scopedLive("half-sent headers and bodies time out with a 408", () =>
    Effect.gen(function*() {
      const fakes = makeFakes()
      const { port } = yield* startServer(fakes, { headersTimeoutMs: 200, requestTimeoutMs: 300 })
      const [headers, body, index] = yield* Effect.promise(() =>
        Promise.all([
          rawExchange(port, `POST ${infer} HTTP/1.1\r\nHost:`, 5000),
          rawExchange(port, head(100) + good.slice(0, 50), 5000),
          rawExchange(port, "POST /v2/repository/index HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{", 5000)
        ])
      )
      for (const text of [headers, body, index]) assert.match(text, /^HTTP\/1\.1 408 .*\{"error":"request: was not sent in time"\}$/s)
      yield* Effect.promise(() => freed(fakes))
      const after = yield* Effect.promise(() => call(port, { path: infer, body: good }))
      assert.strictEqual(after.status, 200)
    }))

  it.scopedLive("garbage behind a request is not answered in that request's place", () =>
    Effect.gen(function*() {
      const fakes = makeFakes()
      const { port } = yield* startServer(fakes)
      fakes.behaviour = (_, answer) => setTimeout(answer, 50)
      const text = yield* Effect.promise(() => rawExchange(port, `${head(good.length)}${good}GARBAGE\r\n\r\n`))
      assert.deepStrictEqual(text.match(/HTTP\/1\.1 \d+/g), ["HTTP/1.1 200", "HTTP/1.1 400"])
    }))

  it.scopedLive("the number of connections is bounded", () =>
    Effect.gen(function*() {
      const fakes = makeFakes()
      const { port } = yield* startServer(fakes, { maxConnections: 2 })
      yield* Effect.promise(async () => {
        const sockets = await Promise.all([0, 1].map(() =>
          new Promise<ReturnType<typeof connect>>((resolve) => {
            const socket = connect(port, "127.0.0.1", () => resolve(socket))
          })
        ))
        assert.strictEqual(await rawExchange(port, "GET /v2 HTTP/1.1\r\nHost: x\r\n\r\n", 500), "")
        for (const socket of sockets) socket.destroy()
      })
    }))
})

describe.each(places)("start and stop, read $where", ({ makeFakes, startServer }) => {
  it.scopedLive("a port in use and a host that is not ours are typed errors with one line", () =>
    Effect.gen(function*() {
      const taken = createServer()
      const port = yield* Effect.acquireRelease(
        Effect.async<number>((resume) => {
          taken.listen(0, "127.0.0.1", () => resume(Effect.sync(() => (taken.address() as { port: number }).port)))
        }),
        () => Effect.sync(() => taken.close())
      )
      const inUse = yield* Effect.flip(startServer(makeFakes(), { port }))
      assert.strictEqual(inUse._tag, "ServerStartError")
      assert.include(inUse.message, `127.0.0.1:${port}`)
      assert.notInclude(inUse.message, "\n")
      assert.strictEqual(inUse._tag === "ServerStartError" && inUse.reason, "port-in-use")
      const badHost = yield* Effect.flip(startServer(makeFakes(), { host: "203.0.113.7" }))
      assert.strictEqual(badHost._tag === "ServerStartError" && badHost.reason, "bad-host")
    }))

  it.live("stopping answers what was accepted, refuses what is new, and closes", () =>
    Effect.gen(function*() {
      const fakes = makeFakes()
      const scope = yield* Scope.make()
      const { port } = yield* startServer(fakes).pipe(Scope.extend(scope))
      let answerNow = () => {}
      fakes.behaviour = (_, answer) => {
        answerNow = answer
      }
      yield* Effect.promise(async () => {
        const accepted = call(port, { path: infer, body: good })
        await until(() => fakes.pending.size === 1)
        // A connection that was there before goes on being answered, with 503.
        const idle = connect(port, "127.0.0.1")
        idle.write("GET /v2/health/ready HTTP/1.1\r\nHost: x\r\n\r\nGET /v2/health/re")
        let text = ""
        idle.on("data", (chunk) => {
          text += chunk.toString()
        })
        await until(() => text.includes("\"ready\":true"))
        const closing = Effect.runPromise(Scope.close(scope, Exit.void))
        await until(() => fakes.drained)
        idle.write("ady HTTP/1.1\r\nHost: x\r\n\r\n")
        await until(() => text.includes("\"ready\":false"))
        assert.match(text, /HTTP\/1\.1 503 /)
        assert.match(text, /connection: close/i)
        answerNow()
        assert.strictEqual((await accepted).status, 200)
        await closing
        const late = await call(port, { path: infer, body: good }).then(() => "answered", (error: NodeJS.ErrnoException) => error.code)
        assert.strictEqual(late, "ECONNREFUSED")
      })
    }))

  it.live("stopping does not wait longer than its bound", () =>
    Effect.gen(function*() {
      const fakes = makeFakes()
      const scope = yield* Scope.make()
      const { port } = yield* startServer(fakes, { drainTimeoutMs: 100 }).pipe(Scope.extend(scope))
      fakes.behaviour = () => {}
      yield* Effect.promise(async () => {
        const accepted = call(port, { path: infer, body: good }).catch((error: Error) => error)
        await until(() => fakes.pending.size === 1)
        await Effect.runPromise(Scope.close(scope, Exit.void))
        assert.instanceOf(await accepted, Error)
        await until(() => fakes.arena.usedBytes() === 0)
      })
    }))
})

describe.each(places)("bugs, read $where", ({ makeFakes, startServer }) => {
  it.scopedLive("an exception on a request's way is that request's 500, is logged, and frees nothing that is still borrowed", () =>
    Effect.gen(function*() {
      const fakes = makeFakes()
      const { port } = yield* startServer(fakes)
      fakes.behaviour = () => {
        throw new Error("a bug")
      }
      const answer = yield* Effect.promise(() => call(port, { path: infer, body: good }))
      assert.strictEqual(answer.status, 500)
      assert.notInclude(answer.json.error, "a bug")
      assert.isAbove(fakes.arena.usedBytes(), 0)
      fakes.behaviour = (_, done) => done()
      const after = yield* Effect.promise(() => call(port, { path: infer, body: good }))
      assert.strictEqual(after.status, 200)
      fakes.pending.clear()
    }).pipe(Effect.provide(Logger.remove(Logger.defaultLogger))))
})
