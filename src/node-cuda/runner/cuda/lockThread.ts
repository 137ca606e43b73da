/**
 * A thread that locks clients' memory for the GPU, one piece after the other: batches are served meanwhile. It has the driver for itself, on the
 * same primary context.
 */
import { parentPort, Worker, workerData } from "node:worker_threads"
import { textOf } from "../../../core/internal/loadFailure.js"
import type { CudaDriver } from "./CudaDriver.js"
import { CudaError } from "./CudaDriver.js"
import type { LockedFile } from "./FileLocks.js"
import { FileLocks } from "./FileLocks.js"

/** Makes clients' memory known to the device, and unknown again, in the order of the calls. Rejects where it cannot. */
export interface FileLocker {
  readonly lock: (fd: number, byteLength: number) => Promise<LockedFile>
  readonly unlock: (address: number) => Promise<void>
}

type LockRequest = { readonly type: "open" } | { readonly type: "lock"; readonly fd: number; readonly byteLength: number } | { readonly type: "unlock"; readonly address: number }

/** Replies come in the order of the requests. */
type LockReply =
  | { readonly ok: true; readonly locked: LockedFile | undefined }
  | { readonly ok: false; readonly detail: string; readonly cuda: { readonly call: string; readonly code: number; readonly text: string } | undefined }

const dataOfThread = "glet-lock-thread"

/** Whether this thread is one, where the file that all threads begin with asks. */
export const isLockThread = (): boolean => workerData === dataOfThread

/** The thread's side. A driver that does not open is what every request is told. */
export const runLockThread = (openDriver: () => Pick<CudaDriver, "lockHost" | "unlockHost">): void => {
  let locks: FileLocks | undefined
  const serve = (request: LockRequest): LockedFile | undefined => {
    locks ??= new FileLocks(openDriver())
    switch (request.type) {
      case "open": return undefined
      case "lock": return locks.lock(request.fd, request.byteLength)
      case "unlock": return void locks.unlock(request.address)
    }
  }
  const answer = (request: LockRequest): LockReply => {
    try {
      return { ok: true, locked: serve(request) }
    } catch (error) {
      return { ok: false, detail: textOf(error), cuda: error instanceof CudaError ? { call: error.call, code: error.code, text: error.text } : undefined }
    }
  }
  parentPort!.on("message", (request: LockRequest) => parentPort!.postMessage(answer(request)))
}

interface Waiting {
  readonly resolve: (locked: LockedFile | undefined) => void
  readonly reject: (error: Error) => void
}

/**
 * `entry` is the runner's own file, which runs the thread's side when it finds itself in one. `startsNow`: not with the first request, whose serving
 * process would be held up by milliseconds.
 */
export const makeLockThread = (entry: URL, startsNow: boolean): FileLocker => {
  let worker: Worker | undefined
  const waiting: Array<Waiting> = []
  let ended: Error | undefined
  const end = (error: Error): void => {
    ended ??= new Error(`the thread that locks memory ended: ${error.message}`)
    for (const { reject } of waiting.splice(0)) reject(ended)
  }
  const start = (): Worker => {
    const started = new Worker(entry, { workerData: dataOfThread })
    started.on("message", (reply: LockReply) => {
      const { reject, resolve } = waiting.shift()!
      if (reply.ok) resolve(reply.locked)
      else reject(reply.cuda === undefined ? new Error(reply.detail) : new CudaError(reply.cuda.call, reply.cuda.code, reply.cuda.text))
    })
    started.on("error", end)
    started.on("exit", (code) => end(new Error(`it exited with ${code}`)))
    started.unref()
    return started
  }
  const ask = (request: LockRequest): Promise<LockedFile | undefined> =>
    new Promise((resolve, reject) => {
      if (ended !== undefined) return reject(ended)
      worker ??= start()
      waiting.push({ resolve, reject })
      worker.postMessage(request)
    })
  // What is wrong with the driver the first request is told again.
  if (startsNow) ask({ type: "open" }).catch(() => undefined)
  return {
    lock: async (fd, byteLength) => (await ask({ type: "lock", fd, byteLength }))!,
    unlock: async (address) => void await ask({ type: "unlock", address })
  }
}
