import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { connect } from "node:net"
import { HostReport } from "../../src/core/HostStatus.js"
import { decodePlan } from "../../src/core/Plan.js"
import { SchedulerStatus } from "../../src/scheduler/SchedulerStatus.js"
import type { CatalogIndexEntry } from "../../src/server/ModelCatalog.js"
import { makeFakes, type ModelDef } from "../support/fakeServices.js"
import { type Answer, call, rawExchange } from "../support/http.js"
import { digits, models, startServer } from "../support/server.js"

const good = digits([1, 2, 3, 4, 5, 6])
const unloaded: ModelDef = { name: "gone", inputs: [["x", "FP32", [1]]], state: "UNAVAILABLE" }
const broken = { name: "broken", state: "UNAVAILABLE", reason: "broken.onnx: byte 12: not a protobuf message" } as const

/** The repository index's lines. */
const lines = (answer: Answer) => answer.json as unknown as ReadonlyArray<CatalogIndexEntry>

const setup = Effect.gen(function*() {
  const fakes = makeFakes()
  fakes.broken.push(broken)
  const { port } = yield* startServer(fakes, {}, [...models, unloaded])
  const get = (path: string) => Effect.promise(() => call(port, { path }))
  const post = (path: string, body: string | Buffer = "") => Effect.promise(() => call(port, { path, body, method: "POST" }))
  return { fakes, port, get, post }
})

describe("protocol routes", () => {
  it.scopedLive("server metadata and health; a model that is not loaded does not matter", () =>
    Effect.gen(function*() {
      const { get } = yield* setup
      const server = yield* get("/v2")
      assert.strictEqual(server.json.name, "glet-orion")
      assert.include(server.json.extensions, "binary_tensor_data")
      assert.deepStrictEqual<unknown>((yield* get("/v2/health/live")).json, { live: true })
      const ready = yield* get("/v2/health/ready")
      assert.strictEqual(ready.status, 200)
      assert.deepStrictEqual<unknown>(ready.json, { ready: true })
      assert.strictEqual((yield* get("/v2/")).status, 200)
    }))

  it.scopedLive("is alive, and not ready, while the models of the start are loaded", () =>
    Effect.gen(function*() {
      const { fakes, get } = yield* setup
      fakes.starting = true
      assert.strictEqual((yield* get("/v2/health/live")).status, 200)
      const early = yield* get("/v2/health/ready")
      assert.strictEqual(early.status, 503)
      assert.deepStrictEqual<unknown>(early.json, { ready: false, reason: "starting" })
      fakes.starting = false
      assert.strictEqual((yield* get("/v2/health/ready")).status, 200)
    }))

  it.scopedLive("model metadata, readiness, config and list", () =>
    Effect.gen(function*() {
      const { get } = yield* setup
      for (const path of ["/v2/models/text", "/v2/models/text/versions/1"]) {
        assert.deepStrictEqual<unknown>((yield* get(path)).json, {
          name: "text",
          versions: ["1"],
          platform: "onnxruntime_onnx",
          inputs: [{ name: "ids", datatype: "INT64", shape: [-1, -1] }, { name: "mask", datatype: "BOOL", shape: [-1, -1] }],
          outputs: [{ name: "out_ids", datatype: "INT64", shape: [-1, -1] }, { name: "out_mask", datatype: "BOOL", shape: [-1, -1] }]
        })
      }
      assert.deepStrictEqual<unknown>((yield* get("/v2/models/digits/ready")).json, { name: "digits", ready: true })
      assert.strictEqual((yield* get("/v2/models/gone/ready")).status, 503)
      const config = yield* get("/v2/models/digits/config")
      assert.strictEqual(config.json.max_batch_size, 8)
      assert.include(JSON.stringify((yield* get("/v2/models")).json), "\"digits\"")
      assert.strictEqual((yield* get("/v2/models/a%20b%2F%C3%BC")).json.name, "a b/ü")
    }))

  it.scopedLive("a broken model says why, with 503; others serve", () =>
    Effect.gen(function*() {
      const { get, post } = yield* setup
      for (const answer of [yield* get("/v2/models/broken"), yield* post("/v2/models/broken/infer", good)]) {
        assert.strictEqual(answer.status, 503)
        assert.include(answer.json.error, "byte 12")
      }
      const gone = yield* post("/v2/models/gone/infer", good)
      assert.strictEqual(gone.status, 503)
      assert.strictEqual((yield* post("/v2/models/digits/infer", good)).status, 200)
    }))

  it.scopedLive("repository index, load, unload", () =>
    Effect.gen(function*() {
      const { get, post } = yield* setup
      const all = yield* post("/v2/repository/index")
      assert.deepInclude(lines(all), broken)
      assert.deepInclude(lines(all), { name: "digits", version: "1", state: "READY", reason: "" })
      const ready = yield* post("/v2/repository/index", "{\"ready\":true}")
      assert.isTrue(lines(ready).every((line) => line.state === "READY"))
      assert.strictEqual((yield* post("/v2/repository/index", "{\"ready\":1}")).status, 400)
      assert.strictEqual((yield* post("/v2/repository/index", "[")).status, 400)
      assert.strictEqual((yield* post("/v2/repository/index", Buffer.alloc(2_000_000, 32))).status, 413)
      assert.strictEqual((yield* post("/v2/repository/models/digits/load", "{\"parameters\":{\"config\":\"{}\"}}")).status, 200)
      assert.strictEqual((yield* post("/v2/repository/models/digits/load", "{\"parameters\":{\"config\":{}}}")).status, 400)
      assert.strictEqual((yield* post("/v2/repository/models/digits/load", "{\"parameters\":{\"file:1/model.onnx\":\"AA==\"}}")).status, 501)
      const large = yield* post("/v2/repository/models/digits/load", Buffer.alloc(2_000_000, 32))
      assert.strictEqual(large.status, 413)
      assert.include(large.json.error, "files cannot be sent with a request")
      assert.strictEqual((yield* post("/v2/repository/models/nope/load")).status, 404)
      assert.strictEqual((yield* post("/v2/repository/models/digits/unload")).status, 200)
      assert.strictEqual((yield* get("/v2/models/digits/ready")).status, 503)
      assert.strictEqual((yield* post("/v2/models/digits/infer", good)).status, 503)
    }))

  it.scopedLive("extensions of Triton's that are not there say so, instead of being unknown paths", () =>
    Effect.gen(function*() {
      const { get, post } = yield* setup
      const answers = [
        yield* get("/v2/trace/setting"), yield* post("/v2/models/digits/trace/setting", "{\"trace_rate\":\"1\"}"), yield* get("/v2/logging"),
        yield* post("/v2/logging", "{\"log_info\":true}"), yield* post("/v2/models/digits/generate", "{}"), yield* post("/v2/models/digits/versions/1/generate_stream", "{}")
      ]
      for (const answer of answers) {
        assert.strictEqual(answer.status, 501)
        assert.match(answer.json.error, /^(trace|logging|generate): .*(not offered|cannot be)/)
      }
      for (const offered of ["trace", "logging", "generate"]) assert.notInclude((yield* get("/v2")).json.extensions, offered)
    }))

  it.scopedLive("statistics and metrics count requests, items, batches and reasons", () =>
    Effect.gen(function*() {
      const { get, post } = yield* setup
      yield* post("/v2/models/digits/infer", good)
      yield* post("/v2/models/digits/infer", digits([[[1, 2, 3], [4, 5, 6]], [[1, 2, 3], [4, 5, 6]]]).replace("[1,2,3],\"datatype", "[2,2,3],\"datatype"))
      const one = (yield* get("/v2/models/digits/stats")).json.model_stats[0]!
      assert.strictEqual(one.inference_count, 3)
      assert.strictEqual(one.execution_count, 2)
      assert.deepStrictEqual(one.inference_stats.success, { count: 2, ns: 6_000_000 })
      assert.deepStrictEqual(one.inference_stats.queue, { count: 2, ns: 2_000_000 })
      assert.deepStrictEqual(one.inference_stats.compute_infer, { count: 2, ns: 2_000_000 })
      assert.deepStrictEqual(one.batch_stats.map((batch) => batch.batch_size), [1, 2])
      assert.strictEqual((yield* get("/v2/models/stats")).json.model_stats.length, models.length + 1)
      const page = yield* get("/metrics")
      assert.match(String(page.headers["content-type"]), /^text\/plain; version=0\.0\.4/)
      const text = page.body.toString()
      for (
        const line of [
          "nv_inference_request_success{model=\"digits\",version=\"1\"} 2",
          "nv_inference_count{model=\"digits\",version=\"1\"} 3",
          "nv_inference_count{model=\"text\",version=\"1\"} 0",
          "nv_inference_exec_count{model=\"digits\",version=\"1\"} 2",
          "nv_inference_request_duration_us{model=\"digits\",version=\"1\"} 6000",
          "nv_inference_request_failure{model=\"digits\",version=\"1\",reason=\"REJECTED\"} 0",
          "nv_inference_pending_request_count{model=\"digits\",version=\"1\"} 2",
          "nv_gpu_utilization{gpu_uuid=\"cpu\"} 0.5",
          "glet_request_duration_seconds_bucket{model=\"digits\",version=\"1\",workload_class=\"latency-critical\",le=\"0.005\"} 2",
          "glet_request_duration_seconds_bucket{model=\"digits\",version=\"1\",workload_class=\"latency-critical\",le=\"+Inf\"} 2",
          "glet_share_ratio{gpu=\"cpu\",glet=\"cpu/1\"} 0.5",
          "glet_plan_generation 3",
          "glet_http_responses_total{status=\"200\"} 4"
        ]
      ) assert.include(text, `${line}\n`)
    }))

  it.scopedLive("status and metrics tell how late the host is, and of its pressure what is known", () =>
    Effect.gen(function*() {
      const host = { wakeupLagMs: { p50Ms: 0.5, p99Ms: 4 }, busyRatio: 0.25, pressure: { throttledRatio: 0.125, stolenRatio: 0 } }
      const { port } = yield* Effect.provideService(startServer(makeFakes()), HostReport, HostReport.of({ now: Effect.succeed(host) }))
      const get = (path: string) => Effect.promise(() => call(port, { path }))
      assert.deepStrictEqual(Schema.decodeUnknownSync(SchedulerStatus)((yield* get("/glet/v1alpha1/status")).json).host, host)
      const told = (yield* get("/metrics")).body.toString().split("\n").filter((line) => /^glet_(host|thread)_/.test(line))
      assert.deepStrictEqual(told, [
        "glet_host_wakeup_lag_seconds{quantile=\"0.5\"} 0.0005",
        "glet_host_wakeup_lag_seconds{quantile=\"0.99\"} 0.004",
        "glet_thread_busy_ratio 0.25",
        "glet_host_pressure_ratio{cause=\"cpu_limit\"} 0.125",
        "glet_host_pressure_ratio{cause=\"stolen\"} 0"
      ])
    }))

  it.scopedLive("405 with Allow, 404 as JSON, HEAD without body", () =>
    Effect.gen(function*() {
      const { port } = yield* setup
      const cases: ReadonlyArray<readonly [method: string, path: string, allow: string]> = [
        ["POST", "/v2", "GET, HEAD"],
        ["GET", "/v2/models/digits/infer", "POST"],
        ["PUT", "/v2/models/digits/versions/1/infer", "POST"],
        ["DELETE", "/v2/models/digits", "GET, HEAD"],
        ["GET", "/v2/repository/index", "POST"],
        ["POST", "/metrics", "GET, HEAD"]
      ]
      for (const [method, path, allow] of cases) {
        const answer = yield* Effect.promise(() => call(port, { method, path, ...(method === "GET" ? {} : { body: "{}" }) }))
        assert.strictEqual(answer.status, 405, path)
        assert.strictEqual(answer.headers["allow"], allow)
        assert.isString(answer.json.error)
      }
      for (const path of ["/", "/v1/models", "/v2/nope", "/v2/models/digits/nope", "//v2", "/V2", "/v2/models/digits/infer/x"]) {
        for (const method of ["GET", "POST"]) {
          const answer = yield* Effect.promise(() => call(port, { method, path }))
          assert.strictEqual(answer.status, 404, `${method} ${path}`)
          assert.isString(answer.json.error)
        }
      }
      for (const [path, status] of [["/v2", 200], ["/metrics", 200], ["/v2/models/digits/infer", 405], ["/nope", 404]] as const) {
        const text = yield* Effect.promise(() => rawExchange(port, `HEAD ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`))
        assert.isTrue(text.startsWith(`HTTP/1.1 ${status} `), text)
        assert.isTrue(text.endsWith("\r\n\r\n"), text)
      }
    }))
})

describe("admin API", () => {
  it.scopedLive("plan, status, models, replan", () =>
    Effect.gen(function*() {
      const { get, post } = yield* setup
      const plan = yield* decodePlan((yield* get("/glet/v1alpha1/plan")).body.toString())
      assert.strictEqual(plan.generation, 3)
      const status = yield* Schema.decodeUnknown(SchedulerStatus)((yield* get("/glet/v1alpha1/status")).json)
      assert.strictEqual(status.glets.length, 1)
      const list = (yield* get("/glet/v1alpha1/models")).json.models
      assert.deepInclude(list as ReadonlyArray<unknown>, broken)
      assert.strictEqual(list.find((line) => line.name === "digits")?.sloMs, 100)
      assert.strictEqual((yield* post("/glet/v1alpha1/replan", "{\"dryRun\":true}")).json.generation, 3)
      assert.strictEqual((yield* post("/glet/v1alpha1/replan")).json.generation, 4)
      assert.strictEqual((yield* post("/glet/v1alpha1/replan", "{\"dryRun\":\"yes\"}")).status, 400)
    }))

  it.scopedLive("watching the status gives a line at once and at every change", () =>
    Effect.gen(function*() {
      const { port } = yield* setup
      const lines = yield* Effect.promise(() =>
        new Promise<ReadonlyArray<string>>((resolve) => {
          const socket = connect(port, "127.0.0.1", () => socket.write("GET /glet/v1alpha1/status/watch HTTP/1.1\r\nHost: x\r\n\r\n"))
          let text = ""
          let changed = false
          socket.on("data", (chunk) => {
            text += chunk.toString()
            const found = text.split("\n").filter((line) => line.startsWith("{"))
            if (found.length === 1 && !changed) {
              changed = true
              void call(port, { path: "/glet/v1alpha1/replan", method: "POST" })
            }
            if (found.length < 2) return
            socket.destroy()
            resolve(found)
          })
        })
      )
      for (const line of lines) yield* Schema.decodeUnknown(Schema.parseJson(SchedulerStatus))(line)
    }))
})
