/** The worker's side: takes requests one after the other, in order. onnxruntime-web would not survive two calls at a time. */
import { loadFailureOf, LoadFailure, textOf } from "../../core/internal/loadFailure.js"
import { describeCapabilities, describeProvider, findAdapter } from "../internal/adapter.js"
import type { OrtBuild, WorkerReply, WorkerRequest, WorkerSetup } from "../internal/protocol.js"
import type { HeldDevice } from "./device.js"
import { holdDevice } from "./device.js"
import { installRuntime } from "../RuntimePackage.js"
import { importOrt, isSpoiling, OrtWeb, warmUp } from "./OrtWeb.js"
import { onSharedModule } from "./sharedModule.js"

/** How a worker speaks, whatever kind of worker it is. */
export interface WorkerPort {
  readonly post: (reply: WorkerReply, transfer: ReadonlyArray<ArrayBuffer>) => void
  readonly listen: (onRequest: (request: WorkerRequest) => void) => void
}

/** It cannot work here at all. */
class Unfit extends Error {
  constructor(readonly reason: "device-missing" | "no-memory" | "spawn-failed", detail: string) {
    super(detail)
  }
}

interface Started {
  readonly ort: OrtWeb
  readonly reply: WorkerReply
}

const start = async (setup: WorkerSetup, onLost: (detail: string) => void): Promise<Started> => {
  const adapter = setup.provider === "wasm" ? "that was asked for" : await findAdapter()
  if (typeof adapter === "string" && setup.provider === "webgpu") throw new Unfit("device-missing", adapter)
  const capabilities = describeCapabilities(adapter)
  const threads = setup.threads ?? capabilities.threads
  const build: OrtBuild = typeof adapter === "string" ? "wasm" : capabilities.jspi ? "jspi" : "webgpu"
  let held: HeldDevice | undefined
  if (typeof adapter !== "string") {
    held = await holdDevice(adapter, setup).catch((error: unknown) => {
      throw new Unfit(/memory/i.test(textOf(error)) ? "no-memory" : "device-missing", `${capabilities.adapter!.name}: ${textOf(error)}`)
    })
    void held.device.lost.then(({ message, reason }) => onLost(`the device is lost${reason === undefined ? "" : ` (${reason})`}: ${message || "no reason given"}`))
  }
  const ort = await importOrt(build, setup.runtime, threads).catch((error: unknown) => {
    throw new Unfit("spawn-failed", `onnxruntime-web (${build}) does not load: ${textOf(error)}; where it is not installed, ${installRuntime}`)
  })
  const compiled = !setup.warmUp ? undefined : await onSharedModule(ort.env, setup.compiled, () => warmUp(ort)).catch((error: unknown) => {
    throw new Unfit("spawn-failed", `onnxruntime-web (${build}) does not start: ${textOf(error)}`)
  })
  // Deno frees no module that was ever posted. V8 counts over all of a module's instances, and after some fifteen it optimises the function that
  // registers onnxruntime's operators, 900 kB of code that run once: no worker starts for most of a minute.
  const shared = capabilities.environment === "deno" ? undefined : compiled
  const detail = `onnxruntime-web ${ort.env.versions.web ?? ort.env.versions.common}, ${build}, ${describeProvider({ ...capabilities, threads })}`
  return { ort: new OrtWeb(ort, held), reply: { type: "ready", capabilities, detail, compiled: shared } }
}

/** Answers requests until the worker is ended. */
export const serveWorker = ({ listen, post }: WorkerPort): void => {
  let started: Promise<OrtWeb> = new Promise(() => undefined)
  const lost = (detail: string) => post({ type: "lost", detail }, [])

  const answer = async (ort: OrtWeb, request: Exclude<WorkerRequest, WorkerSetup>): Promise<void> => {
    const { id } = request
    switch (request.type) {
      case "load":
        try {
          const memoryBytes = await ort.load(request.model, request.file, request.signature, request.warmBatches)
          post({ type: "loaded", id, memoryBytes }, [])
        } catch (error) {
          const { message, reason } = loadFailureOf(error)
          // A session that was made and was the wrong one leaves nothing behind; of others that cannot be told.
          const orderly = error instanceof LoadFailure && (reason === "invalid-model" || reason === "unsupported")
          post({ type: "load-failed", id, reason, detail: message, spoilt: !orderly }, [])
        }
        return
      case "unload":
        await ort.unload(request.model).catch(() => undefined)
        return post({ type: "unloaded", id }, [])
      case "run":
        try {
          const result = await ort.run(request.model, request.items, request.bindings, request.buffer)
          post({ type: "ended", id, buffer: request.buffer, ...result }, [request.buffer, ...result.dynamic.map(({ bytes }) => bytes.buffer)])
        } catch (error) {
          post({ type: "run-failed", id, detail: textOf(error), spoilt: error instanceof LoadFailure || isSpoiling(error) }, [])
        }
    }
  }

  let last: Promise<unknown> = Promise.resolve()
  listen((request) => {
    if (request.type === "setup") {
      started = start(request, lost).then(({ ort, reply }) => {
        post(reply, [])
        return ort
      })
      started.catch((error: unknown) => {
        const reason = error instanceof Unfit ? error.reason : "spawn-failed"
        post({ type: "unfit", reason, detail: textOf(error) }, [])
      })
      return
    }
    last = last.then(async () => answer(await started, request)).catch((error: unknown) => lost(textOf(error)))
  })
}
