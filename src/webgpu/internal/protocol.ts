/** Messages between an executor and the worker of a glet. Structured clone; buffers are transferred, never copied. */
import type { LoadFailureReason } from "../../core/internal/loadFailure.js"
import type { ModelSignature } from "../../core/Model.js"
import type { WebGpuCapabilities } from "../WebGpuCapabilities.js"

/** A `WebAssembly.Module`: to be posted on, no more. */
export type CompiledModule = object

/** Where a worker finds onnxruntime-web. */
export interface RuntimeLocation {
  /** Addresses of its modules by build; where absent they are imported by name. */
  readonly modules?: { readonly [build in OrtBuild]?: string }
  /** Folder or addresses of its .wasm files (`ort.env.wasm.wasmPaths`); by default beside the module. */
  readonly wasmPaths?: string | { readonly wasm?: string; readonly mjs?: string }
}

/** Builds of onnxruntime-web: the GPU's with and without JSPI, and the one for WebAssembly only. */
export type OrtBuild = "jspi" | "webgpu" | "wasm"

/** The first message. */
export interface WorkerSetup {
  readonly type: "setup"
  readonly provider: "auto" | "webgpu" | "wasm"
  readonly runtime: RuntimeLocation
  /** Threads of WebAssembly; undefined: what the realm can have. */
  readonly threads: number | undefined
  /** Bytes of the device that its buffers may take in all; undefined: no limit. */
  readonly memoryLimitBytes: number | undefined
  /** Read the device's own clock around all that runs. */
  readonly deviceClock: boolean
  /** Start onnxruntime-web at once; else its first model does. Who only asks what there is need not wait for it. */
  readonly warmUp: boolean
  /** As another worker compiled it (`ready`). */
  readonly compiled?: CompiledModule | undefined
}

/** A model as it is read. */
export interface ModelBytes {
  readonly bytes: ArrayBuffer
  /** Files that the model names for its weights. */
  readonly external: ReadonlyArray<{ readonly path: string; readonly bytes: ArrayBuffer }>
}

export type WorkerRequest =
  | WorkerSetup
  | {
    readonly type: "load"
    readonly id: number
    /** Names the model from here on; never used twice. */
    readonly model: number
    readonly file: ModelBytes
    readonly signature: ModelSignature
    readonly warmBatches: ReadonlyArray<number>
  }
  | { readonly type: "unload"; readonly id: number; readonly model: number }
  | {
    readonly type: "run"
    readonly id: number
    readonly model: number
    readonly items: number
    readonly bindings: ReadonlyArray<number>
    /** Laid out as one slot of `items`: the inputs are there, the outputs come there. */
    readonly buffer: ArrayBuffer
  }

/** An output that has no place in the buffer. */
export interface DynamicResult {
  readonly output: number
  readonly shape: ReadonlyArray<number>
  readonly bytes: Uint8Array<ArrayBuffer>
}

export type WorkerReply =
  | { readonly type: "ready"; readonly capabilities: WebGpuCapabilities; readonly detail: string; readonly compiled?: CompiledModule | undefined }
  /** It cannot work at all. */
  | { readonly type: "unfit"; readonly reason: "device-missing" | "no-memory" | "spawn-failed"; readonly detail: string }
  | { readonly type: "loaded"; readonly id: number; readonly memoryBytes: number }
  /** `spoilt`: onnxruntime-web creates no more sessions in this worker. */
  | { readonly type: "load-failed"; readonly id: number; readonly reason: LoadFailureReason; readonly detail: string; readonly spoilt: boolean }
  | { readonly type: "unloaded"; readonly id: number }
  | {
    readonly type: "ended"
    readonly id: number
    readonly buffer: ArrayBuffer
    readonly inferMs: number
    readonly outputMs: number
    /** Time in its compute passes by the device's own clock; undefined where that was not asked for or is not to be had. */
    readonly deviceMs: number | undefined
    readonly dynamic: ReadonlyArray<DynamicResult>
  }
  | { readonly type: "run-failed"; readonly id: number; readonly detail: string; readonly spoilt: boolean }
  /** The device is gone; the worker is of no use any more. */
  | { readonly type: "lost"; readonly detail: string }
