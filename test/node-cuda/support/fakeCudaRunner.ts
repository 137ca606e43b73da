/**
 * A CUDA runner without CUDA, for tests of everything around it: the real one's connection and control, and what the driver would say of the device, also
 * under MPS. It is a client of the fake daemon if that lives. Under `stream` its engine is the real one on a fake of the driver, so that all between executor and driver is
 * tried as one; under the others, whose suites are about processes, it is the CPU's, which starts sooner.
 */
import * as fs from "node:fs"
import type { Ready, RunnerSettings } from "../../../src/node-cuda/internal/control.js"
import { childChannel } from "../../../src/link/childChannel.js"
import { makeFrameReader } from "../../../src/link/frameReader.js"
import { connectionFd, mapSegment, segmentFd } from "../../../src/node-cuda/internal/segment.js"
import { protocolVersion } from "../../../src/node-cuda/internal/wire.js"
import type { Engine } from "../../../src/node-cuda/runner/Engine.js"
import { isLockThread, makeLockThread, runLockThread } from "../../../src/node-cuda/runner/cuda/lockThread.js"
import { makeCudaEngine } from "../../../src/node-cuda/runner/cuda/OrtCuda.js"
import { makeOrtC } from "../../../src/node-cuda/runner/OrtC.js"
import type { Probed } from "../../../src/node-cuda/runner/probe.js"
import { Runner } from "../../../src/node-cuda/runner/Runner.js"
import { CudaError } from "../../../src/node-cuda/runner/cuda/driver/CudaDriver.js"
import { makeFakeCuda } from "../cuda/fakeCuda.js"

const folder = process.env["GLET_FAKE_NVIDIA"]!
const probed = (): Probed => {
  const own = `${folder}/probe-${process.env["CUDA_VISIBLE_DEVICES"] ?? ""}.json`
  return JSON.parse(fs.readFileSync(fs.existsSync(own) ? own : `${folder}/probe.json`, "utf8")) as Probed
}

const isAlive = (pidFile: string): boolean => {
  try {
    process.kill(Number(fs.readFileSync(pidFile, "utf8")), 0)
    return true
  } catch {
    return false
  }
}

/** SMs: as many as the daemon gives a client, all where there is no daemon. */
const unitsGiven = (all: number): number => {
  const pipe = process.env["CUDA_MPS_PIPE_DIRECTORY"]
  if (pipe === undefined || !isAlive(`${pipe}/nvidia-cuda-mps-control.pid`)) return all
  if (fs.existsSync(`${pipe}/status`) && fs.readFileSync(`${pipe}/status`, "utf8").includes("FAULT")) throw new Error("CUDA_ERROR_MPS_SERVER_NOT_READY")
  fs.writeFileSync(`${pipe}/clients/${process.pid}`, "")
  return Math.floor((all * Number(process.env["CUDA_MPS_ACTIVE_THREAD_PERCENTAGE"])) / 200) * 2
}

/** Holds its thread, as a driver does that locks pages, while a file is there; says that it does. */
const takeTime = (): void => {
  const file = `${folder}/locking-takes-time`
  const turn = new Int32Array(new SharedArrayBuffer(4))
  while (fs.existsSync(file)) {
    fs.writeFileSync(`${folder}/locking-${process.pid}`, "")
    Atomics.wait(turn, 0, 0, 1)
  }
}

/** As the driver locks clients' memory. */
const lockClients = (): void => {
  takeTime()
  // A driver that has no more memory to lock than that of the segment.
  if (fs.existsSync(`${folder}/locks-segment-only`)) throw new CudaError("cuMemHostRegister", 2, "CUDA_ERROR_OUT_OF_MEMORY")
}

const run = (): void => {
  const settings = JSON.parse(process.argv[2]!) as RunnerSettings
  fs.writeFileSync(`${folder}/env-${process.pid}.json`, JSON.stringify(process.env))
  const device = probed()
  if (!device.ok || settings.device?.provider !== "cuda") throw new Error("this runner is for CUDA")
  const units = settings.device.isolation === "mps" ? unitsGiven(device.units) : device.units
  const { address, memory } = mapSegment(segmentFd, settings.segmentBytes)
  const bytes = new Uint8Array(memory)
  const { isolation } = settings.device
  const engine = isolation === "stream"
    ? makeCudaEngine({ bytes, address }, { isolation, claims: settings.claims, files: makeLockThread(new URL(import.meta.url), settings.device.expectsClients === true) }, makeFakeCuda().runtime())
    : makeOrtC({ bytes, address })
  let read: (chunk: Buffer) => void = () => undefined
  const vanish = () => process.kill(process.pid, "SIGKILL")
  const { channelOffset } = settings
  const place = channelOffset === undefined ? undefined : { memory, offset: channelOffset }
  const { end, sink } = childChannel(connectionFd, place, (chunk) => read(chunk), vanish)
  // One that hangs: it neither drains nor heeds SIGTERM.
  const stuck = fs.existsSync(`${folder}/runner-stuck`)
  process.on("SIGTERM", () => stuck || vanish())
  const openGlet: Engine["openGlet"] = async (request) => {
    const glet = await engine.openGlet({ ...request, units: isolation === "stream" ? request.units : 1 })
    return { opened: { ...glet.opened, units: request.units }, load: async (model) => {
      const loaded = await glet.load(model)
      fs.writeFileSync(`${folder}/loaded-${process.pid}`, "")
      return loaded
    }, close: () => glet.close() }
  }
  const runner = new Runner(sink, { ...engine, openGlet }, bytes, true, () => stuck || end(() => process.exit(0)))
  read = makeFrameReader(runner)
  const cuda = { name: device.name, units, memoryBytes: device.memoryBytes, driverVersion: device.driverVersion }
  const ready: Ready = { type: "ready", protocol: protocolVersion, engine: engine.name, ...(fs.existsSync(`${folder}/runner-without-cuda`) ? {} : { cuda }) }
  runner.send(ready)
}

const openLocking = () => {
  fs.writeFileSync(`${folder}/lock-thread-${process.pid}`, "")
  return { lockHost: lockClients, unlockHost: takeTime }
}

if (isLockThread()) runLockThread(openLocking)
else if (process.argv[2] === "probe") process.stdout.write(JSON.stringify(probed()))
else run()
