/**
 * The original's predictions (gpulet §4): a latency table with its interpolation, the cost of assembling batches, linear interference.
 *
 * What it plans with is (Lt + Lt (alpha - 1) + O) ratio, where Lt is the table's latency, alpha the interference, O the overhead. Here `latencyMs`
 * is Lt + O, `slowdown` is (Lt alpha + O) / (Lt + O), and the ratio is the problem's `latencyHeadroom`.
 *
 * @since 0.1.0
 */
import type { ModelName } from "../../core/Ids.js"
import type { Execution, LatencyModel } from "../../core/LatencyModel.js"
import { largestBatch, tableName } from "./Models.js"
import type { InterferenceConstants, LatencyTable, OverheadTable, Utilization, UtilizationTable } from "./Tables.js"

/** What was measured on one type of GPU. @since 0.1.0 @category models */
export interface OriginalDevice {
  readonly latency: LatencyTable
  readonly utilization: UtilizationTable
  readonly interference: InterferenceConstants
}

/** All measurements. @since 0.1.0 @category models */
export interface OriginalProfile {
  readonly devices: ReadonlyMap<string, OriginalDevice>
  /** Assembling images of 3 x 224 x 224. */
  readonly overhead224: OverheadTable
  /** Assembling images of 3 x 300 x 300. */
  readonly overhead300: OverheadTable
  /** Of one loaded copy, in bytes. */
  readonly memoryBytes: ReadonlyMap<ModelName, number>
}

/** A process with its CUDA context. */
const partitionBytes = 1230e6

type Points = ReadonlyMap<number, number>

/** Linear between the batches that were measured; batches 1 and 32 were. */
const between = (points: Points, batch: number): number => {
  const known = points.get(batch)
  if (known !== undefined) return known
  let lower = batch
  let upper = batch
  while (!points.has(lower)) lower--
  while (!points.has(upper)) upper++
  const below = points.get(lower)!
  return below + ((points.get(upper)! - below) * (batch - lower)) / (upper - lower)
}

const isBatch = (batch: number): boolean => Number.isInteger(batch) && batch >= 1 && batch <= largestBatch

/** The table's latency at a batch that was not measured there: between the smallest and the largest part, as batch 32 lies between theirs. */
const interpolated = (parts: ReadonlyMap<number, Points>, part: Points, batch: number): number => {
  const smallest = parts.get(Math.min(...parts.keys()))!
  const largest = parts.get(Math.max(...parts.keys()))!
  const fastest = largest.get(largestBatch)!
  const span = smallest.get(largestBatch)! - fastest
  const weight = span === 0 ? 0 : (part.get(largestBatch)! - fastest) / span
  const top = between(largest, batch)
  return top + weight * (between(smallest, batch) - top)
}

/** By batch. */
type Row = ReadonlyArray<number>

const tabulate = (value: (batch: number) => number): Row => Array.from({ length: largestBatch + 1 }, (_, batch) => (batch === 0 ? Infinity : value(batch)))

/** Between the powers of two around the batch. */
const utilizationAt = (points: ReadonlyMap<number, Utilization>, batch: number): Utilization => {
  const lower = 2 ** Math.floor(Math.log2(batch))
  const upper = Math.min(largestBatch, 2 * lower)
  const from = points.get(lower)!
  if (upper === lower) return from
  const to = points.get(upper)!
  const weight = (batch - lower) / (upper - lower)
  return { l2: from.l2 + weight * (to.l2 - from.l2), dram: from.dram + weight * (to.dram - from.dram) }
}

/** The predictions, with what they are made of. @since 0.1.0 @category models */
export interface OriginalLatencyModel extends LatencyModel {
  /** Lt, in ms. */
  readonly tableMs: (execution: Execution) => number
  /** O, in ms. */
  readonly overheadMs: (model: ModelName, batch: number) => number
  /** Alpha of one neighbour before it is raised to 1; `NaN` where a utilisation is not known. */
  readonly rawInterference: (execution: Execution, other: Execution) => number
}

/**
 * A latency model of the original's tables. Models, parts and batches they do not list are unknown: `Infinity`. The tables have no
 * distributions, so the median is the planning latency.
 * @since 0.1.0
 * @category constructors
 */
export const make = (profile: OriginalProfile): OriginalLatencyModel => {
  const tables = new Map<string, ReadonlyMap<string, ReadonlyMap<number, Row>>>()
  const utilizations = new Map<string, ReadonlyMap<string, ReadonlyArray<Utilization>>>()
  for (const [type, device] of profile.devices) {
    const models = new Map<string, ReadonlyMap<number, Row>>()
    for (const [model, parts] of device.latency) {
      models.set(model, new Map([...parts].map(([part, points]) => [part, tabulate((batch) => points.get(batch) ?? interpolated(parts, points, batch))])))
    }
    tables.set(type, models)
    utilizations.set(type, new Map([...device.utilization].map(([bench, points]) =>
      [bench, Array.from({ length: largestBatch + 1 }, (_, batch) => utilizationAt(points, Math.max(1, batch)))])))
  }

  const tableMs = ({ batch, gpuType, model, sharePct }: Execution): number =>
    isBatch(batch) ? tables.get(gpuType)?.get(tableName(model))?.get(sharePct)?.[batch] ?? Infinity : Infinity
  const overheadMs = (model: ModelName, batch: number): number => {
    if (tableName(model) === "lenet1") return 0.4
    if (model === "bert") return 1
    return (model === "ssd-mobilenetv1" ? 2.5 : 1.9) * ((model === "ssd-mobilenetv1" ? profile.overhead300 : profile.overhead224).get(batch) ?? Infinity)
  }
  const utilization = ({ batch, gpuType, model }: Execution): Utilization | undefined => {
    const benches = utilizations.get(gpuType)
    const name = tableName(model) === "lenet1" ? "lenet" : model
    return isBatch(batch) ? (benches?.get(name) ?? (name === "ssd-mobilenetv1" ? benches?.get("ssd") : undefined))?.[batch] : undefined
  }
  const rawInterference = (execution: Execution, other: Execution): number => {
    const constants = profile.devices.get(execution.gpuType)?.interference
    const own = utilization(execution)
    const others = utilization(other)
    if (constants === undefined || own === undefined || others === undefined) return NaN
    const ownPart = execution.sharePct / 100
    const otherPart = other.sharePct / 100
    return constants.ownL2 * own.l2 * ownPart + constants.otherL2 * others.l2 * otherPart +
      constants.ownDram * own.dram * ownPart + constants.otherDram * others.dram * otherPart + constants.constant
  }

  const latencyMs = (execution: Execution): number => tableMs(execution) + overheadMs(execution.model, execution.batch)
  return {
    tableMs,
    overheadMs,
    rawInterference,
    latencyMs,
    typicalMs: latencyMs,
    slowdown: (execution, neighbours) => {
      let alpha = 1
      for (const group of neighbours) {
        for (const other of group) {
          const raw = rawInterference(execution, other)
          if (Number.isNaN(raw)) return Infinity
          alpha = Math.max(alpha, raw)
        }
      }
      const table = tableMs(execution)
      const overhead = overheadMs(execution.model, execution.batch)
      return table === Infinity ? 1 : (table * alpha + overhead) / (table + overhead)
    },
    interference: {
      combine: "largest",
      resources: 1,
      isPerBatch: true,
      pressure: (other) => {
        const constants = profile.devices.get(other.gpuType)?.interference
        const used = utilization(other)
        if (constants === undefined || used === undefined) return [Infinity]
        return [((constants.otherL2 * used.l2 + constants.otherDram * used.dram) * other.sharePct) / 100]
      },
      sensitivity: (execution) => {
        const constants = profile.devices.get(execution.gpuType)?.interference
        const used = utilization(execution)
        const table = tableMs(execution)
        if (table === Infinity) return { base: 0, by: [0] }
        if (constants === undefined || used === undefined) return { base: Infinity, by: [0] }
        // Only the table's part of the latency is slowed down.
        const part = table / (table + overheadMs(execution.model, execution.batch))
        const own = ((constants.ownL2 * used.l2 + constants.ownDram * used.dram) * execution.sharePct) / 100
        return { base: part * (own + constants.constant - 1), by: [part] }
      }
    },
    memoryBytes: (_, model) => profile.memoryBytes.get(model) ?? Infinity,
    gletMemoryBytes: () => partitionBytes
  }
}
