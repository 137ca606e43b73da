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
import { textOf } from "../../../core/internal/loadFailure.js"
import { loadOrt } from "../OrtApi.js"
import type { SessionThread } from "../OrtCSession.js"
import { answerAll, AskedThread, isThread } from "./AskedThread.js"

/** Arguments of `CreateSession`, or of `Run`. */
type SessionRequest =
  | { readonly type: "create"; readonly args: readonly [env: bigint, path: string, options: bigint] }
  | { readonly type: "run"; readonly args: ReadonlyArray<unknown> }

type SessionReply = { readonly ok: true; readonly made: bigint | undefined } | { readonly ok: false; readonly detail: string }

const name = "glet-session-thread"

/** Whether this thread is one, where the file that all threads begin with asks. */
export const isSessionThread = (): boolean => isThread(name)

/** The thread's side. */
export const runSessionThread = (): void => {
  const serve = (request: SessionRequest): bigint | undefined => {
    const { check, functions: f, make } = loadOrt()
    if (request.type === "create") return make(f.CreateSession, ...request.args)
    check(f.Run(...request.args) as bigint | null)
    return undefined
  }
  answerAll((request: SessionRequest): SessionReply => {
    try {
      return { ok: true, made: serve(request) }
    } catch (error) {
      return { ok: false, detail: textOf(error) }
    }
  })
}

type Thread = AskedThread<SessionRequest, SessionReply>

const ask = async (thread: Thread, request: SessionRequest): Promise<bigint | undefined> => {
  const reply = await thread.ask(request)
  if (!reply.ok) throw new Error(reply.detail)
  return reply.made
}

const sessionThread = (thread: Thread): SessionThread => ({
  create: async (...args) => (await ask(thread, { type: "create", args }))!,
  run: async (args) => void await ask(thread, { type: "run", args })
})

/** cuDNN compiles for seconds where a session of convolutions runs first: as many side by side, no more than there are cores. */
const mostThreads = Math.min(8, availableParallelism())

/** Gives a thread for a session to be created: one that has nothing to do, a new one, or the one that has least. `entry` is the runner's own file. */
export const makeSessionThreads = (entry: URL): () => SessionThread => {
  let threads: ReadonlyArray<Thread> = []
  return () => {
    threads = threads.filter(({ ended }) => ended === undefined)
    const [idlest] = [...threads].sort((a, b) => a.outstanding - b.outstanding)
    if (idlest !== undefined && (idlest.outstanding === 0 || threads.length >= mostThreads)) return sessionThread(idlest)
    const made: Thread = new AskedThread(entry, name, "runs sessions first")
    threads = [...threads, made]
    return sessionThread(made)
  }
}
