/**
 * What runs models inside a runner. A runner is plain Node: callbacks and promises, no Effect.
 */
import type { RunBatch } from "../../core/internal/batchAssembly.js"
import type { ModelSignature } from "../../core/Model.js"
import type { ModelFile } from "../../core/ModelFile.js"
import type { LockFile } from "./ClientRegions.js"
import type { CudaReady, EngineName, Loaded, Opened, OpenFailureReason } from "../internal/control.js"

/** How it ended. Outputs with room in their slots stand there. */
export type RunEnd =
  | {
    readonly ok: true
    readonly inputMs: number
    readonly inferMs: number
    readonly outputMs: number
    /** Values of the layout's output symbols; empty where it has none. They hold for every entry. */
    readonly outputBindings: ReadonlyArray<number>
    /** Per entry, outputs without room in the slot, by output; undefined where all had. */
    readonly overflow: ReadonlyArray<ReadonlyArray<Uint8Array | undefined>> | undefined
  }
  | { readonly ok: false; readonly detail: string }

export interface LoadRequest {
  readonly path: string
  /** That file and those with its weights, as they are. Absent: nobody looked. */
  readonly files?: ReadonlyArray<ModelFile>
  readonly signature: ModelSignature
  /** Sizes to run once before the model counts as loaded. */
  readonly warmBatches: ReadonlyArray<number>
}

/** A glet cannot be opened. */
export class OpenFailure extends Error {
  override readonly name = "OpenFailure"
  constructor(readonly reason: OpenFailureReason, detail: string) {
    super(detail)
  }
}

/** A loaded model. */
export interface EngineModel {
  /** Runs a batch; `onEnd` is called once, possibly before `run` returns. Batches of a glet compute one at a time. */
  readonly run: (batch: RunBatch, onEnd: (end: RunEnd) => void) => void
  /** Frees it. No batch may be in flight. */
  readonly release: () => Promise<void>
}

/** What to open. */
interface GletRequest {
  /** Cores or SMs that its share stands for. */
  readonly units: number
  readonly sharePct: number
  /** 0 normal, negative higher, positive lower. */
  readonly priority: number
  readonly givesWay?: boolean
}

/** A glet: its models share its cores or SMs. */
export interface EngineGlet {
  readonly opened: Opened
  /** Rejects with `LoadFailure`. */
  readonly load: (request: LoadRequest) => Promise<{ readonly model: EngineModel; readonly loaded: Loaded }>
  /** Frees it; its models are released. */
  readonly close: () => Promise<void>
}

export interface Engine {
  readonly name: EngineName
  /** Of an engine on CUDA. */
  readonly cuda?: CudaReady
  /** Memory of the device that nobody has, of an engine on CUDA. */
  readonly freeDeviceBytes?: () => number
  /**
   * How it reaches tensors in clients' memory that batches name (`RunBatch.direct`): through files, as it gathers and scatters, or by a device where `lock`
   * had it do so. Where absent it gets none, and the slots have all.
   */
  readonly clientMemory?: { readonly by: "files" } | { readonly by: "device"; readonly lock: LockFile }
  /** Rejects with `OpenFailure`. */
  readonly openGlet: (request: GletRequest) => Promise<EngineGlet>
}
