/** A glet on the GPU: its models, and the batches that they run on its share. */
import type { Loaded, Opened } from "../../internal/control.js"
import type { EngineGlet, EngineModel, LoadRequest } from "../Engine.js"
import { LoadFailure } from "../../../core/internal/loadFailure.js"
import type { SegmentMemory } from "../OrtC.js"
import { BatchPipeline } from "./BatchPipeline.js"
import type { CompletionPoll } from "./CompletionPoll.js"
import type { Handle } from "./driver/CudaDriver.js"
import { CudaError } from "./driver/CudaDriver.js"
import type { CudaModel } from "./CudaModel.js"
import type { CudaRuntime } from "./CudaRuntime.js"
import type { GletContext } from "./gletContext.js"
import { HeldTime } from "./HeldTime.js"
import type { Manners } from "./preemption.js"

/** Batches that the agent is to keep outstanding: one computes, one is copied, one is on its way here. */
const depth = 3

/** Loads a model on a glet. */
type LoadModel = (context: GletContext, request: LoadRequest) => Promise<{ readonly model: CudaModel; readonly loaded: Loaded }>

export class CudaGlet implements EngineGlet {
  readonly opened: Opened
  readonly held = new HeldTime()
  private readonly copyInStream: Handle
  private readonly copyOutStream: Handle
  private readonly batches: BatchPipeline

  constructor(
    private readonly runtime: CudaRuntime,
    memory: SegmentMemory,
    poller: CompletionPoll,
    private readonly context: GletContext,
    private readonly loadModel: LoadModel,
    manners: Manners
  ) {
    this.opened = { units: context.units, depth }
    this.copyInStream = context.createStream()
    this.copyOutStream = context.createStream()
    this.batches = new BatchPipeline(runtime, memory, poller, manners, this.held, this.copyInStream, this.copyOutStream)
  }

  async load(request: LoadRequest): Promise<{ readonly model: EngineModel; readonly loaded: Loaded }> {
    try {
      const { loaded, model } = await this.loadModel(this.context, request)
      return {
        loaded,
        model: {
          run: (batch, onEnd) => this.held.during(() => this.batches.submit(model, batch, onEnd)),
          release: () => {
            this.batches.forget(model)
            model.release()
            return Promise.resolve()
          }
        }
      }
    } catch (error) {
      if (!(error instanceof CudaError)) throw error
      if (error.isFatal) this.runtime.onFatal(error)
      throw new LoadFailure(error.isOutOfMemory ? "no-memory" : "warm-up-failed", error.message)
    }
  }

  close(): Promise<void> {
    this.runtime.driver.destroyStream(this.copyInStream)
    this.runtime.driver.destroyStream(this.copyOutStream)
    this.context.close()
    return Promise.resolve()
  }
}
