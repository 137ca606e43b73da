import { assert, describe, it } from "@effect/vitest"
import type { ModelName } from "../../src/core/Ids.js"
import {
  ExecutionFailed, InvalidRequest, ModelNotFound, ModelUnavailable, RequestCanceled, RequestDropped
} from "../../src/core/RequestError.js"
import { Infeasible } from "../../src/scheduler/Planner.js"
import { errorResponse, errorView, type MappedError } from "../../src/server/ErrorMapping.js"
import { CatalogLoadFailed } from "../../src/server/ModelCatalog.js"
import { RefusalReason, RequestLogError, RequestRefused, ServerConfigError, ServerStartError } from "../../src/server/ServerError.js"
import { version } from "../../src/server/Version.js"
import manifest from "../../package.json" with { type: "json" }

const model = "m" as ModelName

describe("ErrorMapping", () => {
  it("maps every error to its status, Triton's name and an exit code", () => {
    const table: ReadonlyArray<readonly [MappedError, number, string, number]> = [
      [new RequestDropped({ model, reason: "expired", retryAfterMs: 1 }), 429, "UNAVAILABLE", 4],
      [new ModelUnavailable({ model, reason: "no-glet" }), 503, "UNAVAILABLE", 4],
      [new ModelNotFound({ model: "x" }), 404, "NOT_FOUND", 1],
      [new InvalidRequest({ field: "f", problem: "p" }), 400, "INVALID_ARG", 1],
      [new ExecutionFailed({ model, detail: "d" }), 500, "INTERNAL", 1],
      [new RequestCanceled({ model }), 499, "CANCELLED", 1],
      [new CatalogLoadFailed({ model: "m", reason: "invalid", detail: "d" }), 400, "INVALID_ARG", 1],
      [new CatalogLoadFailed({ model: "m", reason: "failed", detail: "d" }), 503, "UNAVAILABLE", 4],
      [new Infeasible({ planner: "p", culprits: [{ model, reason: "memory", detail: "d" }] }), 409, "UNAVAILABLE", 3],
      [new ServerStartError({ reason: "failed", host: "h", port: 1, detail: "d" }), 503, "UNAVAILABLE", 1],
      [new ServerConfigError({ setting: "s", source: "env", problem: "p" }), 400, "INVALID_ARG", 2],
      [new RequestLogError({ path: "p", detail: "d" }), 503, "UNAVAILABLE", 1]
    ]
    for (const [error, status, code, exitCode] of table) assert.deepStrictEqual(errorView(error), { status, code, exitCode }, error._tag)
    const refusals = new Map(RefusalReason.literals.map((reason) => [reason, errorView(new RequestRefused({ reason, subject: "s", detail: "d" })).status]))
    assert.deepStrictEqual([...refusals], [
      ["malformed", 400], ["body-too-large", 413], ["headers-too-large", 431], ["unsupported-encoding", 415], ["not-implemented", 501],
      ["route-not-found", 404], ["method-not-allowed", 405], ["too-slow", 408], ["bodies-full", 429]
    ])
  })

  it("Retry-After is whole seconds, at least one, at most an hour", () => {
    const retry = (retryAfterMs: number) => {
      const { headers } = errorResponse(new RequestDropped({ model, reason: "queue-full", retryAfterMs }))
      return headers[headers.indexOf("Retry-After") + 1]
    }
    assert.deepStrictEqual([0, 1, 1000, 1001, Infinity, NaN, -5, 1e12].map(retry), ["1", "1", "1", "2", "1", "1", "1", "3600"])
  })

  it("the version is the package's", () => assert.strictEqual(version, manifest.version))
})
