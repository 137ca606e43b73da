import { assert, describe, it } from "@effect/vitest"
import * as http from "node:http"
import type { AddressInfo } from "node:net"
import * as net from "node:net"
import { makeSchedule } from "../../../src/simulator/ArrivalSchedule.js"
import type { Target } from "../../../src/cli/load/HttpConnection.js"
import { makeHttpRequest } from "../../../src/cli/load/InferRequests.js"
import type { LoadOptions, LoadStream } from "../../../src/cli/load/LoadGenerator.js"
import { runLoad } from "../../../src/cli/load/LoadGenerator.js"

const withServer = async <A>(handler: http.RequestListener, use: (target: Target) => Promise<A>): Promise<A> => {
  const server = http.createServer(handler)
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  try {
    return await use({ host: "127.0.0.1", port: (server.address() as AddressInfo).port })
  } finally {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }
}

const readBody = (request: http.IncomingMessage, then: (body: string) => void): void => {
  const chunks: Array<Buffer> = []
  request.on("data", (chunk: Buffer) => chunks.push(chunk)).on("end", () => then(Buffer.concat(chunks).toString()))
}

const requestsTo = (target: Target, model: string): ReadonlyArray<Buffer> =>
  [0, 1, 2].map((i) => makeHttpRequest(target, model, { bytes: Buffer.from(JSON.stringify({ i })), jsonBytes: undefined }))

const stream = (target: Target, options: Partial<LoadStream> & { readonly rateRps?: number } = {}): LoadStream => ({
  steps: [{ requests: requestsTo(target, "m"), after: [] }],
  schedule: makeSchedule({ ratesRps: [options.rateRps ?? 200], periodMs: 1000, distribution: "uniform", seed: 1 }),
  sloMs: 1000,
  warmUpMs: 0,
  endMs: Infinity,
  maxRequests: 50,
  ...options
})

const options = (target: Target, changes: Partial<LoadOptions> = {}): LoadOptions => ({
  target, connections: 16, timeoutMs: 20_000, precise: true, windowMs: Infinity, ...changes
})

describe("LoadGenerator", () => {
  it("sends whole requests in turn and sees their answers", () =>
    withServer((request, response) => {
      readBody(request, (body) => response.setHeader("x-path", request.url!).end(body))
    }, async (target) => {
      const seen: Array<readonly [number, string]> = []
      const result = await runLoad(options(target), [stream(target, { onAnswer: (index, body) => seen.push([index, body.toString()]) })])
      const report = result.streams[0]!.stats.report()
      assert.strictEqual(report.requests, 50)
      assert.strictEqual(report.answered, 50)
      assert.strictEqual(report.sloKept, 1)
      assert.strictEqual(seen.length, 50)
      for (const [index, body] of seen) assert.strictEqual(body, `{"i":${index}}`)
      assert.deepStrictEqual(new Set(seen.map(([index]) => index)), new Set([0, 1, 2]))
    }))

  it("a stall of the server shows in the latencies of all requests that fell due meanwhile", async () => {
    // The server answers nothing during its first 600 ms, then at once. A closed-loop client, or one that counts from sending on its one
    // connection, would see one slow request; 60 requests fell due in that time.
    const held: Array<() => void> = []
    let open = false
    await withServer((_, response) => {
      if (open) return void response.end("{}")
      held.push(() => response.end("{}"))
      if (held.length === 1) {
        setTimeout(() => {
          open = true
          for (const answer of held) answer()
        }, 600)
      }
    }, async (target) => {
      const result = await runLoad(options(target, { connections: 1 }), [stream(target, { rateRps: 100, maxRequests: 120, sloMs: 300 })])
      const report = result.streams[0]!.stats.report()
      assert.strictEqual(report.answered, 120)
      // Requests due in the first 300 ms waited more than 300 ms: about 30 of 120 missed their SLO.
      assert.isAtMost(report.withinSlo, 95)
      assert.strictEqual(report.missedBySecond?.reduce((sum, n) => sum + n, 0), 120 - report.withinSlo)
      assert.isTrue(result.streams[0]!.windows.every((window) => window.report().missedBySecond === undefined))
      assert.isAtLeast(report.latencyMs.maxMs, 550)
      assert.isAtLeast(report.latencyMs.p90Ms, 300)
      assert.isAtLeast(result.waited, 20)
    })
  })

  it("counts drops by reason, failures by status, and misses of the SLO against all", () =>
    withServer((request, response) => {
      readBody(request, (body) => {
        const { i } = JSON.parse(body) as { readonly i: number }
        if (i === 1) response.writeHead(429, { "x-glet-drop-reason": "queue-full", "retry-after": "1" })
        if (i === 2) response.writeHead(503)
        response.end("{}")
      })
    }, async (target) => {
      const result = await runLoad(options(target), [stream(target, { maxRequests: 60 })])
      const report = result.streams[0]!.stats.report()
      assert.deepStrictEqual(report.dropped, { "queue-full": 20 })
      assert.deepStrictEqual(report.failed, { "http-503": 20 })
      assert.closeTo(report.sloKept!, 1 / 3, 1e-9)
    }))

  it("understands chunked answers, answers in pieces, and connections that close", () =>
    withServer((request, response) => {
      readBody(request, (body) => {
        const { i } = JSON.parse(body) as { readonly i: number }
        if (i === 0) response.setHeader("connection", "close")
        if (i === 1) {
          response.write(body.slice(0, 2))
          setTimeout(() => response.end(body.slice(2)), 2)
          return
        }
        response.setHeader("content-length", body.length).end(body)
      })
    }, async (target) => {
      const bodies: Array<string> = []
      const result = await runLoad(options(target), [stream(target, { onAnswer: (_, body) => bodies.push(body.toString()) })])
      assert.deepStrictEqual(result.streams[0]!.stats.report().failed, {})
      assert.strictEqual(bodies.length, 50)
      for (const body of bodies) assert.match(body, /^\{"i":[012]\}$/)
    }))

  it("warm-up is sent and not counted; windows add up to the whole", () => {
    let received = 0
    return withServer((_, response) => {
      received++
      response.end("{}")
    }, async (target) => {
      const result = await runLoad(options(target, { windowMs: 100 }), [
        stream(target, { rateRps: 200, warmUpMs: 200, endMs: 600, maxRequests: Infinity })
      ])
      const [only] = result.streams
      const requests = only!.stats.report().requests
      assert.isAtLeast(received, requests + 38)
      assert.isAtLeast(requests, 79)
      assert.isAtMost(requests, 81)
      assert.strictEqual(only!.windows.reduce((sum, window) => sum + window.requests, 0), requests)
      assert.strictEqual(only!.windows.length, 6)
    })
  })

  it("a server that is not there, and one that speaks no HTTP, fail every request and end", async () => {
    const free = net.createServer()
    await new Promise<void>((resolve) => free.listen(0, "127.0.0.1", resolve))
    const target = { host: "127.0.0.1", port: (free.address() as AddressInfo).port }
    await new Promise((resolve) => free.close(resolve))
    const absent = await runLoad(options(target), [stream(target, { maxRequests: 10 })])
    assert.deepStrictEqual(absent.streams[0]!.stats.report().failed, { "connect-failed": 10 })
    assert.deepStrictEqual(absent.silent.map(({ exchanges, target }) => ({ exchanges, target })), [{ exchanges: 10, target }])

    const babble = net.createServer((socket) => {
      socket.on("error", () => undefined)
      socket.on("data", () => socket.write("hello there, this is not the protocol you expect\r\n\r\n"))
    })
    await new Promise<void>((resolve) => babble.listen(0, "127.0.0.1", resolve))
    const other = { host: "127.0.0.1", port: (babble.address() as AddressInfo).port }
    const result = await runLoad(options(other), [stream(other, { maxRequests: 10 })])
    assert.deepStrictEqual(result.streams[0]!.stats.report().failed, { "bad-response": 10 })
    await new Promise((resolve) => babble.close(resolve))
  })

  it("a load with a time to begin finds open connections that were tried out, and begins then", async () => {
    const sockets = new Set<net.Socket>()
    let [lives, earliestMs, atFirst] = [0, Infinity, 0]
    await withServer((request, response) => {
      sockets.add(request.socket)
      if (request.url === "/v2/health/live") lives += 1
      else if (Date.now() < earliestMs) [earliestMs, atFirst] = [Date.now(), lives]
      response.end("{}")
    }, async (target) => {
      const startAtMs = Date.now() + 400
      const result = await runLoad(options(target, { startAtMs }), [stream(target, { maxRequests: 20 })])
      const { answered, requests } = result.streams[0]!.stats.report()
      assert.deepStrictEqual([requests, answered], [20, 20])
      assert.strictEqual(sockets.size, 16)
      assert.strictEqual(lives, atFirst)
      assert.strictEqual(lives, 160)
      assert.isAtLeast(earliestMs, startAtMs)
    })
  })

  it("a server that answers no try is sent the load all the same", () =>
    withServer((request, response) => {
      if (request.url !== "/v2/health/live") response.end("{}")
    }, async (target) => {
      const result = await runLoad(options(target, { startAtMs: Date.now(), connections: 2 }), [stream(target, { maxRequests: 10 })])
      assert.strictEqual(result.streams[0]!.stats.report().answered, 10)
      assert.deepStrictEqual(result.silent, [])
    }))

  it("a request without an answer fails by time-out, and an aborted run ends", () =>
    withServer(() => undefined, async (target) => {
      const late = await runLoad(options(target, { timeoutMs: 300 }), [stream(target, { maxRequests: 5 })])
      assert.deepStrictEqual(late.streams[0]!.stats.report().failed, { timeout: 5 })
      const stop = new AbortController()
      setTimeout(() => stop.abort(), 200)
      const aborted = await runLoad(options(target, { signal: stop.signal, connections: 2 }), [stream(target, { maxRequests: Infinity })])
      const report = aborted.streams[0]!.stats.report()
      assert.strictEqual(report.answered, 0)
      assert.isAbove(report.requests, 0)
      assert.deepStrictEqual(aborted.silent, [], "what is given up says nothing of the server")
    }))

  it("a server that answers again is not silent", () => {
    let requests = 0
    return withServer((request, response) => {
      requests += 1
      if (requests > 10 && requests <= 20) request.socket.destroy()
      else response.end("{}")
    }, async (target) => {
      const { silent, streams: [only] } = await runLoad(options(target, { connections: 1 }), [stream(target, { maxRequests: 30 })])
      const { answered, failed } = only!.stats.report()
      assert.strictEqual(answered, 20)
      assert.deepStrictEqual(failed, { "connection-lost": 10 })
      assert.deepStrictEqual(silent, [])
    })
  })

  it("an answer that is heard of after a failure, but was asked for before it, does not say that the server lives", async () => {
    const sockets: Array<net.Socket> = []
    // The first is cut, and seen to be, before the second is answered; then nothing is left.
    const server = net.createServer((socket) => {
      sockets.push(socket.on("error", () => undefined))
      if (sockets.length < 2) return
      server.close()
      sockets[0]!.once("close", () => setTimeout(() => socket.end("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), 50))
      sockets[0]!.destroy()
    })
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
    const target = { host: "127.0.0.1", port: (server.address() as AddressInfo).port }
    const { silent, streams: [only] } = await runLoad(options(target), [stream(target, { schedule: () => 0, maxRequests: 2 })])
    assert.deepStrictEqual([only!.stats.report().answered, only!.stats.report().failed], [1, { "connection-lost": 1 }])
    assert.deepStrictEqual(silent.map(({ exchanges }) => exchanges), [1])
  })

  it("counts what waits in vain, and what is too much to wait, once each", () =>
    withServer(() => undefined, async (target) => {
      const { streams: [only], waited } = await runLoad(options(target, { connections: 1, timeoutMs: 100 }), [stream(target, { schedule: () => 0, maxRequests: 20_050 })])
      assert.deepStrictEqual(only!.stats.report().failed, { timeout: 20_001, "client-overflow": 49 })
      assert.strictEqual(waited, 20_049)
    }))

  it("clients keep as many requests in flight, each followed by the next, beside a stream with a schedule, and end in time", () => {
    let inFlight = 0
    let most = 0
    let served = 0
    return withServer((request, response) => {
      readBody(request, () => {
        most = Math.max(most, ++inFlight)
        setTimeout(() => {
          inFlight--
          served++
          response.end("{}")
        }, 2)
      })
    }, async (target) => {
      const clients = stream(target, { clients: 3, maxRequests: Infinity, warmUpMs: 100, endMs: 400 })
      const { streams: [closed, open] } = await runLoad(options(target), [clients, stream(target, { maxRequests: 20 })])
      const report = closed!.stats.report()
      assert.strictEqual(report.answered, report.requests)
      assert.strictEqual(open!.stats.report().answered, 20)
      assert.isAtLeast(report.answered, 10)
      assert.isAbove(served, report.answered + 20, "those of the warm-up are not counted")
      const { streams: [only] } = await runLoad(options(target), [stream(target, { clients: 2, maxRequests: 15 })])
      assert.strictEqual(only!.stats.report().answered, 15)
      assert.isAtLeast(most, 3)
    })
  })

  it("a client that is refused asks again after a pause, and an aborted one no more", () =>
    withServer((request, response) => {
      readBody(request, () => response.writeHead(503).end())
    }, async (target) => {
      const stop = new AbortController()
      setTimeout(() => stop.abort(), 300)
      const started = performance.now()
      const { streams: [refused] } = await runLoad(options(target, { signal: stop.signal }), [stream(target, { clients: 2, maxRequests: Infinity })])
      const report = refused!.stats.report()
      // But for those that the end met under way.
      assert.isAtLeast(report.failed["http-503"]!, report.requests - 2)
      // Two clients with pauses of 10 ms at least.
      assert.isAtMost(report.requests, 2 * (1 + (performance.now() - started) / 10))
    }))

  it("sends the steps of a request when those before are answered, to their own servers, and none after one that is lost", () => {
    const order: Array<string> = []
    const answering = (name: string, ms: number, fails: (body: string) => boolean = () => false) => (request: http.IncomingMessage, response: http.ServerResponse): void =>
      readBody(request, (body) => {
        order.push(`${name} asked ${body}`)
        setTimeout(() => {
          order.push(`${name} answers ${body}`)
          response.writeHead(fails(body) ? 429 : 200, { "x-glet-drop-reason": "late" }).end("{}")
        }, ms)
      })
    return withServer(answering("first", 20, (body) => body.includes("1")), (target) =>
      withServer(answering("then", 30), async (other) => {
        const result = await runLoad(options(target), [stream(target, {
          steps: [
            { requests: requestsTo(target, "a"), after: [] },
            { requests: requestsTo(other, "b"), after: [0], target: other },
            { requests: requestsTo(other, "c"), after: [0, 1], target: other }
          ],
          maxRequests: 3, rateRps: 2
        })])
        const { stats } = result.streams[0]!
        assert.deepStrictEqual(stats.report().dropped, { late: 1 })
        assert.strictEqual(stats.latency.count, 2)
        assert.isAtLeast(stats.latency.summary().p50Ms, 80 * 0.95)
        const ofFirst = order.filter((line) => line.includes('"i":0'))
        assert.deepStrictEqual(ofFirst, ["first asked", "first answers", "then asked", "then answers", "then asked", "then answers"].map((text) => `${text} {"i":0}`))
        assert.strictEqual(order.filter((line) => line.includes('"i":1')).length, 2)
      }))
  })
})
