/** What the models of a process share: the driver, ONNX Runtime, and how sessions are opened. */
import type { LoadRequest } from "../Engine.js"
import type { Ort } from "../OrtApi.js"
import type { OrtCSession } from "../OrtCSession.js"
import type { CaptureGate } from "./CaptureGate.js"
import type { CudaDriver, CudaError, DevicePointer, Handle, Mover } from "./driver/CudaDriver.js"
import type { CudaSessionSettings } from "./cudaSession.js"

/** A mover for slots. */
export interface SlotMover extends Mover {
  /** Where the GPU finds the segment. */
  readonly segment: DevicePointer
}

export interface CudaRuntime {
  readonly driver: CudaDriver
  readonly ort: Ort
  /** OrtMemoryInfo of the device's memory. */
  readonly memoryInfo: bigint
  /** Rejects with `LoadFailure`. */
  readonly openSession: (request: LoadRequest, settings: CudaSessionSettings) => Promise<OrtCSession>
  readonly captures: CaptureGate
  /** OrtRunOptions: `Run` returns when all is on the stream, not when it has ended. */
  readonly unsynchronized: bigint
  /** What trials and launches are measured by, in ms. */
  readonly now: () => number
  /** For small tensors; without it they are gathered on the host. */
  readonly mover?: SlotMover | undefined
  /**
   * Fewer bytes of inputs are moved on the host, which is done before the GPU would have begun; 16 kB by default. Outputs, however few, are written by the
   * GPU sooner than its copy engine begins.
   */
  readonly moveFromBytes?: number | undefined
  /** The device is lost for this process. */
  readonly onFatal: (error: CudaError) => void
}

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** Waits for an event without holding the thread. */
export const settled = async (driver: CudaDriver, event: Handle): Promise<void> => {
  while (!driver.isDone(event)) await nextTurn()
}
