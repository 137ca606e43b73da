/**
 * What the demo asks of its client process, and what that answers, line by line.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

/** The load of one model. @since 0.1.0 @category demo */
export const DemoStream = Schema.Struct({
  model: Schema.String,
  rateRps: Schema.Positive,
  batch: Schema.Int.pipe(Schema.positive()),
  sloMs: Schema.NullOr(Schema.Positive),
  /** `digits`: the labelled images, whose answers are checked. */
  inputs: Schema.Literal("digits", "random")
})
/** @since 0.1.0 @category demo */
export type DemoStream = typeof DemoStream.Type

/** Given on stdin. @since 0.1.0 @category demo */
export const DemoTask = Schema.Struct({
  host: Schema.String,
  port: Schema.Int,
  digitsFile: Schema.String,
  seed: Schema.Int,
  warmUpMs: Schema.NonNegative,
  durationMs: Schema.Positive,
  streams: Schema.NonEmptyArray(DemoStream)
})
/** @since 0.1.0 @category demo */
export type DemoTask = typeof DemoTask.Type

const Latency = Schema.Struct({
  count: Schema.Number, meanMs: Schema.Number, p50Ms: Schema.Number, p90Ms: Schema.Number, p95Ms: Schema.Number, p99Ms: Schema.Number,
  p999Ms: Schema.Number, maxMs: Schema.Number
})
const Counts = Schema.Record({ key: Schema.String, value: Schema.Number })

/** @since 0.1.0 @category demo */
export const StreamResult = Schema.Struct({
  model: Schema.String,
  sloMs: Schema.NullOr(Schema.Number),
  requests: Schema.Number,
  answered: Schema.Number,
  withinSlo: Schema.Number,
  dropped: Counts,
  failed: Counts,
  latencyMs: Latency
})
/** @since 0.1.0 @category demo */
export type StreamResult = typeof StreamResult.Type

/** One line of the client's stdout. @since 0.1.0 @category demo */
export const DemoLine = Schema.Union(
  Schema.Struct({
    kind: Schema.Literal("progress"),
    elapsedMs: Schema.Number,
    requests: Schema.Number,
    answered: Schema.Number,
    withinSlo: Schema.Number,
    dropped: Schema.Number,
    right: Schema.Number,
    checked: Schema.Number
  }),
  Schema.Struct({
    kind: Schema.Literal("result"),
    streams: Schema.Array(StreamResult),
    /** Labelled images that were answered, and right: each counts once. */
    right: Schema.Number,
    checked: Schema.Number,
    /** Answers to images, each counted, whose numbers are not the model's. */
    wrongNumbers: Schema.Number,
    /** All latency-critical streams together. */
    latencyCritical: Latency,
    sendLagP99Ms: Schema.Number
  })
)
/** @since 0.1.0 @category demo */
export type DemoLine = typeof DemoLine.Type
