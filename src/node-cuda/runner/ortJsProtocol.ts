/** Messages between the runner's main thread and the worker thread of an `ort-js` glet. Structured clone: no JSON. */
import type { Loaded } from "../internal/control.js"
import type { LoadFailureReason } from "../../core/internal/loadFailure.js"
import type { LoadRequest, RunEnd } from "./Engine.js"
import type { RunBatch } from "../../core/internal/batchAssembly.js"

/** What a worker is started with. */
export interface WorkerSetup {
  readonly provider: "cpu" | "cuda" | "webgpu"
  readonly threads: number
  /** The segment: mapped again from the inherited descriptor, or the runner's copy. */
  readonly memory: { readonly fd: number; readonly byteLength: number } | SharedArrayBuffer
}

export type WorkerRequest =
  | { readonly type: "load"; readonly model: number; readonly request: LoadRequest }
  | { readonly type: "release"; readonly model: number }
  | { readonly type: "run"; readonly model: number; readonly batch: RunBatch }

/** One per request, in order. */
export type WorkerReply =
  | { readonly type: "loaded"; readonly loaded: Loaded }
  | { readonly type: "failed"; readonly reason: LoadFailureReason; readonly detail: string }
  | { readonly type: "released" }
  | { readonly type: "ended"; readonly end: RunEnd }
