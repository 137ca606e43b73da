/**
 * What batches of one model and one size need on the GPU, made once and used again: memory laid out like a slot of so many items, OrtValues on
 * it, events, and the executable graph of the model's kernels on just this memory.
 */
import { directItemBytes } from "../../../core/ClientMemory.js"
import type { SlotLayout, SlotPlacement } from "../../../core/SlotLayout.js"
import type { Ort } from "../OrtApi.js"
import type { OrtCSession } from "../OrtCSession.js"
import type { BoundValues } from "../ortValues.js"
import { bindValues } from "../ortValues.js"
import { rangeOf } from "./copies.js"
import type { CudaDriver, DevicePointer, Handle } from "./driver/CudaDriver.js"

/** One set of buffers: a batch has it from its first copy to its last. */
export interface BufferSet {
  readonly size: BatchSize
  readonly device: DevicePointer
  readonly values: BoundValues
  /**
   * Page-locked memory of the host, laid out alike, where small tensors are gathered on the host: many small copies take longer than one and a few memory
   * moves.
   */
  readonly staging: { readonly address: number; readonly memory: Uint8Array } | undefined
  readonly copiedIn: Handle
  readonly computed: Handle
  readonly done: Handle
  /** Its kernels in one piece; undefined where they are launched one by one. */
  graph: RunnableGraph | undefined
}

export interface RunnableGraph {
  readonly executable: Handle
  /** How long its kernels took to record, in ms. */
  readonly recordMs: number
  /** How long it computes at most before it gives way, in ms; undefined where it runs to its end. */
  readonly preemptMs: number | undefined
  /** Page-locked memory that it copies from. */
  readonly sources: ReadonlyArray<number>
  /** `RunShapes.generation` when it was recorded. */
  readonly generation: number
}

export const freeGraph = (driver: CudaDriver, { executable, sources }: RunnableGraph): void => {
  driver.destroyExecutable(executable)
  for (const source of sources) driver.freeHost(source)
}

/** Batches of the same items and bindings. */
export interface BatchSize {
  readonly key: string
  readonly items: number
  readonly bindings: ReadonlyArray<number>
  readonly placement: SlotPlacement
  readonly inputsBy: CopiedBy
  readonly outputsBy: CopiedBy
  readonly free: Array<BufferSet>
  /** Whether its convolutions run on channels-last tensors. */
  readonly nhwc: boolean
  /** The session that runs it; undefined until the first run. */
  session: OrtCSession | undefined
  /** Why its kernels are launched one by one; undefined where they are recorded, or may be. */
  graphProblem: string | undefined
  /** How long a batch takes that nothing interrupts, and how long its kernels take to record, in ms; known once it is to give way. */
  whole: { readonly runMs: number; readonly recordMs: number } | undefined
  made: number
  /** Shortest launch of its graph by the JavaScript thread, in ms, of so many. */
  launchMs: number
  launches: number
  /** Shortest time that putting the copies of its inputs on a stream held the thread, in ms, of so many. */
  copyMs: number
  copied: number
  /** Batches of this size so far. */
  uses: number
  /** Duration of late, in ms, from when the GPU could begin; Infinity until known. */
  typicalMs: number
}

/**
 * How the tensors of several requests come together, or apart: by the copy engine, piece by piece; by a kernel that moves all pieces; or on the host, with
 * one copy between staging and the device.
 */
type CopiedBy = "engine" | "mover" | "host"

/** Tensors whose part of one item is smaller are not for the copy engine; the others may stand in clients' memory, which only that reaches. */
const smallBytes = directItemBytes

/** `moveFromBytes`: where the mover pays; undefined without one. */
const copiedBy = (bytes: ReadonlyArray<number>, items: number, moveFromBytes: number | undefined): CopiedBy => {
  const areSmall = items > 1 && bytes.every((size) => size / items < smallBytes)
  const total = bytes.reduce((sum, size) => sum + size, 0)
  return !areSmall ? "engine" : moveFromBytes !== undefined && total >= moveFromBytes ? "mover" : "host"
}

export const makeBatchSize = (layout: SlotLayout, key: string, items: number, bindings: ReadonlyArray<number>, nhwc: boolean, moveFromBytes: number | undefined): BatchSize => {
  const placement = layout.placement(items, bindings)
  return {
    key,
    items,
    bindings,
    placement,
    inputsBy: copiedBy(placement.inputBytes, items, moveFromBytes),
    outputsBy: copiedBy(placement.outputBytes, items, moveFromBytes === undefined ? undefined : 0),
    free: [],
    nhwc,
    session: undefined,
    graphProblem: undefined,
    whole: undefined,
    made: 0,
    launchMs: Infinity,
    launches: 0,
    copyMs: Infinity,
    copied: 0,
    uses: 0,
    typicalMs: Infinity
  }
}

/** Makes a set; frees what it had made where something fails. */
export const makeBufferSet = (driver: CudaDriver, ort: Ort, memoryInfo: bigint, layout: SlotLayout, size: BatchSize): BufferSet => {
  const { bindings, items, placement } = size
  const undo: Array<() => void> = []
  const made = <A>(value: A, release: (value: A) => void): A => {
    undo.push(() => release(value))
    return value
  }
  try {
    const device = made(driver.allocate(placement.totalBytes), driver.free)
    const staging = size.inputsBy === "host" || size.outputsBy === "host"
      ? made(driver.allocateHost(placement.totalBytes), ({ address }) => driver.freeHost(address))
      : undefined
    const event = () => made(driver.createEvent(), driver.destroyEvent)
    const values = made(bindValues(ort, memoryInfo, layout, items, bindings, placement, BigInt(device)), ({ release }) => release())
    const set: BufferSet = { size, device, values, staging, copiedIn: event(), computed: event(), done: event(), graph: undefined }
    size.made++
    return set
  } catch (error) {
    for (const release of undo.reverse()) release()
    throw error
  }
}

/** Frees a set that no batch has. */
export const freeBufferSet = (driver: CudaDriver, set: BufferSet): void => {
  if (set.graph !== undefined) freeGraph(driver, set.graph)
  set.values.release()
  for (const event of [set.copiedIn, set.computed, set.done]) driver.destroyEvent(event)
  if (set.staging !== undefined) driver.freeHost(set.staging.address)
  driver.free(set.device)
  set.size.made--
}

/** Bytes of the device that a set takes. */
export const bytesOfSet = (size: BatchSize): number => size.placement.totalBytes

/** All inputs, or all outputs, of a set: where they stand from its beginning. */
export const inputsOf = (size: BatchSize) => rangeOf(size.placement, "inputs")
export const outputsOf = (size: BatchSize) => rangeOf(size.placement, "outputs")
