/**
 * A thread that locks clients' memory for the GPU, one piece after the other: batches are served meanwhile. It has the driver for itself, on the
 * same primary context.
 */
import { textOf } from "../../../core/internal/loadFailure.js"
import type { CudaDriver } from "./driver/CudaDriver.js"
import { CudaError } from "./driver/CudaDriver.js"
import type { LockedFile } from "./FileLocks.js"
import { FileLocks } from "./FileLocks.js"
import { answerAll, AskedThread, isThread } from "./AskedThread.js"

/** Makes clients' memory known to the device, and unknown again, in the order of the calls. Rejects where it cannot. */
export interface FileLocker {
  readonly lock: (fd: number, byteLength: number) => Promise<LockedFile>
  readonly unlock: (address: number) => Promise<void>
}

type LockRequest = { readonly type: "open" } | { readonly type: "lock"; readonly fd: number; readonly byteLength: number } | { readonly type: "unlock"; readonly address: number }

type LockReply =
  | { readonly ok: true; readonly locked: LockedFile | undefined }
  | { readonly ok: false; readonly detail: string; readonly cuda: { readonly call: string; readonly code: number; readonly text: string } | undefined }

const name = "glet-lock-thread"

/** Whether this thread is one, where the file that all threads begin with asks. */
export const isLockThread = (): boolean => isThread(name)

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
  answerAll(answer)
}

/**
 * `entry` is the runner's own file, which runs the thread's side when it finds itself in one. `startsNow`: not with the first request, whose serving
 * process would be held up by milliseconds.
 */
export const makeLockThread = (entry: URL, startsNow: boolean): FileLocker => {
  let thread: AskedThread<LockRequest, LockReply> | undefined
  const ask = async (request: LockRequest): Promise<LockedFile | undefined> => {
    thread ??= new AskedThread(entry, name, "locks memory")
    const reply = await thread.ask(request)
    if (reply.ok) return reply.locked
    throw reply.cuda === undefined ? new Error(reply.detail) : new CudaError(reply.cuda.call, reply.cuda.code, reply.cuda.text)
  }
  // What is wrong with the driver the first request is told again.
  if (startsNow) ask({ type: "open" }).catch(() => undefined)
  return {
    lock: async (fd, byteLength) => (await ask({ type: "lock", fd, byteLength }))!,
    unlock: async (address) => void await ask({ type: "unlock", address })
  }
}
