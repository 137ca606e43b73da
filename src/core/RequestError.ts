/**
 * Why a request was not answered. Fields, not prose; `message` says what failed, on what, and what to do.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { ModelName } from "./Ids.js"

/** Why a request was dropped although the model is served. @since 0.1.0 @category errors */
export const DropReason = Schema.Literal("queue-full", "deadline-unreachable", "expired", "memory-full")
/** @since 0.1.0 @category errors */
export type DropReason = typeof DropReason.Type

const dropText: Readonly<Record<DropReason, string>> = {
  "queue-full": "its queue is full",
  "deadline-unreachable": "its deadline cannot be reached behind the requests already queued",
  "expired": "its deadline could no longer be reached while it was queued",
  "memory-full": "no memory for tensors is free"
}

/**
 * The capacity exists but is taken: try again after `retryAfterMs`. HTTP 429.
 * @since 0.1.0
 * @category errors
 */
export class RequestDropped extends Schema.TaggedError<RequestDropped>()("RequestDropped", {
  model: ModelName,
  reason: DropReason,
  retryAfterMs: Schema.Number
}) {
  override get message(): string {
    return `request for model "${this.model}" dropped: ${dropText[this.reason]}; retry in ${Math.ceil(this.retryAfterMs)} ms`
  }
}

/** Why no glet can serve a model now. @since 0.1.0 @category errors */
export const UnavailableReason = Schema.Literal("model-not-ready", "no-glet", "glet-exited", "draining")
/** @since 0.1.0 @category errors */
export type UnavailableReason = typeof UnavailableReason.Type

const unavailableText: Readonly<Record<UnavailableReason, string>> = {
  "model-not-ready": "it is not loaded; see v2/repository/index for the reason",
  "no-glet": "no glet serves it at present; `glet status` says why",
  "glet-exited": "the process that ran it died and no other could answer before the deadline",
  "draining": "the server is shutting down"
}

/**
 * There is no capacity for the model at all now. HTTP 503.
 * @since 0.1.0
 * @category errors
 */
export class ModelUnavailable extends Schema.TaggedError<ModelUnavailable>()("ModelUnavailable", {
  model: ModelName,
  reason: UnavailableReason,
  detail: Schema.optionalWith(Schema.String, { exact: true })
}) {
  override get message(): string {
    return `model "${this.model}" is unavailable: ${unavailableText[this.reason]}${this.detail === undefined ? "" : ` (${this.detail})`}`
  }
}

/**
 * No model of that name is known. HTTP 404.
 * @since 0.1.0
 * @category errors
 */
export class ModelNotFound extends Schema.TaggedError<ModelNotFound>()("ModelNotFound", {
  model: Schema.String,
  version: Schema.optionalWith(Schema.Int, { exact: true })
}) {
  override get message(): string {
    return `no model "${this.model}"${this.version === undefined ? "" : ` version ${this.version}`}; POST v2/repository/index lists what there is`
  }
}

/**
 * The request itself is wrong. HTTP 400.
 * @since 0.1.0
 * @category errors
 */
export class InvalidRequest extends Schema.TaggedError<InvalidRequest>()("InvalidRequest", {
  /** Where it is wrong, e.g. `inputs[0].shape` or a header's name. */
  field: Schema.String,
  /** What is wrong and what was expected. */
  problem: Schema.String
}) {
  override get message(): string {
    return `${this.field}: ${this.problem}`
  }
}

/**
 * The model ran and failed, or its answer could not be used. HTTP 500.
 * @since 0.1.0
 * @category errors
 */
export class ExecutionFailed extends Schema.TaggedError<ExecutionFailed>()("ExecutionFailed", {
  model: ModelName,
  detail: Schema.String
}) {
  override get message(): string {
    return `model "${this.model}" failed while running: ${this.detail}`
  }
}

/** The client went away before its answer was ready. Never sent; counted as canceled. @since 0.1.0 @category errors */
export class RequestCanceled extends Schema.TaggedError<RequestCanceled>()("RequestCanceled", { model: ModelName }) {
  override get message(): string {
    return `request for model "${this.model}" canceled by its client`
  }
}

/** @since 0.1.0 @category errors */
export type RequestError =
  | RequestDropped | ModelUnavailable | ModelNotFound | InvalidRequest | ExecutionFailed | RequestCanceled
