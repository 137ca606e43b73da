/**
 * The calls of the CUDA driver that a runner makes, behind one small interface: `openLibcuda` makes them on a GPU, a fake in the tests does on
 * any machine. Addresses and handles are numbers: the driver's fit into 48 bits, and a BigInt per call costs more than the call.
 *
 * All calls go to the device's primary context, which is current on the JavaScript thread. Except for `instantiate` and what allocates, none
 * waits for the GPU.
 */

/** An address in the device's memory. */
export type DevicePointer = number
/** A stream, event, graph, executable graph or green context. */
export type Handle = number

export interface CudaDevice {
  /** e.g. `NVIDIA H200`. */
  readonly name: string
  /** SMs that this process may use. */
  readonly units: number
  readonly memoryBytes: number
  /** e.g. 13000 for CUDA 13.0. */
  readonly driverVersion: number
  /** The numerically least (highest) and greatest (lowest) priority of a stream. */
  readonly priorities: { readonly highest: number; readonly lowest: number }
}

/** SMs of the device, split into groups that do not overlap. */
export interface SmGroups {
  /** SMs of each group. */
  readonly units: ReadonlyArray<number>
  /** The driver's own records of them. */
  readonly resources: Uint8Array
}

/** A green context; its streams run on its SMs only. */
export interface GreenContext {
  readonly handle: Handle
  readonly units: number
}

/** Pieces to copy between page-locked memory and the device in one call. */
export interface CopyList {
  count: number
  /** Low and high halves of 64-bit addresses and sizes. */
  readonly host: Uint32Array
  readonly device: Uint32Array
  readonly bytes: Uint32Array
}

/** Copies small pieces by the GPU's own reads and writes of page-locked memory. The host's addresses are those that the GPU knows (`deviceAddress`). */
export interface Mover {
  readonly moveIn: (list: CopyList, stream: Handle) => void
  readonly moveOut: (list: CopyList, stream: Handle) => void
}

/** That a word of 32 bits in memory, as a signed number, is at least so much. */
export interface WaitCondition {
  readonly word: DevicePointer
  readonly least: number
}

export interface CudaMemory {
  /** Bytes of the device that no process has taken. */
  readonly freeBytes: () => number
  /** Page-locks memory of this process, so that copies from and to it are asynchronous. */
  readonly lockHost: (address: number, bytes: number) => void
  /** Where the GPU finds page-locked memory. */
  readonly deviceAddress: (address: number) => DevicePointer
  readonly unlockHost: (address: number) => void
  /** Page-locked memory. */
  readonly allocateHost: (bytes: number) => { readonly address: number; readonly memory: Uint8Array }
  readonly freeHost: (address: number) => void
  /** Memory of the device, zeroed. */
  readonly allocate: (bytes: number) => DevicePointer
  readonly free: (pointer: DevicePointer) => void
}

export interface GreenContexts {
  /** The device split into groups of at least `least` SMs; what is left over is the last group. */
  readonly splitSms: (least: number, forClusters: boolean) => SmGroups
  readonly createGreen: (groups: SmGroups, indices: ReadonlyArray<number>) => GreenContext
  readonly destroyGreen: (context: GreenContext) => void
}

export interface CudaStreams {
  readonly createStream: (priority: number, green: GreenContext | undefined) => Handle
  readonly destroyStream: (stream: Handle) => void
  readonly createEvent: () => Handle
  readonly destroyEvent: (event: Handle) => void
  readonly record: (event: Handle, stream: Handle) => void
  /** What comes next on the stream waits for the event. */
  readonly wait: (stream: Handle, event: Handle) => void
  /** What comes next on the stream, whichever thread puts it there, waits for the word; also while the stream is recorded. */
  readonly waitUntil: (stream: Handle, condition: WaitCondition) => void
  /** Whether all before the event's last record has ended. Throws the error that anything on the device ended with. */
  readonly isDone: (event: Handle) => boolean
}

export interface CudaCopies {
  readonly copyIn: (to: DevicePointer, from: number, bytes: number, stream: Handle) => void
  readonly copyOut: (to: number, from: DevicePointer, bytes: number, stream: Handle) => void
  readonly copyAllIn: (list: CopyList, stream: Handle) => void
  /** The same on another thread: each piece takes the driver microseconds. The list must stay as it is until then; `done` may be called at once. */
  readonly copyAllInAsync: (list: CopyList, stream: Handle, done: (error: CudaError | undefined) => void) => void
  readonly copyAllOut: (list: CopyList, stream: Handle) => void
}

export interface CudaGraphs {
  /** From now on what is put on the stream, by whatever thread, is recorded instead of run. */
  readonly beginCapture: (stream: Handle) => void
  /** Ends it, also where it failed, and gives the graph; throws where there is none. */
  readonly endCapture: (stream: Handle) => Handle
  readonly instantiate: (graph: Handle) => Handle
  readonly launch: (executable: Handle, stream: Handle) => void
  /** The same on another thread: a graph of a thousand kernels takes the driver a millisecond to launch. */
  readonly launchAsync: (executable: Handle, stream: Handle, done: (error: CudaError | undefined) => void) => void
  readonly destroyGraph: (graph: Handle) => void
  readonly destroyExecutable: (executable: Handle) => void
}

/** What is known of a recorded graph, and changed in it, before it is made executable. */
export interface CudaGraphNodes {
  /** Why the graph would not do the same when run again: it calls the host, or copies to its memory. */
  readonly graphProblem: (graph: Handle) => string | undefined
  /**
   * Lets copies from the host's memory copy from page-locked copies of it, as it is now: it belongs to whoever launched them, and may hold
   * something else later. Gives the addresses of the copies, to be freed when the graph is no longer run.
   */
  readonly keepHostSources: (graph: Handle) => ReadonlyArray<number>
  /** How many waits for a word it has. */
  readonly waitsOf: (graph: Handle) => number
}

export interface CudaDriver extends CudaMemory, GreenContexts, CudaStreams, CudaCopies, CudaGraphs, CudaGraphNodes {
  readonly device: CudaDevice
  /** Makes it, and tries it. Throws where it does not work. */
  readonly openMover: () => Mover
}

/**
 * Results after which the context is of no use any more (CUresult): every further call fails, the process must go. Under MPS an H200's driver
 * gave 700 to all clients after one's fault, 806 when daemon or server died, 807 to new clients until the last old one had ended, 810 to one that
 * was taken off the GPU.
 */
const fatalCodes = new Set([4, 46, 214, 220, 226, 700, 702, 710, 714, 715, 716, 717, 718, 719, 721, 805, 806, 807, 810, 999])
const outOfMemory = 2
/** A kernel of the graph wants more SMs side by side (a cluster) than the context has. */
const clusterTooLarge = 912

/** A call of the driver failed. */
export class CudaError extends Error {
  override readonly name = "CudaError"
  constructor(readonly call: string, readonly code: number, readonly text: string) {
    super(`${call} failed with ${text} (${code})`)
  }
  get isFatal(): boolean {
    return fatalCodes.has(this.code)
  }
  get isOutOfMemory(): boolean {
    return this.code === outOfMemory
  }
  get isClusterTooLarge(): boolean {
    return this.code === clusterTooLarge
  }
}

/** Room for `most` pieces. */
export const makeCopyList = (most: number): CopyList => ({
  count: 0,
  host: new Uint32Array(2 * most),
  device: new Uint32Array(2 * most),
  bytes: new Uint32Array(2 * most)
})

const twoTo32 = 2 ** 32

/** Puts an unsigned 64-bit number below 2^53 at index `i`, low half first. */
export const putU64 = (words: Uint32Array, i: number, value: number): void => {
  words[2 * i] = value % twoTo32
  words[2 * i + 1] = Math.floor(value / twoTo32)
}

export const getU64 = (words: Uint32Array, i: number): number => words[2 * i]! + twoTo32 * words[2 * i + 1]!
