/**
 * The engine on onnxruntime-node's own API: everywhere, also where koffi does not load. Its `run` holds its thread, so every glet has a worker
 * thread; this side only passes messages.
 */
import { Worker } from "node:worker_threads"
import type { Loaded, Opened } from "../internal/control.js"
import type { Engine, EngineGlet, EngineModel, LoadRequest } from "./Engine.js"
import { LoadFailure } from "../../core/internal/loadFailure.js"
import type { WorkerReply, WorkerRequest, WorkerSetup } from "./ortJsProtocol.js"

class OrtJsGlet implements EngineGlet {
  private models = 0
  /** What waits for the worker's replies, which come in the order of the requests. */
  private readonly waiting: Array<(reply: WorkerReply) => void> = []

  constructor(private readonly worker: Worker, readonly opened: Opened) {
    worker.on("message", (reply: WorkerReply) => this.waiting.shift()?.(reply))
  }

  async load(request: LoadRequest): Promise<{ readonly model: EngineModel; readonly loaded: Loaded }> {
    const model = this.models++
    const reply = await this.ask({ type: "load", model, request })
    if (reply.type === "failed") throw new LoadFailure(reply.reason, reply.detail)
    if (reply.type !== "loaded") throw new Error(`the worker answered "${reply.type}" to "load"`)
    return {
      loaded: reply.loaded,
      model: {
        run: (batch, onEnd) => this.send({ type: "run", model, batch }, (ended) => {
          onEnd(ended.type === "ended" ? ended.end : { ok: false, detail: `the worker answered "${ended.type}" to "run"` })
        }),
        release: async () => {
          await this.ask({ type: "release", model })
        }
      }
    }
  }

  async close(): Promise<void> {
    await this.worker.terminate()
    // A load may still wait, and other loads behind it.
    for (const onReply of this.waiting.splice(0)) onReply({ type: "failed", reason: "invalid-model", detail: "the glet was closed" })
  }

  private ask(request: WorkerRequest): Promise<WorkerReply> {
    return new Promise((resolve) => this.send(request, resolve))
  }

  private send(request: WorkerRequest, onReply: (reply: WorkerReply) => void): void {
    this.waiting.push(onReply)
    this.worker.postMessage(request)
  }
}

/** `entry` is the runner's own file, which runs the worker's side when it finds itself in one. */
export const makeOrtJs = (entry: URL, memory: WorkerSetup["memory"], provider: WorkerSetup["provider"]): Engine => ({
  name: "ort-js",
  openGlet: async ({ units }) => {
    const setup: WorkerSetup = { provider, threads: provider === "cpu" ? units : 1, memory }
    const worker = new Worker(entry, { workerData: setup })
    await new Promise<void>((resolve, reject) => worker.once("online", resolve).once("error", reject))
    // A worker that dies takes the runner with it: its supervisor tells, fails what is in flight, and starts another.
    worker.removeAllListeners("error").on("error", (error) => setImmediate(() => {
      throw error
    }))
    return new OrtJsGlet(worker, { units })
  }
})
