/**
 * A glet's worker in Node: a thread. WebGPU comes from dawn's package `webgpu` where the executor says where that is; without it models run in
 * WebAssembly. Built to a file of its own.
 */
import { parentPort, workerData } from "node:worker_threads"
import { installDawn } from "./NodeDawn.js"
import type { WorkerRequest } from "./internal/protocol.js"
import { serveWorker } from "./worker/serve.js"

const port = parentPort!
const { dawn } = workerData as { readonly dawn: string | undefined }

const ready = dawn === undefined ? Promise.resolve() : installDawn(dawn)
const early: Array<WorkerRequest> = []
let take: ((request: WorkerRequest) => void) | undefined
port.on("message", (request: WorkerRequest) => take === undefined ? void early.push(request) : take(request))

// A dawn that does not load leaves Node without WebGPU: the adapter's absence is told with that reason.
void ready.catch((error: unknown) => {
  port.postMessage({ type: "unfit", reason: "device-missing", detail: `dawn does not load: ${error instanceof Error ? error.message : String(error)}` })
}).then(() => serveWorker({
  post: (reply, transfer) => port.postMessage(reply, [...transfer]),
  listen: (onRequest) => {
    take = onRequest
    for (const request of early.splice(0)) onRequest(request)
  }
}))
