/**
 * Workers as the executor sees them, and how browsers and Deno start one.
 *
 * @since 0.1.0
 */
import { exitOnce } from "./internal/exitOnce.js"

/** A worker that speaks the executor's protocol. @since 0.1.0 @category workers */
export interface WorkerLink {
  readonly post: (message: unknown, transfer: ReadonlyArray<ArrayBuffer>) => void
  /** Called once, before anything is posted. `onExit` is called at most once, when the worker ends by itself. */
  readonly listen: (onMessage: (message: unknown) => void, onExit: (detail: string) => void) => void
  /** Ends it, whatever it does. */
  readonly terminate: () => void
}

/** Starts a worker. Throws where none can be started. @since 0.1.0 @category workers */
export type StartWorker = () => WorkerLink

/** What a `Worker` of browsers and Deno has. @since 0.1.0 @category workers */
export interface WebWorker {
  postMessage: (message: unknown, transfer: Array<ArrayBuffer>) => void
  addEventListener: (type: string, listener: (event: { readonly data?: unknown; readonly message?: string; preventDefault?: () => void }) => void) => void
  terminate: () => void
}

/**
 * A browser's or Deno's worker as a link: for workers that a bundler makes (`new Worker(new URL("glet-orion/webgpu-worker", import.meta.url))`).
 * @since 0.1.0
 * @category workers
 */
export const linkOf = (worker: WebWorker): WorkerLink => ({
  post: (message, transfer) => worker.postMessage(message, [...transfer]),
  listen: (onMessage, onExit) => {
    const exit = exitOnce(onExit)
    worker.addEventListener("message", ({ data }) => onMessage(data))
    worker.addEventListener("messageerror", () => exit("a message from the worker could not be read"))
    worker.addEventListener("error", (event) => {
      event.preventDefault?.()
      exit(event.message ?? "the worker's file does not load")
    })
  },
  terminate: () => worker.terminate()
})

declare const Worker: undefined | (new(address: URL, options: { readonly type: "module" }) => WebWorker)

/** A worker of this package's own file, in browsers and Deno. @since 0.1.0 @category workers */
export const startWebWorker: StartWorker = () => {
  if (typeof Worker === "undefined") throw new Error("there are no web workers here; in Node start them with glet-orion/webgpu-node")
  // Bundlers know this form, all of it constant, and make a file of it.
  return linkOf(new Worker(new URL("./webgpu-worker.js", import.meta.url), { type: "module" }))
}
