/**
 * Latencies and interference of every model on every share, by batch, as one array of numbers.
 *
 * They follow from the latency model, and a planner is asked again and again with the same one: what was tabulated for a problem is there for the next.
 */
import type { ModelName } from "../../../core/Ids.js"
import type { LatencyModel, LinearInterference } from "../../../core/LatencyModel.js"
import type { Demand, PlanOptions } from "../../../core/PlanProblem.js"
import { keepsSlo } from "../keepsSlo.js"
import { latencyRows } from "../latencyRows.js"
import type { PlanTables } from "../planTables.js"
import type { GpuKind } from "./gpuKind.js"

/** What a model does at most on a share alone. */
export interface Best {
  /** 0 where it cannot run. */
  readonly batch: number
  readonly rps: number
}

/**
 * What is known of every (kind, model, share) by batch. An entry has the latency alone in ms, the base of the interference, then by resource
 * sensitivity, then by resource pressure. Batches end with the largest for which 2 L <= SLO, which no glet may exceed.
 */
export interface Rows {
  readonly data: Float64Array
  /** Numbers of an entry. */
  readonly stride: number
  /** Where the entry of batch 0, which is none, stands. */
  readonly start: (kind: number, model: number, share: number) => number
  /** The largest batch; 0 where the model cannot run. */
  readonly largest: (kind: number, model: number, share: number) => number
  readonly best: (kind: number, model: number, share: number) => Best
  /** Latencies of single items alone, by model; `Infinity` where a model cannot run. */
  readonly singles: (kind: number, share: number) => Float64Array
}

/** A model with its limits, by share in percent. */
interface ModelRows {
  readonly sloMs: number
  readonly maxBatch: number
  /** -1 where a share was not asked for yet. */
  readonly starts: Int32Array
  readonly largest: Int32Array
  readonly bests: Array<Best>
}

/** Numbers after which a store is given up for a new one: models that are gone leave theirs behind. */
const mostStored = 1 << 24

/** All that was tabulated of a latency model under the same options. What stands in it stays where it is. */
class RowStore {
  data = new Float64Array(1 << 12)
  readonly stride: number
  private filled = 0
  private readonly interference: LinearInterference | undefined
  private readonly types = new Map<string, Map<ModelName, ModelRows>>()

  constructor(private readonly latency: LatencyModel, private readonly headroom: number, isCounted: boolean) {
    this.interference = isCounted ? latency.interference : undefined
    this.stride = 2 + 2 * (this.interference?.resources ?? 0)
  }

  get isFull(): boolean {
    return this.filled > mostStored
  }

  /** The model's rows on a type, of which those of the shares asked for are there. */
  modelRows(gpuType: string, { maxBatch, model, sloMs }: Demand, sharesPct: ReadonlyArray<number>): ModelRows {
    let models = this.types.get(gpuType)
    if (models === undefined) this.types.set(gpuType, models = new Map())
    let rows = models.get(model)
    if (rows === undefined || rows.sloMs !== sloMs || rows.maxBatch !== maxBatch) {
      models.set(model, rows = { sloMs, maxBatch, starts: new Int32Array(101).fill(-1), largest: new Int32Array(101), bests: [] })
    }
    for (const sharePct of sharesPct) if (rows.starts[sharePct]! < 0) this.fill(rows, gpuType, model, sharePct)
    return rows
  }

  private fill(rows: ModelRows, gpuType: string, model: ModelName, sharePct: number): void {
    const { headroom, interference, stride } = this
    const alone = latencyRows(this.latency).row(gpuType, model, sharePct, rows.maxBatch)
    const most = Math.min(alone.length - 1, rows.maxBatch)
    this.reserve((most + 1) * stride)
    const { data } = this
    const start = this.filled
    let best: Best = { batch: 0, rps: 0 }
    let sensitivity: ReturnType<LinearInterference["sensitivity"]> | undefined
    let pressure: ReadonlyArray<number> = []
    let batch = 1
    for (; batch <= most; batch++) {
      const ms = alone[batch]! * headroom
      if (!(ms > 0) || !keepsSlo(ms, rows.sloMs)) break
      const entry = start + batch * stride
      data[entry] = ms
      if ((1000 * batch) / ms > best.rps) best = { batch, rps: (1000 * batch) / ms }
      if (interference === undefined) continue
      if (sensitivity === undefined || interference.isPerBatch) {
        const run = { gpuType, model, sharePct, batch }
        sensitivity = interference.sensitivity(run)
        pressure = interference.pressure(run)
      }
      const { base, by } = sensitivity
      data[entry + 1] = base
      for (let r = 0; r < by.length; r++) {
        data[entry + 2 + r] = by[r]!
        data[entry + 2 + by.length + r] = pressure[r]!
      }
    }
    rows.starts[sharePct] = start
    rows.largest[sharePct] = batch - 1
    rows.bests[sharePct] = best
    this.filled += batch * stride
  }

  private reserve(more: number): void {
    if (this.filled + more <= this.data.length) return
    const larger = new Float64Array(2 * this.data.length + more)
    larger.set(this.data)
    this.data = larger
  }
}

const stores = new WeakMap<LatencyModel, Map<string, RowStore>>()

const storeOf = (latency: LatencyModel, { interference, latencyHeadroom }: PlanOptions): RowStore => {
  let known = stores.get(latency)
  if (known === undefined) stores.set(latency, known = new Map())
  const key = `${interference} ${latencyHeadroom}`
  let store = known.get(key)
  if (store === undefined || store.isFull) {
    // Whoever plans with many head-rooms in turn looks for something else than speed.
    if (known.size > 4) known.clear()
    known.set(key, store = new RowStore(latency, latencyHeadroom, interference))
  }
  return store
}

/** The rows of a problem. */
export const makeRows = ({ demands, problem }: PlanTables, kinds: ReadonlyArray<GpuKind>): Rows => {
  const store = storeOf(problem.latency, problem.options)
  const models = demands.length
  const shares = Math.max(1, ...kinds.map(({ sharesPct }) => sharesPct.length))
  const starts = new Int32Array(kinds.length * models * shares)
  const largest = new Int32Array(kinds.length * models * shares)
  const bests = new Array<Best>(kinds.length * models * shares)
  const singles = Array.from({ length: kinds.length * shares }, () => new Float64Array(models).fill(Infinity))
  kinds.forEach(({ gpu, sharesPct }, kind) =>
    demands.forEach((demand, model) => {
      const rows = store.modelRows(gpu.type, demand, sharesPct)
      for (let share = 0, at = (kind * models + model) * shares; share < sharesPct.length; share++, at++) {
        starts[at] = rows.starts[sharesPct[share]!]!
        largest[at] = rows.largest[sharesPct[share]!]!
        bests[at] = rows.bests[sharesPct[share]!]!
        if (largest[at]! > 0) singles[kind * shares + share]![model] = store.data[starts[at]! + store.stride]!
      }
    })
  )
  return {
    data: store.data,
    stride: store.stride,
    start: (kind, model, share) => starts[(kind * models + model) * shares + share]!,
    largest: (kind, model, share) => largest[(kind * models + model) * shares + share]!,
    best: (kind, model, share) => bests[(kind * models + model) * shares + share]!,
    singles: (kind, share) => singles[kind * shares + share]!
  }
}
