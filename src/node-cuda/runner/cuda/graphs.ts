/**
 * Graphs of a model's kernels. They are recorded by this process, not by ONNX Runtime's own option: that one binds a graph to the thread that
 * recorded it, and refuses models with any node on the CPU, though such nodes only make shapes, which are the same in every run of a size.
 *
 * A graph is used only where it can do nothing else than the run that it was recorded from: kernels, copies within the device, and copies from
 * the host's memory as it was at the time (`CudaDriver.graphProblem`, `keepHostSources`); and whose outputs agree with a run without it on other
 * inputs (`differenceOf`).
 */
import type { DataType } from "../../../core/Tensor.js"
import type { OrtCSession } from "../OrtCSession.js"
import { textOf } from "../../../core/internal/loadFailure.js"
import type { BufferSet, RunnableGraph } from "./BufferSets.js"
import type { CudaDriver, Handle, WaitCondition } from "./driver/CudaDriver.js"
import { CudaError } from "./driver/CudaDriver.js"
import { PreemptionPoints, stepMs } from "./PreemptionPoints.js"

/**
 * Records a run on a set's buffers, which must have run before. Resolves with why there is no graph; sets `graph` where there is. Rejects
 * where the device is lost.
 */
export const recordGraph = (
  driver: CudaDriver,
  session: OrtCSession,
  runOptions: bigint,
  set: BufferSet,
  stream: Handle,
  giveWay: WaitCondition | undefined,
  generation: number
): Promise<string | undefined> =>
  new Promise((resolve, reject) => {
    const startMs = performance.now()
    driver.beginCapture(stream)
    const { whole } = set.size
    const points = giveWay === undefined || whole === undefined ? undefined : new PreemptionPoints(driver, stream, giveWay, (whole.recordMs * stepMs) / whole.runMs)
    session.runAsync(set.values, runOptions, (problem) => {
      points?.end()
      try {
        resolve(finish(driver, set, stream, points, { recordMs: performance.now() - startMs, generation }, problem))
      } catch (error) {
        reject(error as Error)
      }
    })
  })

const finish = (
  driver: CudaDriver,
  set: BufferSet,
  stream: Handle,
  points: PreemptionPoints | undefined,
  recorded: Pick<RunnableGraph, "generation" | "recordMs">,
  runProblem: string | undefined
): string | undefined => {
  let graph: Handle
  try {
    graph = driver.endCapture(stream)
  } catch (error) {
    if (error instanceof CudaError && error.isFatal) throw error
    return runProblem ?? textOf(error)
  }
  let sources: ReadonlyArray<number> = []
  try {
    const problem = runProblem ?? points?.problem ?? driver.graphProblem(graph)
    if (problem !== undefined) return problem
    sources = driver.keepHostSources(graph)
    const preemptMs = points === undefined ? undefined : set.size.whole!.runMs / (driver.waitsOf(graph) || 1)
    set.graph = { ...recorded, executable: driver.instantiate(graph), preemptMs, sources }
    return undefined
  } catch (error) {
    for (const source of sources) driver.freeHost(source)
    if (!(error instanceof CudaError) || error.isFatal) throw error
    return error.isClusterTooLarge ? "a kernel needs more SMs side by side than the glet's context has" : error.message
  } finally {
    driver.destroyGraph(graph)
  }
}

/** Of the largest value: runs may choose other algorithms, whose TF32 sums differ by some 1e-3. */
export const differenceAllowed = 0.02

const halfValue = (bits: number): number => {
  const sign = bits & 0x8000 ? -1 : 1
  const exponent = (bits >> 10) & 0x1f
  const fraction = bits & 0x3ff
  if (exponent === 0) return sign * fraction * 2 ** -24
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15)
}

const asFloats = (bytes: Uint8Array, datatype: DataType): Float32Array | Float64Array | undefined => {
  const { buffer, byteLength, byteOffset } = bytes
  if (datatype === "FP32") return new Float32Array(buffer, byteOffset, byteLength / 4)
  if (datatype === "FP64") return new Float64Array(buffer, byteOffset, byteLength / 8)
  if (datatype === "FP16") return Float32Array.from(new Uint16Array(buffer, byteOffset, byteLength / 2), halfValue)
  if (datatype !== "BF16") return undefined
  const words = Uint32Array.from(new Uint16Array(buffer, byteOffset, byteLength / 2), (bits) => bits * 65536)
  return new Float32Array(words.buffer)
}

/** How far two results of the same computation lie apart, as a part of the largest value; Infinity where that is no number. `bytes` are aligned to 8. */
export const differenceOf = (datatype: DataType, one: Uint8Array, other: Uint8Array): number => {
  const a = asFloats(one, datatype)
  const b = asFloats(other, datatype)
  if (a === undefined || b === undefined) return one.some((byte, i) => byte !== other[i]) ? Infinity : 0
  let largest = 0
  for (const value of a) if (Number.isFinite(value)) largest = Math.max(largest, Math.abs(value))
  let difference = 0
  a.forEach((value, i) => {
    const against = b[i]!
    if (value === against || (Number.isNaN(value) && Number.isNaN(against))) return
    const distance = Math.abs(value - against) / largest
    difference = Math.max(difference, Number.isNaN(distance) ? Infinity : distance)
  })
  return difference
}
