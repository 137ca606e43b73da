import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Logger from "effect/Logger"
import * as Scope from "effect/Scope"
import { mkdtemp, readFile, rename, rm, truncate } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { RequestDropped } from "../../src/core/RequestError.js"
import { formatLine, header } from "../../src/server/RequestLog.js"
import { makeFakes } from "../support/fakeServices.js"
import { call } from "../support/http.js"
import { digits, startServer } from "../support/server.js"

const folder = Effect.acquireRelease(
  Effect.promise(() => mkdtemp(join(tmpdir(), "glet-log-"))),
  (path) => Effect.promise(() => rm(path, { recursive: true }))
)

describe("RequestLog", () => {
  it("formats a line with the original's columns", () => {
    const times = { arrivedMs: 100, queuedMs: 100, batchClosedMs: 102.5, startedMs: 103, endedMs: 110 }
    const entry = { timestampMs: 1.5, nowMs: 110.25, model: "m", batchId: 4, requestId: 9, device: "cpu/1", times }
    assert.strictEqual(formatLine(entry), "1.500,m,4,9,cpu/1,2.500,0.500,0,7.000,0,0.250\n")
    assert.strictEqual(formatLine({ ...entry, model: "a,\"b\n" }).slice(0, 16), "1.500,\"a,\"\"b \",4")
    const dropped = { ...times, batchClosedMs: 0, startedMs: 0 }
    assert.strictEqual(formatLine({ ...entry, requestId: -1, batchId: 0, device: "-", times: dropped }), "1.500,m,0,-1,-,10.000,0,0,0,0,0\n")
    assert.strictEqual(header.split(",").length, formatLine(entry).split(",").length)
  })

  it.scopedLive("logs answered and dropped requests; the file is complete once the server has stopped, and is appended to", () =>
    Effect.gen(function*() {
      const requestLog = join(yield* folder, "log.txt")
      for (let run = 0; run < 2; run++) {
        const fakes = makeFakes()
        const scope = yield* Scope.make()
        const { port } = yield* startServer(fakes, { requestLog }).pipe(Scope.extend(scope))
        const send = Effect.promise(() => call(port, { path: "/v2/models/digits/infer", body: digits([1, 2, 3, 4, 5, 6]) }))
        yield* send
        fakes.behaviour = (request, answer) => answer(new RequestDropped({ model: request.model, reason: "queue-full", retryAfterMs: 1 }))
        yield* send
        yield* Scope.close(scope, Exit.void)
      }
      const lines = (yield* Effect.promise(() => readFile(requestLog, "utf8"))).trimEnd().split("\n")
      assert.strictEqual(lines[0], header)
      assert.strictEqual(lines.length, 5)
      assert.deepStrictEqual(lines.slice(1).map((line) => line.split(",")[3]), ["1", "-1", "1", "-1"])
    }))

  it.scopedLive("goes on in a new file once its file was renamed, and in the same one once it was emptied; each begins with the header", () =>
    Effect.gen(function*() {
      const requestLog = join(yield* folder, "log.txt")
      const { port } = yield* startServer(makeFakes(), { requestLog })
      const send = () => call(port, { path: "/v2/models/digits/infer", body: digits([1, 2, 3, 4, 5, 6]) })
      const text = (path: string) => readFile(path, "utf8").catch(() => "")
      const sendUntil = async (what: string, holds: () => Promise<boolean>) => {
        for (let i = 0; i < 1000; i++) {
          await send()
          if (await holds()) return
          await sleep(10)
        }
        assert.fail(`never: ${what}`)
      }
      const isLog = async () => new RegExp(`^${header}\n.+,digits,`).test(await text(requestLog))
      yield* Effect.promise(async () => {
        await sendUntil("a log", isLog)
        await rename(requestLog, `${requestLog}.1`)
        await sendUntil("another log", isLog)
        const old = await text(`${requestLog}.1`)
        await truncate(requestLog)
        await sendUntil("a log after it was emptied", isLog)
        assert.strictEqual(await text(`${requestLog}.1`), old)
        const lines = (await text(requestLog)).split("\n")
        assert.strictEqual(lines.filter((line) => line === header).length, 1)
      })
    }))

  it.scopedLive.skipIf(process.platform !== "linux")("tells of lines that are lost once, not at every flush", () =>
    Effect.gen(function*() {
      const told: Array<string> = []
      const logger = Logger.make(({ message }) => void told.push(String(message)))
      yield* Effect.gen(function*() {
        const { port } = yield* startServer(makeFakes(), { requestLog: "/dev/full" })
        const isTold = () => told.some((line) => line.includes("lines were lost"))
        for (let i = 0; i < 100 && !isTold(); i++) {
          yield* Effect.promise(() => call(port, { path: "/v2/models/digits/infer", body: digits([1, 2, 3, 4, 5, 6]) }))
          yield* Effect.sleep("20 millis")
        }
        // More than one flush each.
        for (let i = 0; i < 5; i++) {
          yield* Effect.promise(() => call(port, { path: "/v2/models/digits/infer", body: digits([1, 2, 3, 4, 5, 6]) }))
          yield* Effect.sleep("150 millis")
        }
      }).pipe(Effect.provide(Logger.replace(Logger.defaultLogger, logger)))
      const lost = told.filter((line) => line.includes("request log /dev/full"))
      assert.strictEqual(lost.length, 1, lost.join("\n"))
      assert.match(lost[0]!, /\d+ lines were lost: .*ENOSPC/)
    }))

  it.scopedLive("a file that cannot be written is a typed error at the start", () =>
    Effect.gen(function*() {
      const requestLog = join(yield* folder, "none", "log.txt")
      const error = yield* Effect.flip(startServer(makeFakes(), { requestLog }))
      assert.strictEqual(error._tag, "RequestLogError")
      assert.include(error.message, requestLog)
    }))
})
