/**
 * Node's part of the WebGPU backend: glets as threads, models as files.
 *
 * @since 0.1.0
 */
import * as fs from "node:fs/promises"
import { fileURLToPath } from "node:url"
import { Worker } from "node:worker_threads"
import { describeProvider } from "./Capabilities.js"
import type { WebGpuCapabilities } from "./WebGpuCapabilities.js"
import { exitOnce } from "./internal/exitOnce.js"
import { mostModelBytes } from "./internal/fetchModel.js"
import { findDawn } from "./NodeDawn.js"
import type { WebGpuExecutorOptions } from "./WebGpuExecutor.js"
import type { StartWorker } from "./WorkerLink.js"

export { findDawn, installDawn } from "./NodeDawn.js"

/** @since 0.1.0 @category options */
export interface NodeWorkerOptions {
  /** The file of dawn's package `webgpu`; by default it is looked for. False: WebAssembly. */
  readonly dawn?: string | false
  /** The built worker. Default: beside this module. */
  readonly worker?: URL
}

/** Threads for `WebGpuExecutor`. @since 0.1.0 @category workers */
export const startThreads = (options: NodeWorkerOptions = {}): StartWorker => {
  const dawn = options.dawn === false ? undefined : options.dawn ?? findDawn()
  const entry = options.worker ?? new URL("./webgpu-node-worker.js", import.meta.url)
  return () => {
    const worker = new Worker(entry, { workerData: { dawn } })
    return {
      post: (message, transfer) => worker.postMessage(message, [...transfer]),
      listen: (onMessage, onExit) => {
        const exit = exitOnce(onExit)
        worker.on("message", onMessage)
        worker.on("error", (error) => exit(error instanceof Error ? error.message : String(error)))
        worker.on("exit", (code) => exit(`the thread ended with code ${code}`))
      },
      terminate: () => void worker.terminate()
    }
  }
}

/** Reads a model's file. @since 0.1.0 @category models */
export const readModelFile: NonNullable<WebGpuExecutorOptions["readModel"]> = async ({ path }) => {
  const file = path.startsWith("file:") ? fileURLToPath(path) : path
  const { size } = await fs.stat(file)
  if (size > mostModelBytes) throw new Error(`it has ${size} bytes; the limit is ${mostModelBytes}`)
  const bytes = await fs.readFile(file)
  return { bytes: bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer, external: [] }
}

/** What a worker of these options would find: looked at in a thread, so that this one stays as it is. @since 0.1.0 @category capabilities */
export const probeThread = (options: NodeWorkerOptions = {}): Promise<WebGpuCapabilities | string> =>
  new Promise((resolve) => {
    const link = startThreads(options)()
    const end = (found: WebGpuCapabilities | string) => {
      link.terminate()
      resolve(found)
    }
    link.listen((message) => {
      const reply = message as { readonly type: string; readonly capabilities?: WebGpuCapabilities; readonly detail: string }
      end(reply.capabilities ?? reply.detail)
    }, end)
    link.post({ type: "setup", provider: "auto", runtime: {}, threads: undefined, memoryLimitBytes: undefined, deviceClock: false, warmUp: false }, [])
  })

export { describeProvider }
