/** What all infer requests of a server share. */
import type { InferRequest, RequestEnd } from "../../core/Request.js"
import type { TensorArena } from "../../core/TensorArena.js"
import type { ModelCatalog } from "../ModelCatalog.js"
import type { Metrics } from "../Metrics.js"
import type { ServerConfig } from "../ServerConfig.js"
import type { BufferBudget } from "./bodyBuffer.js"

export interface InferContext {
  readonly config: ServerConfig
  readonly catalog: typeof ModelCatalog.Service
  readonly arena: TensorArena
  readonly offer: (request: InferRequest, onEnd: (end: RequestEnd) => void) => () => void
  readonly metrics: typeof Metrics.Service
  readonly buffers: BufferBudget
  /** Monotonic ms of the scheduler's clock. */
  readonly nowMs: () => number
  /** Told of exceptions on the way of a request: bugs, which must end that request only. */
  readonly onDefect: (defect: unknown) => void
  /** True once the server stops: readiness is 503, connections close after their answers. */
  draining: boolean
}
