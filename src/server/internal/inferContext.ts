/** What all infer requests of a server, or of a front of it, share. */
import type { Model } from "../../core/Model.js"
import type { InferRequest, InferResult } from "../../core/Request.js"
import type { RequestError } from "../../core/RequestError.js"
import type { TensorArena } from "../../core/TensorArena.js"
import type { Scheduler } from "../../scheduler/Scheduler.js"
import type { ModelCatalog } from "../ModelCatalog.js"
import type { Metrics } from "../Metrics.js"
import type { ServerConfig } from "../ServerConfig.js"
import type { ArrivalClock } from "./arrivalClock.js"
import type { BufferBudget } from "./bodyBuffer.js"
import type { SharedRegions } from "./sharedRegions.js"

/** What an answer is made of. */
export type AnswerEnd =
  | { readonly ok: true; readonly result: Pick<InferResult, "directProblem" | "outputBindings" | "overflow" | "version"> }
  /** `keepsSlot`: nobody knows who still uses the slot; it is never to be used again. */
  | { readonly ok: false; readonly error: RequestError; readonly keepsSlot?: boolean }

/** The scheduler as requests see it. */
export interface RequestTaker extends Pick<typeof Scheduler.Service, "wouldRefuse" | "refusedUnread"> {
  /** `Scheduler.offer`; `model` is what the request was read as. */
  readonly offer: (request: InferRequest, onEnd: (end: AnswerEnd) => void, model: Model) => () => void
}

export interface InferContext {
  readonly config: ServerConfig
  readonly catalog: Pick<typeof ModelCatalog.Service, "find" | "index">
  readonly arena: TensorArena
  readonly scheduler: RequestTaker
  readonly metrics: Pick<typeof Metrics.Service, "droppedAtFront" | "responded">
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
