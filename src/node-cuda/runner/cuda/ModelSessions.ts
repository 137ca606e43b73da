/**
 * The sessions of one model.
 *
 * A convolution of ONNX Runtime holds cuDNN's plan for the shape that it ran last, and makes it anew for another: that takes up to tens of
 * milliseconds a convolution, and a graph that was recorded with the plan before would run kernels that are no longer there. So where a model
 * has convolutions every batch size has a session of its own; other models have one for all.
 */
import type { LoadRequest } from "../Engine.js"
import type { OrtCSession } from "../OrtCSession.js"
import type { BatchSize } from "./BufferSets.js"
import type { Handle } from "./driver/CudaDriver.js"
import type { CudaRuntime } from "./CudaRuntime.js"

export class ModelSessions {
  private constructor(
    private readonly runtime: CudaRuntime,
    private readonly request: LoadRequest,
    private readonly stream: Handle,
    readonly isPerSize: boolean,
    /** A session that no size has yet, or that all have. */
    private spare: { readonly session: OrtCSession; readonly nhwc: boolean } | undefined
  ) {}

  /** Opens the first. Rejects with `LoadFailure`. */
  static async open(runtime: CudaRuntime, request: LoadRequest, stream: Handle, isPerSize: boolean, nhwc: boolean): Promise<ModelSessions> {
    const sessions = new ModelSessions(runtime, request, stream, isPerSize, undefined)
    sessions.spare = { session: await sessions.create(nhwc), nhwc }
    return sessions
  }

  /** Gives a size the session that runs it, if it has none. Rejects with `LoadFailure`. */
  async provide(size: BatchSize): Promise<void> {
    size.session ??= await this.take(size)
  }

  /** Takes a size's session from it. */
  release(size: BatchSize): void {
    if (size.session !== this.spare?.session) size.session?.release()
    size.session = undefined
  }

  /** Once no size has one. */
  close(): void {
    this.spare?.session.release()
  }

  private async take({ nhwc }: BatchSize): Promise<OrtCSession> {
    const { spare } = this
    if (spare?.nhwc !== nhwc) return this.create(nhwc)
    if (this.isPerSize) this.spare = undefined
    return spare.session
  }

  private create(nhwc: boolean): Promise<OrtCSession> {
    const { captures, driver, openSession } = this.runtime
    return captures.firstRun(() => openSession(this.request, { stream: this.stream, nhwc, memoryLimitBytes: driver.freeBytes() }))
  }
}
