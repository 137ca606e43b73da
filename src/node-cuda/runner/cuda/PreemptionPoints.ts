/**
 * Puts waits between the kernels of a run while they are launched, or recorded. That is done by a thread of ONNX Runtime, which cannot be asked to stop
 * between two kernels; and a finished graph cannot be changed where it allocates, as those with matrix products do. So this thread adds to the stream
 * beside it, at even intervals.
 */
import type { CudaDriver, Handle, WaitCondition } from "./driver/CudaDriver.js"
import { CudaError } from "./driver/CudaDriver.js"

/**
 * How long a batch is to compute before it gives way, in ms. Each point costs the GPU some microseconds even where nobody wants it: BERT in batches of 32
 * lost 1 % to steps of 0.1 ms on an H200, 5 % to steps of 0.03.
 */
export const stepMs = 0.1

export class PreemptionPoints {
  /** Why there are none. */
  problem: string | undefined
  private nextMs: number
  private isOver = false

  /** Begins, with a wait before the first kernel. Throws where the device is lost. */
  constructor(
    private readonly driver: CudaDriver,
    private readonly stream: Handle,
    private readonly condition: WaitCondition,
    private readonly intervalMs: number
  ) {
    this.nextMs = performance.now()
    this.turn()
  }

  end(): void {
    this.isOver = true
  }

  private readonly turn = (): void => {
    if (this.isOver) return
    const nowMs = performance.now()
    if (nowMs >= this.nextMs) {
      this.nextMs = nowMs + this.intervalMs
      try {
        this.driver.waitUntil(this.stream, this.condition)
      } catch (error) {
        if (!(error instanceof CudaError)) throw error
        // Where the device is lost, whoever waits for the batch will hear of it too.
        this.problem = error.message
        return
      }
    }
    setImmediate(this.turn)
  }
}
