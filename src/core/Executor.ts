/**
 * The pluggable execution layer: opens glets, loads models on them, runs batches. Layers: `node-cuda`, `cpu`, `webgpu`, `emulated`; one
 * contract suite (test/contract/Executor.ts) runs over all of them.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { ClientMemory, DirectTensor } from "./ClientMemory.js"
import type { ExecutorError, GletExited, GletOpenFailed, ModelLoadFailed } from "./ExecutorError.js"
import type { Gpu } from "./Gpu.js"
import type { GletId } from "./Ids.js"
import type { Model } from "./Model.js"
import type { TensorArena, TensorSlot } from "./TensorArena.js"

/** What to open. @since 0.1.0 @category executor */
export interface GletSpec {
  readonly id: GletId
  readonly gpu: Gpu
  readonly sharePct: number
  /** 0 normal, negative higher. */
  readonly priority: number
  /**
   * Its batches are to give way: where the executor can, they pause between two kernels while the other glets of the GPU have batches in flight that
   * do not leave its share of the GPU free. `LoadReport.preemptMs` says how soon they do.
   */
  readonly givesWay?: boolean
}

/** One request's part of a batch: its slot in the model's `SlotLayout`. @since 0.1.0 @category executor */
export interface BatchEntry {
  readonly slot: TensorSlot
  readonly items: number
  /** Equal for all entries of a batch. */
  readonly bindings: ReadonlyArray<number>
  /** Tensors in clients' memory; only where the executor has `clientMemory`. */
  readonly direct?: ReadonlyArray<DirectTensor> | undefined
}

/** Requests of one model that run together. @since 0.1.0 @category executor */
export interface Batch {
  readonly model: Model
  /** In order; the sum of their items is `items`. */
  readonly entries: ReadonlyArray<BatchEntry>
  readonly items: number
}

/** How a batch ended. Outputs stand in the entries' slots. @since 0.1.0 @category executor */
export type BatchEnd =
  | {
    readonly ok: true
    /** Gathering the inputs, running, scattering the outputs, in ms. */
    readonly inputMs: number
    readonly inferMs: number
    readonly outputMs: number
    /** Values of the layout's output symbols per entry; undefined where it has none. */
    readonly outputBindings: ReadonlyArray<ReadonlyArray<number>> | undefined
    /** Per entry, outputs that had no room in the slot, by output index; undefined where all had. */
    readonly overflow: ReadonlyArray<ReadonlyArray<Uint8Array | undefined>> | undefined
    /** By entry, why tensors in a client's memory could not be read or written; absent where all could. */
    readonly directProblems?: ReadonlyMap<number, string> | undefined
  }
  | {
    readonly ok: false
    readonly error: GletExited | BatchFailed
    /** The glet had died before the batch was started: it has no part in that death, and nothing of it ran. */
    readonly unstarted?: boolean
  }

/** The model ran and failed. The glet lives. Not an Error: one per failed batch, turned into `ExecutionFailed` per request. @since 0.1.0 */
export interface BatchFailed {
  readonly _tag: "BatchFailed"
  readonly detail: string
}

/** What loading cost. @since 0.1.0 @category executor */
export interface LoadReport {
  readonly loadMs: number
  /** Device memory it took; 0 where it cannot be told. */
  readonly memoryBytes: number
  /** Which engine runs it and how, for `glet status`, e.g. `ort-c, 2 threads`. */
  readonly detail: string
  /** On a glet that gives way: how long a batch computes at most before it does, in ms. Absent where its batches run to their end. */
  readonly preemptMs?: number
}

/** Counters since the glet was opened. @since 0.1.0 @category executor */
export interface GletStats {
  readonly batches: number
  readonly items: number
  /** Time with at least one batch running, ms. */
  readonly busyMs: number
  /** Time it computed by the device's own clock, ms; where the executor was told to read that. */
  readonly deviceMs?: number
  /** Process behind it, where there is one. */
  readonly pid?: number
  readonly residentBytes?: number
  /** Memory of the device that nobody has, where that can be told. */
  readonly freeDeviceBytes?: number
  /** Cores or SMs that the glet really has, where that can be told: isolations round shares. */
  readonly units?: number
}

/**
 * An open glet. It lives until its scope closes (drained: what runs may end) or its process dies; it never comes back: open another.
 * @since 0.1.0
 * @category executor
 */
export interface GletHandle {
  readonly spec: GletSpec
  /** Batches to keep outstanding so that the glet never idles between two (1: no overlap). */
  readonly depth: number
  /** Loads a model and runs each size of `warmBatches` once. Loading what is loaded does nothing. */
  readonly load: (model: Model, warmBatches: ReadonlyArray<number>) => Effect.Effect<LoadReport, ModelLoadFailed | GletExited>
  /** Forgets a model; batches in flight end first. Unknown models are ignored. */
  readonly unload: (model: Model) => Effect.Effect<void>
  /**
   * Starts a batch of a loaded model. `onEnd` is called exactly once, never before `start` returns, also when the glet dies or is dead. The hot path:
   * no Effect per batch.
   */
  readonly start: (batch: Batch, onEnd: (end: BatchEnd) => void) => void
  /** Completes when the glet's process dies; never on an orderly close. */
  readonly exited: Effect.Effect<GletExited>
  readonly stats: Effect.Effect<GletStats>
}

/**
 * Opens glets.
 * @since 0.1.0
 * @category services
 */
export class Executor extends Context.Tag("glet/core/Executor")<Executor, {
  /** Which layer this is, e.g. `cpu`. */
  readonly name: string
  /** Memory that all its glets can read and write. */
  readonly arena: TensorArena
  /** Set where all its glets can read and write memory of clients themselves. */
  readonly clientMemory?: ClientMemory
  /** Opens a glet; closing the scope drains and closes it. */
  readonly open: (spec: GletSpec) => Effect.Effect<GletHandle, GletOpenFailed, Scope.Scope>
}>() {}

/** Runs one batch and waits for its end. For tests and profilers; the scheduler calls `start`. @since 0.1.0 @category executor */
export const runBatch = (handle: GletHandle, batch: Batch): Effect.Effect<BatchEnd> =>
  Effect.async<BatchEnd>((resume) => {
    handle.start(batch, (end) => resume(Effect.succeed(end)))
  })

export type { ExecutorError }
