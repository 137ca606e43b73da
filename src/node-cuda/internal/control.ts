/**
 * Control messages between agent and runner: JSON in control frames. Every request has one reply with the same id.
 *
 * A runner whose device is lost for it (a fatal CUDA error sticks to the context, and under MPS kills all clients of the GPU) writes the error
 * to stderr and exits at once: the agent then fails what is in flight and opens the glets anew.
 */
import type { ClaimsPlace } from "./claims.js"
import type { ClientObject } from "../../core/ClientMemory.js"
import type { LoadFailureReason } from "../../core/internal/loadFailure.js"
import type { ModelSignature } from "../../core/Model.js"
import type { ModelFile } from "../../core/ModelFile.js"

/** Runs onnxruntime: `ort-c` its C API through koffi, `ort-js` onnxruntime-node in a worker thread per glet. */
export type EngineName = "ort-c" | "ort-js"

/**
 * What a runner computes with. A CUDA runner sees exactly one device, as ordinal 0: `CUDA_VISIBLE_DEVICES` is set to `uuid`, and under `mps`
 * `CUDA_MPS_*` to the share, priority and memory limit of its only glet, before it starts. Under `green` and `stream` it hosts all glets of the
 * GPU, and makes their shares and priorities itself.
 */
export type DeviceSettings =
  | { readonly provider: "cpu" }
  /** The adapter that dawn prefers; shares are the agent's affair. Two such runners may compute at a time, two glets of one may not. */
  | { readonly provider: "webgpu" }
  | {
    readonly provider: "cuda"
    /** `GPU-...` or `MIG-...`, for words; the device is ordinal 0. */
    readonly uuid: string
    readonly isolation: "mps" | "green" | "stream"
    /** Clients' memory is to be expected: what it takes is there from the start. */
    readonly expectsClients?: boolean
  }

/** How a runner is started: its only argument, as JSON. */
export interface RunnerSettings {
  /** Default: the CPU. */
  readonly device?: DeviceSettings
  /** `auto`: ort-c where it loads, else ort-js. */
  readonly engine: EngineName | "auto"
  /** The size of the segment, which the runner maps where `shared`, else has a copy of. */
  readonly segmentBytes: number
  readonly shared: boolean
  /** Where it says what its batches claim of the GPU; where absent, nobody asks. */
  readonly claims?: ClaimsPlace
  /** Where in the segment the rings are that carry its messages (link/channel.ts); where absent, its connection carries them. */
  readonly channelOffset?: number
}

/** Of its own accord, with id 0, when it can take requests. Where it cannot, it says why on stderr and exits. */
export interface Ready {
  readonly type: "ready"
  readonly protocol: number
  readonly engine: EngineName
  /** Why it is not the engine that `auto` prefers. */
  readonly fallback?: string
  /** Of a CUDA runner. */
  readonly cuda?: CudaReady
}

/** Of its own accord, with id 0: a client's memory that it reached as cheaply as its own is not the client's any more, which has shrunk it. */
export interface RegionLost {
  readonly type: "region-lost"
  readonly region: number
}

/** What the driver says in the runner, so that what was asked for can be compared with what was given. */
export interface CudaReady {
  /** e.g. `NVIDIA H200`. */
  readonly name: string
  /** SMs that this process may use (CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT): under MPS those of its active thread percentage. */
  readonly units: number
  readonly memoryBytes: number
  /** As the driver numbers it, e.g. 13000 for CUDA 13.0. */
  readonly driverVersion: number
  /** What the isolation cannot do here, e.g. why the segment is not page-locked. */
  readonly notes?: ReadonlyArray<string>
}

/** A glet as the runner gave it. */
export interface Opened {
  /** Cores or SMs that it really has; under `green` whole groups of SMs, which may be more than asked for. */
  readonly units: number
  /** Batches to keep outstanding (`GletHandle.depth`). Default 2. */
  readonly depth?: number
}

export type ControlRequest =
  | {
    readonly type: "open"
    readonly glet: number
    /** Cores or SMs that its share stands for; under `green` whole groups of them (smGroups.ts), all of the device at 100 %. */
    readonly units: number
    readonly sharePct: number
    /** 0 normal, negative higher, positive lower; a stream's priority, clamped to what the device has. */
    readonly priority: number
    /** Whether its batches give way to those of the GPU's other glets. */
    readonly givesWay?: boolean
  }
  /** Ends what is in flight, then forgets the glet. */
  | { readonly type: "close"; readonly glet: number }
  | {
    readonly type: "load"
    readonly glet: number
    /** The number by which run frames name this model on this glet; never used twice. */
    readonly model: number
    readonly path: string
    /** `Model.files`; nothing is loaded from others. */
    readonly files?: ReadonlyArray<ModelFile>
    readonly signature: ModelSignature
    readonly warmBatches: ReadonlyArray<number>
  }
  | { readonly type: "unload"; readonly glet: number; readonly model: number }
  /** A client's memory that run frames may name by this number from here on. */
  | { readonly type: "region"; readonly region: number; readonly object: ClientObject }
  /** None does any more; batches that do may still run. */
  | { readonly type: "forget-region"; readonly region: number }
  | { readonly type: "stats" }
  /** Closes all glets and exits. */
  | { readonly type: "drain" }

/** Why a glet cannot be opened; `device-missing` also where the device is there and cannot be used. */
export type OpenFailureReason = "share-unsupported" | "no-memory" | "device-missing"

export interface Loaded {
  /** Memory of the device that the model took; on a CUDA device not that of the process. */
  readonly memoryBytes: number
  readonly detail: string
  /** How long a batch computes at most before it gives way, in ms, where it does. */
  readonly preemptMs?: number
}

export type ControlReply =
  | {
    readonly ok: true
    readonly opened?: Opened
    readonly loaded?: Loaded
    /** To a region: whether its tensors are worth naming in run frames; they may be in any case. */
    readonly isDirect?: boolean
    /** Why they are not. */
    readonly note?: string
    readonly residentBytes?: number
    readonly freeDeviceBytes?: number
  }
  | { readonly ok: false; readonly reason?: LoadFailureReason | OpenFailureReason; readonly detail: string }
