/** A glet's worker in browsers and in Deno. Built to a file of its own, which `new Worker` names. */
import type { WorkerRequest } from "./internal/protocol.js"
import { realm } from "./internal/gpuTypes.js"
import { serveWorker } from "./worker/serve.js"

interface WorkerScope {
  readonly postMessage: (message: unknown, transfer: ReadonlyArray<ArrayBuffer>) => void
  readonly addEventListener: (type: string, listener: (event: { readonly data?: unknown; readonly reason?: unknown }) => void) => void
}

const scope = globalThis as unknown as WorkerScope

// onnxruntime-web makes addresses of location.origin, which is "null" in Deno's workers. It is imported later than this runs.
if (realm.Deno !== undefined) Object.defineProperty(globalThis, "location", { value: undefined, configurable: true })

// A promise that nobody waits for is a failure inside onnxruntime-web, after which nothing of it can be trusted.
scope.addEventListener("unhandledrejection", ({ reason }) => {
  scope.postMessage({ type: "lost", detail: reason instanceof Error ? reason.message : String(reason) }, [])
})
serveWorker({
  post: (reply, transfer) => scope.postMessage(reply, transfer),
  listen: (onRequest) => scope.addEventListener("message", ({ data }) => onRequest(data as WorkerRequest))
})
