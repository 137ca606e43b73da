/**
 * Threads that create sessions and run each for the first time.
 *
 * ONNX Runtime's CUDA provider keeps what a run needs besides the model in a context: handles of cuBLAS and cuDNN, and the vector of ones that biases of
 * matrix products are added by. The thread that creates a session has the first one, and gives it back when it has run the session; a run elsewhere
 * makes another one until then. So a session had two, and which one a run got was chance. If a capture was the first to get it, the ones were
 * written by that graph alone: other graphs, and runs without one, found zeros there and left all such biases out. Where the creating thread runs first, which
 * no capture is, there is one context, and it is complete.
 */
import { availableParallelism } from "node:os"
import { parentPort, Worker, workerData } from "node:worker_threads"
import { textOf } from "../../../core/internal/loadFailure.js"
import { loadOrt } from "../OrtApi.js"
import type { SessionThread } from "../OrtCSession.js"

/** Arguments of `CreateSession`, or of `Run`. */
type SessionRequest =
  | { readonly type: "create"; readonly args: readonly [env: bigint, path: string, options: bigint] }
  | { readonly type: "run"; readonly args: ReadonlyArray<unknown> }

/** Replies come in the order of the requests. */
type SessionReply = { readonly ok: true; readonly made: bigint | undefined } | { readonly ok: false; readonly detail: string }

const dataOfThread = "glet-session-thread"

/** Whether this thread is one, where the file that all threads begin with asks. */
export const isSessionThread = (): boolean => workerData === dataOfThread

/** The thread's side. */
export const runSessionThread = (): void => {
  const serve = (request: SessionRequest): bigint | undefined => {
    const { check, functions: f, make } = loadOrt()
    if (request.type === "create") return make(f.CreateSession, ...request.args)
    check(f.Run(...request.args) as bigint | null)
    return undefined
  }
  const answer = (request: SessionRequest): SessionReply => {
    try {
      return { ok: true, made: serve(request) }
    } catch (error) {
      return { ok: false, detail: textOf(error) }
    }
  }
  parentPort!.on("message", (request: SessionRequest) => parentPort!.postMessage(answer(request)))
}

interface Waiting {
  readonly resolve: (made: bigint | undefined) => void
  readonly reject: (error: Error) => void
}

class Thread implements SessionThread {
  private readonly worker: Worker
  private readonly waiting: Array<Waiting> = []
  ended: Error | undefined

  constructor(entry: URL) {
    this.worker = new Worker(entry, { workerData: dataOfThread })
    this.worker.on("message", (reply: SessionReply) => {
      const { reject, resolve } = this.waiting.shift()!
      if (reply.ok) resolve(reply.made)
      else reject(new Error(reply.detail))
    })
    this.worker.on("error", (error) => this.end(error))
    this.worker.on("exit", (code) => this.end(new Error(`it exited with ${code}`)))
    this.worker.unref()
  }

  get outstanding(): number {
    return this.waiting.length
  }

  create(...args: readonly [env: bigint, path: string, options: bigint]): Promise<bigint> {
    return this.ask({ type: "create", args }) as Promise<bigint>
  }

  async run(args: ReadonlyArray<unknown>): Promise<void> {
    await this.ask({ type: "run", args })
  }

  private ask(request: SessionRequest): Promise<bigint | undefined> {
    return new Promise((resolve, reject) => {
      if (this.ended !== undefined) return reject(this.ended)
      this.waiting.push({ resolve, reject })
      this.worker.postMessage(request)
    })
  }

  private end(error: Error): void {
    this.ended ??= new Error(`the thread that runs sessions first ended: ${error.message}`)
    for (const { reject } of this.waiting.splice(0)) reject(this.ended)
  }
}

/** cuDNN compiles for seconds where a session of convolutions runs first: as many side by side, no more than there are cores. */
const mostThreads = Math.min(8, availableParallelism())

/** Gives a thread for a session to be created: one that has nothing to do, a new one, or the one that has least. `entry` is the runner's own file. */
export const makeSessionThreads = (entry: URL): () => SessionThread => {
  let threads: ReadonlyArray<Thread> = []
  return () => {
    threads = threads.filter(({ ended }) => ended === undefined)
    const [idlest] = [...threads].sort((a, b) => a.outstanding - b.outstanding)
    if (idlest !== undefined && (idlest.outstanding === 0 || threads.length >= mostThreads)) return idlest
    const made = new Thread(entry)
    threads = [...threads, made]
    return made
  }
}
