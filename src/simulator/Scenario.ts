/**
 * A scenario: models with their objectives, who asks for them, and what goes wrong. It says nothing of the hardware, so that the same scenario
 * runs on any profile.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { ModelName } from "../core/Ids.js"
import { ServiceClass } from "../core/Model.js"

const optional = <A, I>(schema: Schema.Schema<A, I>) => Schema.optionalWith(schema, { exact: true })
const Time = Schema.NonNegative.pipe(Schema.finite())
const Duration = Schema.Positive.pipe(Schema.finite())
const Rate = Schema.NonNegative.pipe(Schema.finite())
const Name = Schema.String.pipe(Schema.minLength(1), Schema.maxLength(256))

/**
 * Requests that do not wait for answers. One of `rateRps`, `ratesRps` (each for `periodMs`, from the first again after the last) and `ratesFile`
 * (the same, one rate per line). `cv` is for `gamma`: the deviation of gaps over their mean.
 * @since 0.1.0
 * @category scenarios
 */
export const RateArrivals = Schema.Struct({
  process: Schema.Literal("poisson", "uniform", "gamma"),
  cv: optional(Schema.Number.pipe(Schema.between(0.05, 50))),
  rateRps: optional(Rate),
  ratesRps: optional(Schema.NonEmptyArray(Rate)),
  ratesFile: optional(Name),
  periodMs: optional(Duration)
}).annotations({ identifier: "RateArrivals" })

/**
 * Requests at given times, ascending, in ms: `timesMs`, or `file` with one per line; with `repeatMs` again after that long.
 * @since 0.1.0
 * @category scenarios
 */
export const TraceArrivals = Schema.Struct({
  process: Schema.Literal("trace"),
  timesMs: optional(Schema.NonEmptyArray(Time)),
  file: optional(Name),
  repeatMs: optional(Duration)
}).annotations({ identifier: "TraceArrivals" })

/**
 * Clients that each ask again `thinkMs` after their answer.
 * @since 0.1.0
 * @category scenarios
 */
export const ClosedArrivals = Schema.Struct({
  process: Schema.Literal("closed"),
  clients: Schema.Int.pipe(Schema.between(1, 100_000)),
  thinkMs: Schema.optionalWith(Time, { default: () => 0 })
}).annotations({ identifier: "ClosedArrivals" })

/** @since 0.1.0 @category scenarios */
export const Arrivals = Schema.Union(RateArrivals, TraceArrivals, ClosedArrivals)
/** @since 0.1.0 @category scenarios */
export type Arrivals = typeof Arrivals.Type

/** `profile`: the name it has in the profile, where that is another. @since 0.1.0 @category scenarios */
export const ScenarioModel = Schema.Struct({
  name: ModelName,
  profile: optional(ModelName),
  class: Schema.optionalWith(ServiceClass, { default: () => "latency-critical" as const }),
  sloMs: optional(Duration),
  maxBatch: Schema.optionalWith(Schema.Int.pipe(Schema.between(1, 65536)), { default: () => 32 })
})

/** One request to several models: a step begins when those in `after` are answered. @since 0.1.0 @category scenarios */
export const ScenarioApplication = Schema.Struct({
  name: Name,
  sloMs: Duration,
  steps: Schema.NonEmptyArray(Schema.Struct({
    id: Name,
    model: ModelName,
    after: Schema.optionalWith(Schema.Array(Name), { default: () => [] })
  }))
})

/** `model` or `application`. @since 0.1.0 @category scenarios */
export const ScenarioLoad = Schema.Struct({ model: optional(ModelName), application: optional(Name), arrivals: Arrivals })

/** The `glet`-th of the glets then open on a GPU dies, or all where it is absent; for `forMs` none can be opened there. @since 0.1.0 @category scenarios */
export const ScenarioFailure = Schema.Struct({
  atMs: Time,
  gpu: Schema.NonNegativeInt,
  glet: optional(Schema.NonNegativeInt),
  forMs: Schema.optionalWith(Time, { default: () => 0 })
})

/**
 * The file behind `glet simulate`.
 * @since 0.1.0
 * @category scenarios
 */
export const Scenario = Schema.Struct({
  apiVersion: Schema.Literal("glet/v1alpha1"),
  kind: Schema.Literal("Scenario"),
  description: Schema.optionalWith(Schema.String, { default: () => "" }),
  gpus: Schema.optionalWith(Schema.Int.pipe(Schema.between(1, 10_000)), { default: () => 4 }),
  durationMs: Schema.optionalWith(Duration, { default: () => 30_000 }),
  warmUpMs: Schema.optionalWith(Time, { default: () => 2_000 }),
  models: Schema.NonEmptyArray(ScenarioModel),
  applications: Schema.optionalWith(Schema.Array(ScenarioApplication), { default: () => [] }),
  loads: Schema.NonEmptyArray(ScenarioLoad),
  failures: Schema.optionalWith(Schema.Array(ScenarioFailure), { default: () => [] })
}).annotations({ identifier: "Scenario" })
/** @since 0.1.0 @category scenarios */
export type Scenario = typeof Scenario.Type
