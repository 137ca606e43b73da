/** The engine on ONNX Runtime's C API and its CUDA provider. */
import type { ClaimsPlace } from "../../internal/claims.js"
import type { CudaReady, DeviceSettings, Loaded } from "../../internal/control.js"
import * as fs from "node:fs"
import { makeSlotLayout } from "../../../core/SlotLayout.js"
import type { Engine, LoadRequest } from "../Engine.js"
import { textOf } from "../../../core/internal/loadFailure.js"
import { loadOrt } from "../OrtApi.js"
import type { Ort } from "../OrtApi.js"
import type { SegmentMemory } from "../OrtC.js"
import type { SessionThread } from "../OrtCSession.js"
import { CaptureGate } from "./CaptureGate.js"
import { CompletionPoll } from "./CompletionPoll.js"
import type { CudaDriver } from "./driver/CudaDriver.js"
import { CudaError } from "./driver/CudaDriver.js"
import { CudaGlet } from "./CudaGlet.js"
import type { ModelChoice } from "./CudaModel.js"
import { CudaModel } from "./CudaModel.js"
import type { CudaRuntime, SlotMover } from "./CudaRuntime.js"
import { makeLockFile } from "./lockFiles.js"
import type { FileLocker } from "./lockThread.js"
import { readySizes } from "./warmUp.js"
import { createCudaSession, hasConvolutions } from "./cudaSession.js"
import type { GletContext } from "./gletContext.js"
import { makeGletContexts } from "./gletContext.js"
import { makePreemption } from "./preemption.js"

type CudaSettings = Extract<DeviceSettings, { readonly provider: "cuda" }>

interface CudaEngineSettings extends Pick<CudaSettings, "isolation"> {
  /** Where it says what its batches claim of the GPU. */
  readonly claims?: ClaimsPlace | undefined
  /** Locks clients' memory; where absent it is copied through the slots. */
  readonly files?: FileLocker
}

/** Files whose layouts are remembered. */
const rememberedModels = 256

/**
 * Loads models. Which layout is faster is measured size by size, and holds for the file, on all SMs or on a part of them, where some kernels
 * cannot be in graphs: opening a glet anew costs no second trial.
 */
const makeLoader = (runtime: CudaRuntime) => {
  const known = new Map<string, Map<number, boolean>>()
  const layoutsOf = ({ path }: LoadRequest, units: number): Map<number, boolean> => {
    const { mtimeMs, size } = fs.statSync(path)
    const key = JSON.stringify([path, mtimeMs, size, units >= runtime.driver.device.units])
    const found = known.get(key)
    if (found !== undefined) return found
    if (known.size >= rememberedModels) known.clear()
    const layouts = new Map<number, boolean>()
    known.set(key, layouts)
    return layouts
  }
  /** A missing file is for the session to complain of. */
  const choose = (request: LoadRequest, units: number): ModelChoice => {
    const isConvolution = fs.existsSync(request.path) && hasConvolutions(request.path)
    return { isPerSize: isConvolution && makeSlotLayout(request.signature).isStatic, layouts: isConvolution ? layoutsOf(request, units) : undefined }
  }

  return async (context: GletContext, request: LoadRequest): Promise<{ readonly model: CudaModel; readonly loaded: Loaded }> => {
    const { driver } = runtime
    const before = driver.freeBytes()
    const choice = choose(request, context.units)
    const model = await CudaModel.open(runtime, context, request, choice)
    try {
      await model.warm(model.layout.isStatic && !choice.isPerSize ? readySizes(request.warmBatches) : request.warmBatches)
    } catch (error) {
      model.release()
      throw error
    }
    const shared = context.sharedUnits()
    const note = shared === 0 ? "" : `, ${shared} of its ${context.units} SMs shared with another glet when loaded`
    return { model, loaded: loadedOf(model, before - driver.freeBytes(), note) }
  }
}

const loadedOf = ({ detail, preemptMs }: CudaModel, memoryBytes: number, note: string): Loaded => ({
  memoryBytes: Math.max(0, memoryBytes), detail: `${detail}${note}`, ...(preemptMs === undefined ? {} : { preemptMs })
})

/** `threadFor` gives the thread that creates a session and runs it first. */
export const makeRuntime = (driver: CudaDriver, ort: Ort, threadFor: () => SessionThread, onFatal: (error: CudaError) => void): CudaRuntime => {
  const { check, functions: f, make } = ort
  const unsynchronized = make(f.CreateRunOptions)
  check(f.AddRunConfigEntry(unsynchronized, "disable_synchronize_execution_providers", "1") as bigint | null)
  return {
    driver,
    ort,
    memoryInfo: make(f.CreateMemoryInfo, "Cuda", 0, 0, 0),
    openSession: (request, settings) => createCudaSession(ort, request.path, request.signature, settings, threadFor()),
    captures: new CaptureGate(),
    unsynchronized,
    now: () => performance.now(),
    onFatal
  }
}

/** Without page-locked memory copies still work, by way of the driver's own. */
const lockSegment = (driver: CudaDriver, memory: SegmentMemory): ReadonlyArray<string> => {
  try {
    driver.lockHost(Number(memory.address), memory.bytes.length)
    return []
  } catch (error) {
    if (!(error instanceof CudaError) || error.isFatal) throw error
    return [`the tensors' memory is not page-locked, which slows copies: ${error.message}; see \`ulimit -l\``]
  }
}

/** A mover for the slots of a segment that is page-locked. */
const openSlotMover = (driver: CudaDriver, memory: SegmentMemory): { readonly mover?: SlotMover; readonly problem?: string } => {
  try {
    return { mover: { ...driver.openMover(), segment: driver.deviceAddress(Number(memory.address)) } }
  } catch (error) {
    if (error instanceof CudaError && error.isFatal) throw error
    return { problem: textOf(error) }
  }
}

/** Loads ONNX Runtime. Throws where it does not load. `onFatal` must end the process. */
export const makeOrtCuda = (
  memory: SegmentMemory,
  settings: CudaEngineSettings,
  driver: CudaDriver,
  threadFor: () => SessionThread,
  onFatal: (error: CudaError) => void
): Engine => makeCudaEngine(memory, settings, makeRuntime(driver, loadOrt(), threadFor, onFatal))

/** The engine on what is given. */
export const makeCudaEngine = (memory: SegmentMemory, { claims, files, isolation }: CudaEngineSettings, given: CudaRuntime): Engine => {
  const { driver } = given
  const { device } = driver
  const lockNotes = lockSegment(driver, memory)
  const moving = lockNotes.length === 0 ? openSlotMover(driver, memory) : {}
  const runtime: CudaRuntime = { ...given, mover: moving.mover }
  const contexts = makeGletContexts(driver, isolation)
  const poller = new CompletionPoll()
  const preemption = makePreemption(driver, memory, { place: claims, isLocked: lockNotes.length === 0, isShared: isolation !== "mps" })
  const notes = [
    ...lockNotes,
    ...(moving.problem === undefined ? [] : [`small tensors are gathered on the host: ${moving.problem}`]),
    ...(preemption.problem === undefined ? [] : [`best-effort batches do not give way: ${preemption.problem}`])
  ]
  const load = makeLoader(runtime)
  const cuda: CudaReady = {
    name: device.name,
    units: device.units,
    memoryBytes: device.memoryBytes,
    driverVersion: device.driverVersion,
    ...(notes.length === 0 ? {} : { notes })
  }
  return {
    name: "ort-c",
    cuda,
    ...(files === undefined ? {} : { clientMemory: { by: "device", lock: makeLockFile(files, runtime.onFatal) } }),
    freeDeviceBytes: driver.freeBytes,
    openGlet: ({ givesWay, priority, sharePct, units }) =>
      new Promise((resolve, reject) => {
        try {
          const manners = preemption.mannersOf({ givesWay, sharePct })
          resolve(new CudaGlet(runtime, memory, poller, contexts.open(units, priority, manners.giveWay), load, manners))
        } catch (error) {
          reject(error instanceof Error ? error : new Error(textOf(error)))
        }
      })
  }
}
