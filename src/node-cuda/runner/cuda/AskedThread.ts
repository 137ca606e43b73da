/** A thread of this process that answers what it is asked, in order: for calls that hold whoever makes them. */
import { parentPort, Worker, workerData } from "node:worker_threads"

/** What threads begin with is the runner's own file; this is how it tells which they are. */
export const isThread = (name: string): boolean => workerData === name

/** The thread's side. `answer` must not throw. */
export const answerAll = <Request, Reply>(answer: (request: Request) => Reply): void => {
  parentPort!.on("message", (request: Request) => parentPort!.postMessage(answer(request)))
}

interface Waiting<Reply> {
  readonly resolve: (reply: Reply) => void
  readonly reject: (error: Error) => void
}

export class AskedThread<Request, Reply> {
  private readonly worker: Worker
  private readonly waiting: Array<Waiting<Reply>> = []
  /** Why it answers no more. */
  ended: Error | undefined

  /** `entry` is the runner's own file; `does` says in an error what the thread does. It keeps the process alive while it is asked something, and no longer. */
  constructor(entry: URL, name: string, does: string) {
    const end = (error: Error): void => {
      this.ended ??= new Error(`the thread that ${does} ended: ${error.message}`)
      for (const { reject } of this.waiting.splice(0)) reject(this.ended)
    }
    this.worker = new Worker(entry, { workerData: name })
    this.worker.on("message", (reply: Reply) => {
      this.waiting.shift()!.resolve(reply)
      if (this.waiting.length === 0) this.worker.unref()
    })
    this.worker.on("error", end)
    this.worker.on("exit", (code) => end(new Error(`it exited with ${code}`)))
    this.worker.unref()
  }

  /** Asked for and not answered yet. */
  get outstanding(): number {
    return this.waiting.length
  }

  /** Rejects where the thread has ended. */
  ask(request: Request): Promise<Reply> {
    return new Promise((resolve, reject) => {
      if (this.ended !== undefined) return reject(this.ended)
      this.waiting.push({ resolve, reject })
      this.worker.ref()
      this.worker.postMessage(request)
    })
  }
}
