/**
 * What can go wrong with glets and the models on them.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { GletId, GpuId, ModelName } from "./Ids.js"

const openHints = {
  "spawn-failed": "`glet doctor` says what a runner process lacks",
  "start-timeout": "`glet doctor` tries one by itself; a machine with no core to spare may need more time",
  "share-unsupported": "plan with shares that the GPU offers",
  "device-missing": "`glet doctor` lists the devices there are",
  "no-memory": "give the GPU fewer models, or free what else uses its memory"
} as const

/** A glet could not be opened. @since 0.1.0 @category errors */
export class GletOpenFailed extends Schema.TaggedError<GletOpenFailed>()("GletOpenFailed", {
  glet: GletId,
  gpu: GpuId,
  reason: Schema.Literal("spawn-failed", "start-timeout", "share-unsupported", "device-missing", "no-memory"),
  detail: Schema.String
}) {
  override get message(): string {
    return `glet ${this.glet} on ${this.gpu} could not be opened (${this.reason}): ${this.detail}; ${openHints[this.reason]}`
  }
}

/** The process behind a glet ended. Everything in flight on it fails with this. @since 0.1.0 @category errors */
export class GletExited extends Schema.TaggedError<GletExited>()("GletExited", {
  glet: GletId,
  /** Exit code, where it exited by itself. */
  code: Schema.optionalWith(Schema.Int, { exact: true }),
  /** Signal that ended it. */
  signal: Schema.optionalWith(Schema.String, { exact: true }),
  /** Its process id, where there is one: glets that share a process die of one death. */
  process: Schema.optionalWith(Schema.Int, { exact: true }),
  /** Last lines it wrote to stderr. */
  detail: Schema.String
}) {
  override get message(): string {
    const how = this.signal !== undefined ? `signal ${this.signal}` : `code ${this.code ?? "unknown"}`
    return `the process of glet ${this.glet} ended with ${how}${this.detail === "" ? "" : `: ${this.detail}`}`
  }
}

const loadHints = {
  "unreadable": "check that the file is there and may be read, then load it again",
  "invalid-model": "mend the model's file or its configuration, then load it again",
  "unsupported": "export the model with other operators, or serve it by another executor",
  "no-memory": "give the GPU fewer models, or a smaller maximum batch",
  "timeout": "load it again when the machine has less to do",
  "warm-up-failed": "run it by itself with `glet run`, mend it, then load it again",
  "items-depend": "take one request at a time (max_batch_size 0), or vouch for it that they can be joined (one above 1)",
  "crashed": "mend the model, then load it again",
  "changed": "load it again, as what it is now"
} as const

/**
 * A model cannot be loaded on a glet. `crashed`: it was there, and is to blame for the death of processes. `changed`: its files are not those any more
 * that it was loaded from.
 * @since 0.1.0
 * @category errors
 */
export class ModelLoadFailed extends Schema.TaggedError<ModelLoadFailed>()("ModelLoadFailed", {
  model: ModelName,
  glet: GletId,
  reason: Schema.Literal("unreadable", "invalid-model", "unsupported", "no-memory", "timeout", "warm-up-failed", "items-depend", "crashed", "changed"),
  detail: Schema.String
}) {
  override get message(): string {
    const what = this.reason === "crashed" ? "was taken off" : "could not be loaded on"
    return `model "${this.model}" ${what} glet ${this.glet} (${this.reason}): ${this.detail}; ${loadHints[this.reason]}`
  }
}

/** @since 0.1.0 @category errors */
export type ExecutorError = GletOpenFailed | GletExited | ModelLoadFailed
