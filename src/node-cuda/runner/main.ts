/**
 * A runner: the process that hosts the glets of a GPU. Its only argument is `RunnerSettings` as JSON; descriptor 3 is the connection to the
 * agent, descriptor 4 the segment where memory is shared. It lives as long as that connection: an agent that dies, however, takes its
 * runners with it. With `probe` as its argument it only says what the driver knows of the device (probe.ts).
 */
import * as fs from "node:fs"
import { isMainThread } from "node:worker_threads"
import type { Ready, RunnerSettings } from "../internal/control.js"
import { childChannel } from "../../link/childChannel.js"
import { makeFrameReader } from "../../link/frameReader.js"
import { loadKoffi } from "../internal/native.js"
import { withholdTelemetry } from "../internal/ortTelemetry.js"
import { connectionFd, mapSegment, segmentFd } from "../internal/segment.js"
import { protocolVersion } from "../internal/wire.js"
import { openLibcuda } from "./cuda/driver/libcuda.js"
import { isLockThread, makeLockThread, runLockThread } from "./cuda/lockThread.js"
import { makeOrtCuda } from "./cuda/OrtCuda.js"
import { isSessionThread, makeSessionThreads, runSessionThread } from "./cuda/sessionThreads.js"
import type { Engine } from "./Engine.js"
import { textOf } from "../../core/internal/loadFailure.js"
import { makeOrtC } from "./OrtC.js"
import { makeOrtJs } from "./OrtJs.js"
import { runOrtJsWorker } from "./ortJsWorker.js"
import { runProbe } from "./probe.js"
import { runWebGpuProbe } from "./webgpuProbe.js"
import { Runner } from "./Runner.js"

/** The segment as both engines want it. Where it is not shared, a copy of the same size takes its place, page by page as it is used. */
const openMemory = ({ segmentBytes, shared }: RunnerSettings) => {
  if (shared) {
    const { address, memory } = mapSegment(segmentFd, segmentBytes)
    return { bytes: new Uint8Array(memory), address: () => address, worker: { fd: segmentFd, byteLength: segmentBytes } }
  }
  const memory = new SharedArrayBuffer(segmentBytes)
  return { bytes: new Uint8Array(memory), address: () => loadKoffi().address(new Uint8Array(memory)), worker: memory }
}

/** The device is lost for this process: the agent opens the glets anew in another. */
const endFatally = (error: Error): never => {
  fs.writeSync(process.stderr.fd, `${error.message}\n`)
  return process.kill(process.pid, "SIGKILL") as never
}

const chooseEngine = (
  settings: RunnerSettings,
  memory: ReturnType<typeof openMemory>
): { readonly engine: Engine; readonly fallback?: string } => {
  const device = settings.device ?? { provider: "cpu" }
  const ortJs = () => makeOrtJs(new URL(import.meta.url), memory.worker, device.provider)
  // onnxruntime's WebGPU provider is in the library of its Node package, which engine ort-c does not reach for this.
  if (settings.engine === "ort-js" || device.provider === "webgpu") return { engine: ortJs() }
  try {
    const segment = { bytes: memory.bytes, address: memory.address() }
    if (device.provider === "cpu") return { engine: makeOrtC(segment) }
    const files = makeLockThread(new URL(import.meta.url), device.expectsClients === true)
    return { engine: makeOrtCuda(segment, { isolation: device.isolation, claims: settings.claims, files }, openLibcuda(), makeSessionThreads(new URL(import.meta.url)), endFatally) }
  } catch (error) {
    if (settings.engine === "ort-c") throw error
    return { engine: ortJs(), fallback: textOf(error) }
  }
}

/** Ends this process without the destructors of native libraries, whose threads may still be at work. */
const vanish = (): void => {
  process.kill(process.pid, "SIGKILL")
}

const runRunner = (): void => {
  const settings = JSON.parse(process.argv[2] ?? "{}") as RunnerSettings
  let runner: Runner | undefined
  // The agent drains its runners; a signal to the whole group (Ctrl-C, a service manager) must not cut that short.
  process.on("SIGINT", () => undefined)
  process.on("SIGTERM", () => {
    if (runner === undefined || runner.draining) vanish()
  })

  let read: (bytes: Buffer) => void = () => undefined
  try {
    const memory = openMemory(settings)
    const { channelOffset } = settings
    const place = channelOffset === undefined ? undefined : { memory: memory.bytes.buffer, offset: channelOffset }
    const { end, sink } = childChannel(connectionFd, place, (bytes) => read(bytes), vanish)
    const { engine, fallback } = chooseEngine(settings, memory)
    runner = new Runner(sink, engine, memory.bytes, settings.shared, () => end(() => process.exit(0)))
    read = makeFrameReader(runner)
    const ready: Ready = {
      type: "ready",
      protocol: protocolVersion,
      engine: engine.name,
      ...(engine.cuda === undefined ? {} : { cuda: engine.cuda }),
      ...(fallback === undefined ? {} : { fallback })
    }
    runner.send(ready)
  } catch (error) {
    // The agent shows the end of stderr as the reason.
    process.stderr.write(`${textOf(error)}\n`, () => process.exit(1))
  }
}

withholdTelemetry()
if (isLockThread()) runLockThread(openLibcuda)
else if (isSessionThread()) runSessionThread()
else if (!isMainThread) runOrtJsWorker()
else if (process.argv[2] === "probe") runProbe()
else if (process.argv[2] === "probe-webgpu") void runWebGpuProbe()
else runRunner()
