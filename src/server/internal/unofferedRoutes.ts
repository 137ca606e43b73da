/** Paths of Triton's extensions that this server does not have: who asks is told so, and what there is instead, rather than that the path is unknown. */
import * as Effect from "effect/Effect"
import type { MappedError } from "../ErrorMapping.js"
import { RequestRefused } from "../ServerError.js"
import { type Endpoint, endpoint } from "./endpoint.js"

const refuse = (subject: string, detail: string) => Effect.fail<MappedError>(new RequestRefused({ reason: "not-implemented", subject, detail }))

const trace = refuse("trace", "traces are not offered; --request-log has a line per request with its times, /metrics the sums")
const logging = refuse("logging", "the log's settings cannot be read or changed over HTTP")
const generate = refuse("generate", "the generate extension is not offered; use infer")

const perModel = (path: `/${string}`): ReadonlyArray<Endpoint> => [
  endpoint(`${path}/trace/setting`, { GET: trace, POST: trace }),
  endpoint(`${path}/generate`, { POST: generate }),
  endpoint(`${path}/generate_stream`, { POST: generate })
]

export const unofferedRoutes: ReadonlyArray<Endpoint> = [
  endpoint("/v2/trace/setting", { GET: trace, POST: trace }),
  endpoint("/v2/logging", { GET: logging, POST: logging }),
  ...perModel("/v2/models/:model"),
  ...perModel("/v2/models/:model/versions/:version")
]
