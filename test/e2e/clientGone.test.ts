/** Clients that go away: their memory comes back, they are counted, and nobody else notices. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { Agent, request } from "node:http"
import { connect } from "node:net"
import { denseModel } from "../support/onnx.js"
import { tempFolder } from "./support/folder.js"
import type { Stream } from "./support/load.js"
import { ask, bodyOf } from "./support/load.js"
import { cpuStack, eventually } from "./support/stack.js"

const width = 512
const dense: Omit<Stream, "rateRps"> = { model: "dense", width, echoes: false }

describe("clients that go away", () => {
  it.scopedLive("in the queue, while their batch runs, and in the middle of a body", () =>
    Effect.gen(function*() {
      const directory = yield* tempFolder({ "dense.onnx": denseModel(2, width) })
      const { arena, metrics, port, status } = yield* cpuStack({
        directory, cores: 1, models: { dense: { sloMs: 10_000, rateRps: 5, maxBatch: 1 } }
      })
      const counters = Effect.map(status, ({ models: [model] }) => model!)

      // While the runner stands still, nothing is answered.
      const { pid } = (yield* status).glets[0]!
      process.kill(pid!, "SIGSTOP")
      const agent = new Agent({ maxSockets: 128 })
      const body = bodyOf(dense, 1)
      const gone = 100
      const calls = Array.from({ length: gone }, () => {
        const outgoing = request({ agent, port, host: "127.0.0.1", method: "POST", path: "/v2/models/dense/infer", headers: { "content-length": body.length } })
        outgoing.on("error", () => undefined)
        outgoing.on("response", (response) => response.resume())
        outgoing.end(body)
        return outgoing
      })
      yield* eventually("they wait and run", counters, ({ inFlight, queued }) => inFlight > 0 && inFlight + queued === gone)
      assert.isAbove(arena.usedBytes(), 0)
      for (const outgoing of calls) outgoing.destroy()
      yield* eventually("none waits", counters, ({ queued }) => queued === 0)
      const { inFlight } = yield* counters
      assert.isAbove(inFlight, 0)
      assert.isAtLeast(arena.usedBytes(), inFlight * 8 * width, "what runs keeps its memory")
      process.kill(pid!, "SIGCONT")
      yield* eventually("nothing runs", counters, ({ inFlight }) => inFlight === 0)
      const { answered, canceled, dropped, failed } = yield* counters
      assert.strictEqual(canceled, gone, "each is counted once")
      assert.strictEqual(answered, 0)
      assert.strictEqual(failed + dropped.reduce((sum, { count }) => sum + count, 0), 0)
      yield* eventually("memory is back", Effect.sync(arena.usedBytes), (used) => used === 0)
      assert.strictEqual((yield* metrics).get("nv_inference_request_failure{model=\"dense\",version=\"1\",reason=\"CANCELED\"}"), canceled)
      assert.strictEqual((yield* metrics).get("glet_tensor_memory_used_bytes"), 0)

      // Half of a binary tensor: its slot is taken, its bytes never come.
      const head = JSON.stringify({ inputs: [{ name: "x", datatype: "FP32", shape: [1, width], parameters: { binary_data_size: 4 * width } }] })
      const socket = connect(port, "127.0.0.1")
      socket.on("error", () => undefined)
      socket.write(
        `POST /v2/models/dense/infer HTTP/1.1\r\nHost: h\r\nInference-Header-Content-Length: ${head.length}\r\n` +
          `Content-Length: ${head.length + 4 * width}\r\n\r\n${head}${"\0".repeat(width)}`
      )
      yield* eventually("its slot is taken", Effect.sync(arena.usedBytes), (used) => used > 0)
      socket.destroy()
      yield* eventually("its slot is back", Effect.sync(arena.usedBytes), (used) => used === 0)

      agent.destroy()
      const after = yield* Effect.promise(() => ask(port, dense, 1, new Agent()))
      assert.strictEqual(after.status, 200, after.reason)
    }), 180_000)
})
