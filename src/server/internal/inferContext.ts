/** What all infer requests of a server share. */
import type { TensorArena } from "../../core/TensorArena.js"
import type { Scheduler } from "../../scheduler/Scheduler.js"
import type { ModelCatalog } from "../ModelCatalog.js"
import type { Metrics } from "../Metrics.js"
import type { ServerConfig } from "../ServerConfig.js"
import type { ArrivalClock } from "./arrivalClock.js"
import type { BufferBudget } from "./bodyBuffer.js"
import type { SharedRegions } from "./sharedRegions.js"

export interface InferContext {
  readonly config: ServerConfig
  readonly catalog: typeof ModelCatalog.Service
  readonly arena: TensorArena
  readonly scheduler: Pick<typeof Scheduler.Service, "offer" | "wouldRefuse" | "refusedUnread">
  readonly metrics: typeof Metrics.Service
  readonly buffers: BufferBudget
  /** When what is read now came, in monotonic ms of the scheduler's clock. */
  readonly arrival: ArrivalClock
  /** Memory that clients share; undefined where that is off. */
  readonly regions: SharedRegions | undefined
  /** Told of exceptions on the way of a request: bugs, which must end that request only. */
  readonly onDefect: (defect: unknown) => void
  /** True once the server stops: readiness is 503, connections close after their answers. */
  draining: boolean
}
