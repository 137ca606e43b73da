/**
 * What clients and operators get wrong, against the real `glet serve`: one server takes all of it and then still serves. The finer cases of each
 * kind are in test/server/HttpServer.badInput.test.ts, those of the command line in test/cli/usage.test.ts.
 */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as fs from "node:fs"
import { Agent } from "node:http"
import * as net from "node:net"
import * as path from "node:path"
import { gzipSync } from "node:zlib"
import type { Glet } from "../cli/support/glet.js"
import { buildGlet } from "../cli/support/glet.js"
import type { Answer } from "../support/http.js"
import { call, rawExchange } from "../support/http.js"
import { identityModel } from "../support/onnx.js"
import { ask } from "./support/load.js"
import type { Served } from "./support/served.js"
import { modelsOf, serve, stop } from "./support/served.js"
import { metricsAt } from "./support/stack.js"

const echo = identityModel(4)
const maxBodyBytes = 1_000_000

let glet: Glet
let served: Served
let port: number
beforeAll(async () => {
  glet = await buildGlet()
  const config = path.join(glet.folder, "server.json")
  fs.writeFileSync(config, JSON.stringify({ apiVersion: "glet/v1alpha1", server: { maxBodyBytes, headersTimeoutMs: 500, requestTimeoutMs: 1000 } }))
  const models = modelsOf(glet, {
    "echo.onnx": echo,
    "name with space.onnx": echo,
    "cut.onnx": echo.subarray(0, 60),
    "typo/config.pbtxt": "name: \"typo\"\nmax_batch_size: 4\ninput [ { name: \"x\" data_type: TYPE_FP23 dims: [ 4 ] } ]\n",
    "typo/1/model.onnx": echo,
    "open/config.pbtxt": "name: \"open\"\ninput [ {\n",
    "open/1/model.onnx": echo
  })
  served = await serve(glet, models, ["--config", config])
  port = served.port
})
afterAll(() => glet.close())

const infer = "/v2/models/echo/infer"
const tensor = (change: object = {}): string => JSON.stringify({ inputs: [{ name: "x", datatype: "FP32", shape: [1, 4], data: [1, 2, 3, 4], ...change }] })
const good = tensor()

const assertRefused = (answer: Answer, status: number, names: string): void => {
  assert.strictEqual(answer.status, status, answer.body.toString())
  assert.include(answer.json.error, names)
}
const assertServes = async (): Promise<void> => {
  const agent = new Agent()
  const { own, reason, status } = await ask(port, { model: "echo", width: 4, echoes: true }, 7, agent)
  assert.strictEqual(status, 200, reason)
  assert.isTrue(own)
}

describe("a client's mistakes", () => {
  it("unknown names are 404; names are percent-decoded, and strange ones are just unknown", async () => {
    for (const name of ["nope", "..", "%2e%2e", "__proto__", "constructor", "echo%00", "..%2fecho", "a".repeat(5000)]) {
      assert.strictEqual((await call(port, { path: `/v2/models/${name}/infer`, body: good })).status, 404, name)
      assert.strictEqual((await call(port, { path: `/v2/models/${name}/ready` })).status, 404, name)
      assert.strictEqual((await call(port, { path: `/v2/repository/models/${name}/load`, body: "{}" })).status, 404, name)
      assert.strictEqual((await call(port, { path: `/v2/repository/models/${name}/unload`, body: "{}" })).status, 404, name)
    }
    assert.strictEqual((await call(port, { path: "/v2/models/name%20with%20space/infer", body: good })).status, 200)
    assert.strictEqual((await call(port, { path: "/v2/models/%65cho/infer", body: good })).status, 200)
  })

  it("wrong name, type, shape and size, NaN, a cut binary part and absurd headers are 400 with the field named", async () => {
    const cases: ReadonlyArray<readonly [body: string, field: string]> = [
      [tensor({ name: "y" }), "inputs[0].name"], [tensor({ datatype: "FP64" }), "inputs[0].datatype"], [tensor({ shape: [1, 5] }), "inputs[0].shape[1]"],
      [tensor({ shape: [-1, 4] }), "inputs[0].shape[0]"], [tensor({ shape: [2 ** 52, 4] }), "inputs[0].shape[0]"],
      [tensor({ shape: [1e300, 4] }), "inputs[0].shape[0]"], [tensor({ data: [1, 2, 3] }), "inputs[0].data"],
      [good.replace("3,", "NaN,"), "inputs[0].data[2]"], [good.replace("\"data\":[1", "\"data\":[1e999"), "inputs[0].data[0]"], [good.slice(0, -2), "body"],
      [tensor({ data: undefined, parameters: { binary_data_size: -16 } }), "inputs[0].parameters.binary_data_size"]
    ]
    for (const [body, field] of cases) assertRefused(await call(port, { path: infer, body }), 400, field)

    const head = tensor({ data: undefined, parameters: { binary_data_size: 16 } })
    const headers = { "Inference-Header-Content-Length": String(head.length) }
    assertRefused(await call(port, { path: infer, headers, body: Buffer.concat([Buffer.from(head), Buffer.alloc(15)]) }), 400, "body: has 15 bytes")
    for (const value of ["-1", "1e9", "999999999999999999999999"]) {
      assertRefused(await call(port, { path: infer, headers: { "Inference-Header-Content-Length": value }, body: good }), 400, "Inference-Header-Content-Length")
    }
    assert.match(await rawExchange(port, `POST ${infer} HTTP/1.1\r\nHost: h\r\nContent-Length: -5\r\n\r\n`), /^HTTP\/1\.1 400 /)
  })

  it("over the limit is 413, also where only the inflated body is", async () => {
    assertRefused(await call(port, { path: infer, body: Buffer.alloc(2 * maxBodyBytes, " ") }), 413, String(maxBodyBytes))
    const bomb = gzipSync(Buffer.alloc(200 * maxBodyBytes, " "))
    assert.isBelow(bomb.length, maxBodyBytes)
    assertRefused(await call(port, { path: infer, headers: { "content-encoding": "gzip" }, body: bomb }), 413, String(maxBodyBytes))
    assert.strictEqual((await call(port, { path: infer, headers: { "content-encoding": "gzip" }, body: gzipSync(good) })).status, 200)
  })

  it("100,000 nested brackets harm nobody, on every path that reads JSON", async () => {
    const nested = "[".repeat(100_000) + "]".repeat(100_000)
    const objects = "{\"a\":".repeat(100_000) + "1" + "}".repeat(100_000)
    for (const body of [nested, objects, good.replace("[1,2,3,4]", nested), "[".repeat(100_000)]) {
      assert.strictEqual((await call(port, { path: infer, body })).status, 400)
      for (const path of ["/v2/repository/index", "/glet/v1alpha1/replan", "/v2/repository/models/echo/load"]) {
        const { status } = await call(port, { path, body })
        assert.isTrue(status === 200 || status === 400, `${path}: ${status}`)
      }
    }
    const config = { parameters: { config: "{\"parameters\":".repeat(50_000) } }
    assert.strictEqual((await call(port, { path: "/v2/repository/models/echo/load", body: JSON.stringify(config) })).status, 400)
    await assertServes()
  })

  it("HEAD has no body, 405 says what is allowed", async () => {
    const head = await rawExchange(port, "HEAD /v2/health/live HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
    assert.match(head, /^HTTP\/1\.1 200 [^]*\r\n\r\n$/)
    for (const [method, path, allow] of [["GET", infer, "POST"], ["DELETE", "/v2", "GET, HEAD"], ["PUT", "/v2/repository/index", "POST"]] as const) {
      const answer = await call(port, { method, path })
      assert.strictEqual(answer.status, 405)
      assert.strictEqual(answer.headers.allow, allow)
    }
  })

  it("slow and half-sent requests time out", async () => {
    const halves = [
      `POST ${infer} HTTP/1.1\r\nHost: h\r\n`, `POST ${infer} HTTP/1.1\r\nHost: h\r\nContent-Length: ${good.length}\r\n\r\n${good.slice(0, 20)}`,
      `POST ${infer} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"inp`
    ]
    for (const answer of await Promise.all(halves.map((bytes) => rawExchange(port, bytes, 8000)))) assert.match(answer, /^HTTP\/1\.1 408 /)
    const idle = await rawExchange(port, "", 8000)
    assert.match(idle, /^(HTTP\/1\.1 408 |$)/)
    await assertServes()
  }, 40_000)
})

describe("an operator's mistakes", () => {
  it("a broken model is UNAVAILABLE with file, place and reason; the server is ready and the others serve", async () => {
    const index = JSON.parse((await call(port, { path: "/v2/repository/index", body: "{}" })).body.toString()) as ReadonlyArray<
      { readonly name: string; readonly state: string; readonly reason: string }
    >
    const line = (name: string) => index.find((one) => one.name === name)!
    for (const [name, reason] of [
      ["cut", /cut\.onnx at byte \d+: /], ["typo", /typo\/config\.pbtxt:3:\d+: .*TYPE_FP23.*TYPE_FP\d+\?/], ["open", /open\/config\.pbtxt:\d+:\d+: /]
    ] as const) {
      assert.strictEqual(line(name).state, "UNAVAILABLE")
      assert.match(line(name).reason, reason, line(name).reason)
      const refused = await call(port, { path: `/v2/models/${name}/infer`, body: good })
      assert.strictEqual(refused.status, 503)
      assert.match(refused.json.error, reason)
    }
    assert.strictEqual(line("echo").state, "READY")
    assert.strictEqual((await call(port, { path: "/v2/health/ready" })).status, 200)
    await assertServes()
  })

  it("a port in use, a folder or log that cannot be used: one line, an exit code, no stack", async () => {
    const models = modelsOf(glet, { "echo.onnx": echo })
    const file = path.join(models, "echo.onnx")
    const serveWith = (...args: ReadonlyArray<string>) => glet.run(["serve", "--models", models, "--port", "0", ...args])
    for (const [ended, says] of [
      [await glet.run(["serve", "--models", models, "--port", String(port)]), new RegExp(`127\\.0\\.0\\.1:${port}: another process listens there`)],
      [await serveWith("--host", "203.0.113.7"), /203\.0\.113\.7/],
      [await serveWith("--request-log", path.join(file, "log.csv")), /request log .*log\.csv cannot be written/]
    ] as const) {
      assert.strictEqual(ended.code, 1, ended.stderr)
      assert.strictEqual(ended.stdout, "")
      const lines = ended.stderr.trimEnd().split("\n").filter((line) => line.startsWith("glet serve: "))
      assert.strictEqual(lines.length, 1, ended.stderr)
      assert.match(lines[0]!, says, lines[0])
      assert.notMatch(ended.stderr, /\n\s+at |Error:/)
    }
  }, 180_000)

  it("profiles that cannot be kept are measured again at the next start, and the models serve", async () => {
    const models = modelsOf(glet, { "echo.onnx": identityModel(5) })
    const unwritable = await serve(glet, models, ["--profiles", path.join(models, "echo.onnx", "profiles")])
    assert.strictEqual(unwritable.ready.modelsReady, 1)
    assert.match(await stop(unwritable), /profile .* is unwritable: .*the next start measures the model again/)
  }, 180_000)

  it("tensors get the memory that the settings say", async () => {
    const models = modelsOf(glet, { "echo.onnx": identityModel(5) })
    const config = path.join(glet.folder, "memory.json")
    fs.writeFileSync(config, JSON.stringify({ apiVersion: "glet/v1alpha1", server: { tensorMemoryBytes: 3 * 2 ** 20 } }))
    const small = await serve(glet, models, ["--config", config])
    const capacity = (await Effect.runPromise(metricsAt(small.port))).get("glet_tensor_memory_capacity_bytes")!
    assert.isAtMost(capacity, 3 * 2 ** 20)
    assert.isAbove(capacity, 2 ** 21)
    await stop(small)
  }, 180_000)
})

describe("after all this", () => {
  it("nothing was the server's fault, nothing is held, and it ends in order", async () => {
    await assertServes()
    const metrics = await Effect.runPromise(metricsAt(port))
    assert.deepStrictEqual([...metrics].filter(([name]) => name.startsWith("glet_http_responses_total{status=\"500\"")), [])
    assert.isAbove(metrics.get("glet_http_responses_total{status=\"400\"}")!, 15)
    assert.strictEqual(metrics.get("glet_tensor_memory_used_bytes"), 0)
    // Clients that say nothing, or half of something, do not hold up the end.
    const silent = ["", "GET /v2 HT", `POST ${infer} HTTP/1.1\r\nContent-Length: 99\r\n\r\n{`].map((bytes) => {
      const socket = net.connect(port, "127.0.0.1", () => socket.write(bytes))
      socket.on("error", () => undefined)
      return new Promise((resolve) => socket.once("connect", resolve))
    })
    await Promise.all(silent)
    const said = await stop(served)
    assert.notMatch(said, /still unanswered/)
    assert.notMatch(said, /\n\s+at |internal error|unexpectedly/)
  })
})
