/** Control messages between agent and runner: JSON in control frames. Every request has one reply with the same id. */
import type { ModelSignature } from "../../core/Model.js"

/** Runs onnxruntime: `ort-c` its C API through koffi, `ort-js` onnxruntime-node in a worker thread per glet. */
export type EngineName = "ort-c" | "ort-js"

/** How a runner is started: its only argument, as JSON. */
export interface RunnerSettings {
  /** `auto`: ort-c where it loads, else ort-js. */
  readonly engine: EngineName | "auto"
  /** The size of the segment, which the runner maps where `shared`, else has a copy of. */
  readonly segmentBytes: number
  readonly shared: boolean
}

/** Of its own accord, with id 0, when it can take requests. Where it cannot, it says why on stderr and exits. */
export interface Ready {
  readonly type: "ready"
  readonly protocol: number
  readonly engine: EngineName
  /** Why it is not the engine that `auto` prefers. */
  readonly fallback?: string
}

export type ControlRequest =
  | { readonly type: "open"; readonly glet: number; readonly threads: number }
  /** Ends what is in flight, then forgets the glet. */
  | { readonly type: "close"; readonly glet: number }
  | {
    readonly type: "load"
    readonly glet: number
    /** The number by which run frames name this model on this glet; never used twice. */
    readonly model: number
    readonly path: string
    readonly signature: ModelSignature
    readonly warmBatches: ReadonlyArray<number>
  }
  | { readonly type: "unload"; readonly glet: number; readonly model: number }
  | { readonly type: "stats" }
  /** Closes all glets and exits. */
  | { readonly type: "drain" }

export type LoadFailureReason = "unreadable" | "invalid-model" | "unsupported" | "no-memory" | "warm-up-failed"

export interface Loaded {
  readonly memoryBytes: number
  readonly detail: string
}

export type ControlReply =
  | { readonly ok: true; readonly loaded?: Loaded; readonly residentBytes?: number }
  | { readonly ok: false; readonly reason?: LoadFailureReason; readonly detail: string }
