/** What several processes bring with them: connections are spread, one may die, memory comes back, another takes its place. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import * as Option from "effect/Option"
import * as TestContext from "effect/TestContext"
import { once } from "node:events"
import * as fs from "node:fs"
import { Agent } from "node:http"
import { connect, type Socket } from "node:net"
import { setTimeout as sleep } from "node:timers/promises"
import { frontsFor } from "../../../src/server/fronts/startFronts.js"
import { call } from "../../support/http.js"
import { digits, freed, makeSharedFakes, startFronted } from "../../support/server.js"

const infer = "/v2/models/digits/infer"
const good = digits([1, 2, 3, 4, 5, 6])
const bytes = `POST ${infer} HTTP/1.1\r\nHost: x\r\nContent-Length: ${good.length}\r\n\r\n${good}`

/** Process ids of the fronts. */
const fronts = (): Array<number> =>
  fs.readFileSync(`/proc/self/task/${process.pid}/children`, "utf8").trim().split(" ").map(Number)
    .filter((pid) => pid > 0 && fs.readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("front.js"))

const until = async (condition: () => boolean, what: string): Promise<void> => {
  for (let i = 0; i < 1000 && !condition(); i++) await sleep(10)
  assert.isTrue(condition(), what)
}

/** A client that asks again as soon as it is answered. */
class Client {
  answers = 0
  closed = false
  text = ""
  readonly socket: Socket
  constructor(port: number) {
    this.socket = connect(port, "127.0.0.1", () => this.socket.write(bytes))
    this.socket.on("data", (chunk) => {
      this.text += chunk.toString()
      if (!this.text.endsWith("]}]}")) return
      assert.match(this.text, /^HTTP\/1\.1 200 /)
      this.text = ""
      this.answers += 1
      this.socket.write(bytes)
    })
    this.socket.on("error", () => {})
    this.socket.on("close", () => this.closed = true)
  }
}

describe.skipIf(process.platform !== "linux")("fronts", () => {
  it.scopedLive("bring every answer of the agent to the client, also one that was there before the request was read to its end", () =>
    Effect.gen(function*() {
      const { port } = yield* startFronted(makeSharedFakes())
      const path = "/v2/models/digits/versions/9/infer"
      // Refused by its head, while the body is on its way: one in fifty was lost so.
      const body = `${good.slice(0, -1)}, "id": "${"x".repeat(3000)}"}`
      const agents = [1, 2, 3, 4].map(() => new Agent({ keepAlive: true, maxSockets: 1 }))
      yield* Effect.promise(async () => {
        for (let round = 0; round < 150; round++) {
          const answers = await Promise.all(agents.map((agent) => call(port, { path, body, agent })))
          assert.deepStrictEqual(answers.map(({ status }) => status), [404, 404, 404, 404])
        }
        for (const agent of agents) agent.destroy()
      })
    }), 60_000)

  it.scopedLive("one that is killed under load takes its connections with it and nothing else; another takes its place", () =>
    Effect.gen(function*() {
      const fakes = makeSharedFakes()
      const { port } = yield* startFronted(fakes)
      yield* Effect.promise(async () => {
        const clients = Array.from({ length: 8 }, () => new Client(port))
        await until(() => clients.every(({ answers }) => answers > 2), "all are answered")
        const held: Array<() => void> = []
        fakes.behaviour = (_, answer) => held.push(answer)
        await until(() => held.length === 8, "each has one with the scheduler")
        const [first, second] = fronts()
        process.kill(first!, "SIGKILL")
        await until(() => fakes.canceled > 0 && clients.some(({ closed }) => closed), "its connections end, its requests leave the queue")
        await sleep(100)
        assert.strictEqual(clients.filter(({ closed }) => closed).length, 4, "half of the connections were its")
        assert.strictEqual(fakes.canceled, 4)
        fakes.behaviour = (_, answer) => setImmediate(answer)
        for (const answer of held) answer()
        const others = clients.filter(({ closed }) => !closed)
        const before = others.map(({ answers }) => answers)
        await until(() => others.every(({ answers }, i) => answers > before[i]! + 2), "the others are served on")
        await until(() => fronts().some((pid) => pid !== first && pid !== second), "another is started")
        const successor = fronts().find((pid) => pid !== first && pid !== second)!
        const ownPath = /"ownPath":"([^"]+)"/.exec(fs.readFileSync(`/proc/${successor}/cmdline`, "utf8"))![1]!
        await until(() => fs.readFileSync("/proc/net/unix", "utf8").includes(ownPath), "it listens where the first did")
        assert.isTrue(fronts().includes(successor))
        const again = Array.from({ length: 8 }, () => new Client(port))
        await until(() => again.every(({ answers }) => answers > 2), "new connections are served")
        for (const { socket } of [...clients, ...again]) socket.destroy()
        await freed(fakes)
      })
    }).pipe(Effect.provide(Logger.remove(Logger.defaultLogger))))

  it.scopedLive("the first connections of clients that open two each are not all at the same one", () =>
    Effect.gen(function*() {
      const { port } = yield* startFronted(makeSharedFakes())
      yield* Effect.promise(async () => {
        let closed = 0
        const sockets: Array<Socket> = []
        for (let i = 0; i < 80; i++) {
          const socket = connect(port, "127.0.0.1").on("error", () => {})
          await once(socket, "connect")
          // One after the other: the agent accepts them in this order.
          if (i % 2 === 0) socket.on("close", () => closed++)
          sockets.push(socket)
        }
        const [first] = fronts()
        process.kill(first!, "SIGKILL")
        await until(() => sockets.filter((socket) => socket.closed).length === 40, "half of all are its")
        assert.isTrue(closed > 0 && closed < 40, `${closed} of 40 first ones were its`)
        for (const socket of sockets) socket.destroy()
      })
    }).pipe(Effect.provide(Logger.remove(Logger.defaultLogger))))

  it.scopedLive("one that dies before it has taken its connections leaves no client waiting", () =>
    Effect.gen(function*() {
      const fakes = makeSharedFakes()
      const { port } = yield* startFronted(fakes)
      yield* Effect.promise(async () => {
        const stopped = fronts()
        for (const pid of stopped) process.kill(pid, "SIGSTOP")
        const clients = Array.from({ length: 12 }, () => new Client(port))
        await until(() => clients.every(({ socket }) => !socket.connecting), "all are connected")
        // For the agent to accept them and hand them on.
        await sleep(100)
        for (const pid of stopped) process.kill(pid, "SIGKILL")
        // One that the agent accepted only now is answered.
        await until(() => clients.every(({ answers, closed }) => closed || answers > 0), "none waits")
        // None has had a connection since: the server must end all the same.
        await until(() => fronts().length === stopped.length && fronts().every((pid) => !stopped.includes(pid)), "others are started")
        for (const { socket } of clients) socket.destroy()
      })
    }).pipe(Effect.provide(Logger.remove(Logger.defaultLogger))))

  it.scopedLive("what the catalog tells has come to all of them", () =>
    Effect.gen(function*() {
      const fakes = makeSharedFakes()
      yield* startFronted(fakes)
      const [tell] = fakes.catalogObservers
      const stopped = fronts()[1]!
      process.kill(stopped, "SIGSTOP")
      try {
        // By a clock that stands, so that patience has no end.
        const telling = yield* Effect.fork(Effect.provide(tell!("digits"), TestContext.TestContext))
        yield* Effect.promise(() => sleep(100))
        assert.isTrue(Option.isNone(yield* Fiber.poll(telling)))
        process.kill(stopped, "SIGCONT")
        yield* Fiber.join(telling)
      } finally {
        process.kill(stopped, "SIGCONT")
      }
    }))

  it.scopedLive("one that hangs holds up neither a load nor a change of clients' memory until it is ended for it", () =>
    Effect.gen(function*() {
      const object = `glet-hang-${process.pid}`
      yield* Effect.acquireRelease(
        Effect.sync(() => fs.writeFileSync(`/dev/shm/${object}`, Buffer.alloc(64))),
        () => Effect.sync(() => fs.rmSync(`/dev/shm/${object}`))
      )
      const { port } = yield* startFronted(makeSharedFakes(), { sharedMemory: true })
      const agents = [0, 1].map(() => new Agent({ keepAlive: true, maxSockets: 1 }))
      yield* Effect.promise(async () => {
        // One connection at each.
        for (const agent of agents) assert.strictEqual((await call(port, { path: infer, body: good, agent })).status, 200)
        const stopped = fronts()[0]!
        process.kill(stopped, "SIGSTOP")
        try {
          // Who answers is the other's.
          const beside = await Promise.any(agents.map((agent) => call(port, { path: infer, body: good, agent }).then(() => agent)))
          for (const [path, body] of [
            ["systemsharedmemory/region/r/register", JSON.stringify({ key: object, byte_size: 64 })], ["systemsharedmemory/region/r/unregister", ""],
            ["repository/models/digits/load", ""], ["repository/models/digits/load", ""]
          ] as const) {
            assert.strictEqual((await call(port, { method: "POST", path: `/v2/${path}`, body, agent: beside })).status, 200)
            assert.isTrue(fronts().includes(stopped), `${path} did not wait until it was taken for hung`)
          }
        } finally {
          process.kill(stopped, "SIGCONT")
        }
        for (const agent of agents) agent.destroy()
      })
    }))

  it.scopedLive("where no memory can be lent, the agent serves", () =>
    Effect.gen(function*() {
      const fakes = makeSharedFakes()
      // Nothing is left for parts.
      const rest = fakes.arena.shared!.lend(fakes.arena.capacityBytes / 2)!
      const small = Array.from({ length: 4 }, () => fakes.arena.shared!.lend(fakes.arena.capacityBytes / 8)!)
      const { port } = yield* startFronted(fakes)
      for (const part of small) part.release()
      const answer = yield* Effect.promise(() => call(port, { path: infer, body: good }))
      assert.strictEqual(answer.status, 200)
      rest.release()
    }).pipe(Effect.provide(Logger.remove(Logger.defaultLogger))))

  it.scopedLive("metrics, statistics and limits are those of the whole server", () =>
    Effect.gen(function*() {
      const fakes = makeSharedFakes()
      const { port } = yield* startFronted(fakes, { maxConnections: 6 })
      yield* Effect.promise(async () => {
        const agents = Array.from({ length: 4 }, () => new Agent({ keepAlive: true, maxSockets: 1 }))
        for (let i = 0; i < 20; i++) assert.strictEqual((await call(port, { path: infer, body: good, agent: agents[i % 4]! })).status, 200)
        for (let i = 0; i < 4; i++) assert.strictEqual((await call(port, { path: infer, body: "{", agent: agents[i]! })).status, 400)
        await sleep(50)
        const page = (await call(port, { path: "/metrics", agent: agents[0]! })).body.toString()
        assert.include(page, `glet_http_responses_total{status="200"} 20\n`)
        assert.include(page, `glet_http_responses_total{status="400"} 4\n`)
        const stats = await call(port, { path: "/v2/models/digits/stats", agent: agents[1]! })
        assert.strictEqual(stats.json.model_stats[0]!.inference_stats.success.count, 20)
        // Four are open: two more, and no third.
        const more = Array.from({ length: 3 }, () => new Client(port))
        await until(() => more.filter(({ answers }) => answers > 0).length === 2 && more.filter(({ closed }) => closed).length === 1, "one of three is one too many")
        for (const { socket } of more) socket.destroy()
        for (const agent of agents) agent.destroy()
        await freed(fakes)
      })
    }))
})

describe("auto", () => {
  it("starts none where cores are few, and never more than there are cores", () => {
    const [mebibyte, gibibyte] = [2 ** 20, 2 ** 30]
    const config = (fronts: number | "auto") => ({ fronts, maxBodyBytes: 64 * mebibyte })
    assert.deepStrictEqual([1, 2, 3, 4, 8, 16, 64].map((cores) => frontsFor(config("auto"), cores, 2 * gibibyte)), [0, 0, 0, 1, 2, 4, 8])
    assert.deepStrictEqual([1, 2, 16].map((cores) => frontsFor(config(4), cores, 2 * gibibyte)), [1, 2, 4])
    assert.strictEqual(frontsFor(config(0), 16, 2 * gibibyte), 0)
    // The largest request and as large an answer have to fit into the part of each.
    assert.deepStrictEqual([100 * mebibyte, 512 * mebibyte, gibibyte - 4096].map((capacity) => frontsFor(config("auto"), 64, capacity)), [0, 3, 6])
  })
})
