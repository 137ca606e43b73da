/**
 * How much glets of one GPU slow each other down, from their types and shares, fitted to measured co-runs.
 *
 * A batch i on a share s_i beside neighbours j takes 1 + g(s_i) sum_j f(s_j) (o_i q_j + (a + b m_i) m_j + (c + d c_i) c_j) times as long, with m and c the
 * shares of time in memory-bound and compute-bound operators: o_i is what it suffers from any neighbour (clocks, launches, caches; by model, batch and
 * share where those were measured), q_j how much of that model j causes (1 is the mean of all), the rest what it suffers from theirs in particular.
 * f grows nearly as the share and g much more slowly (`defaultForm`): a batch on more of a GPU draws more of what shares do not divide, and loses more for
 * want of it. Any number of neighbours, no term below 0. Linear in what neighbours do, so that searches can tabulate it (`LinearInterference`).
 *
 * @since 0.1.0
 */
import type { Execution } from "../core/LatencyModel.js"
import type { WorkloadType } from "../core/Profile.js"

/** A model with its workload type. @since 0.1.0 @category interference */
export interface Typed {
  readonly execution: Pick<Execution, "model" | "batch" | "sharePct">
  readonly type: WorkloadType
}

/** A measured co-run. @since 0.1.0 @category interference */
export interface Observation {
  readonly victim: Typed
  readonly neighbours: ReadonlyArray<Typed>
  readonly slowdown: number
}

/** What the fit takes for granted. @since 0.1.0 @category interference */
export interface InterferenceForm {
  /** What a batch loses grows with this power of its own share. */
  readonly ownPower: number
  /** What a neighbour costs grows with this power of its share. */
  readonly neighbourPower: number
  /** How hard what models cause is drawn to 1, in squared slow-down: 0.0225 is a co-run of halves that loses 15 %. */
  readonly pressurePrior: number
}

/**
 * Of ten models under MPS on an H200 (`node bench/run.mjs coRuns`). In pairs that fill a GPU one share follows from the other; that neighbours count nearly
 * as their shares, so that seven of a tenth cost little more than one of seven tenths, is known from GPUs with four and eight glets.
 * @since 0.1.0
 * @category interference
 */
export const defaultForm: InterferenceForm = { ownPower: 0.4, neighbourPower: 0.9, pressurePrior: 0.03 }

/** All at least 0. @since 0.1.0 @category interference */
export interface InterferenceCoefficients extends Pick<InterferenceForm, "ownPower" | "neighbourPower"> {
  /** Of models that were never measured beside another. */
  readonly meanOffset: number
  /** By model, of its batches and shares that were not: the mean of those that were. */
  readonly modelOffsets: ReadonlyMap<string, number>
  /** By `offsetKey`. */
  readonly offsets: ReadonlyMap<string, number>
  /** What neighbours cause, by model; 1 for those that were never measured beside another. */
  readonly pressures: ReadonlyMap<string, number>
  /** a, b, c, d. */
  readonly memory: number
  readonly memoryOnMemory: number
  readonly compute: number
  readonly computeOnCompute: number
}

/** Names a model at a batch and a share. @since 0.1.0 @category interference */
export const offsetKey = ({ batch, model, sharePct }: Typed["execution"]): string => `${model} ${batch} ${sharePct}`

/** Of where nothing is known of a type: neither arithmetic nor memory in particular. @since 0.1.0 @category interference */
export const unknownType: WorkloadType = { compute: 0, memory: 0, other: 1 }

/** How much an execution is slowed down by any neighbour at all: as fitted, else its model's mean, else the mean of all. @since 0.1.0 @category interference */
export const offsetOf = (coefficients: InterferenceCoefficients, execution: Typed["execution"]): number =>
  coefficients.offsets.get(offsetKey(execution)) ?? coefficients.modelOffsets.get(execution.model) ?? coefficients.meanOffset

/** How much counts of a neighbour on so much of the GPU: half of it counts half. */
const neighbourPart = ({ neighbourPower }: Pick<InterferenceForm, "neighbourPower">, sharePct: number): number => 0.5 * (sharePct / 50) ** neighbourPower

/** How much a batch loses on so much of the GPU, over what it loses on half of it. */
const ownPart = ({ ownPower }: Pick<InterferenceForm, "ownPower">, sharePct: number): number => (sharePct / 50) ** ownPower

/** What a neighbour does: its presence, its memory traffic, its arithmetic. @since 0.1.0 @category interference */
export const pressureOf = (coefficients: InterferenceCoefficients, { execution, type }: Typed): readonly [number, number, number] => {
  const part = neighbourPart(coefficients, execution.sharePct)
  return [part * (coefficients.pressures.get(execution.model) ?? 1), part * type.memory, part * type.compute]
}

/** What a batch suffers from each of them. @since 0.1.0 @category interference */
export const sensitivityOf = (coefficients: InterferenceCoefficients, { execution, type }: Typed): readonly [number, number, number] => {
  const part = ownPart(coefficients, execution.sharePct)
  return [
    part * offsetOf(coefficients, execution),
    part * (coefficients.memory + coefficients.memoryOnMemory * type.memory),
    part * (coefficients.compute + coefficients.computeOnCompute * type.compute)
  ]
}

/** The predicted slow-down, at least 1. @since 0.1.0 @category interference */
export const predictSlowdown = (coefficients: InterferenceCoefficients, victim: Typed, neighbours: ReadonlyArray<Typed>): number => {
  const [o, m, c] = sensitivityOf(coefficients, victim)
  return neighbours.reduce((total, neighbour) => {
    const [presence, memory, compute] = pressureOf(coefficients, neighbour)
    return total + o * presence + m * memory + c * compute
  }, 1)
}

/** Rounds of coordinate descent, and the step of all coefficients below which it has converged, a hundred rounds or so. */
const rounds = 1000
const converged = 1e-5
/** An offset is drawn to the mean of all as by so many co-runs beside half of the GPU, and shared coefficients to 0 by a little. */
const offsetPrior = 0.25 * 0.25
const sharedPrior = 1e-4

/** A co-run as it is fitted. */
interface Row {
  readonly model: string
  /** Of the victim: `offsetKey`. */
  readonly key: string
  readonly own: number
  /** By neighbour. */
  readonly parts: ReadonlyArray<{ readonly model: string; readonly part: number }>
  /** What the shared coefficients are multiplied with. */
  readonly shared: ReadonlyArray<number>
  /** Slow-down beyond what is predicted. */
  residual: number
}

const rowOf = (form: InterferenceForm, { neighbours, slowdown, victim }: Observation): Row => {
  const own = ownPart(form, victim.execution.sharePct)
  let memory = 0
  let compute = 0
  const parts = neighbours.map(({ execution, type }) => {
    const part = neighbourPart(form, execution.sharePct)
    memory += own * part * type.memory
    compute += own * part * type.compute
    return { model: execution.model as string, part }
  })
  return {
    model: victim.execution.model, key: offsetKey(victim.execution), own, parts,
    shared: [memory, victim.type.memory * memory, compute, victim.type.compute * compute], residual: slowdown - 1
  }
}

/** The coefficient, at least 0, of least squared error in these rows while all others stay; residuals follow it. */
const descend = (rows: ReadonlyArray<Row>, factor: (row: Row) => number, now: number, prior: { readonly to: number; readonly weight: number }): number => {
  const factors = rows.map(factor)
  let top = prior.weight * prior.to
  let bottom = prior.weight
  rows.forEach((row, i) => {
    top += factors[i]! * (row.residual + now * factors[i]!)
    bottom += factors[i]! * factors[i]!
  })
  const next = Math.max(0, top / bottom)
  rows.forEach((row, i) => {
    row.residual -= (next - now) * factors[i]!
  })
  return next
}

const groupsOf = (rows: ReadonlyArray<Row>, keysOf: (row: Row) => Iterable<string>): ReadonlyMap<string, ReadonlyArray<Row>> => {
  const groups = new Map<string, Array<Row>>()
  for (const row of rows) {
    for (const key of new Set(keysOf(row))) {
      const group = groups.get(key)
      if (group === undefined) groups.set(key, [row])
      else group.push(row)
    }
  }
  return new Map([...groups].sort(([a], [b]) => (a < b ? -1 : 1)))
}

const meanOf = (values: Iterable<number>): number => {
  let sum = 0
  let count = 0
  for (const value of values) {
    sum += value
    count++
  }
  return sum / count
}

/**
 * The coefficients of least squared error, each at least 0, by coordinate descent. From what any neighbour costs on, which is convex; what each causes
 * refines it. Undefined where there is nothing to fit.
 * @since 0.1.0
 * @category interference
 */
export const fitInterference = (observations: ReadonlyArray<Observation>, form: InterferenceForm = defaultForm): InterferenceCoefficients | undefined => {
  if (observations.length === 0) return undefined
  const rows = observations.map((observation) => rowOf(form, observation))
  const byVictim = groupsOf(rows, ({ key }) => [key])
  const byNeighbour = groupsOf(rows, ({ parts }) => parts.map(({ model }) => model))
  const offsets = new Map([...byVictim.keys()].map((key) => [key, 0]))
  const pressures = new Map([...byNeighbour.keys()].map((model) => [model, 1]))
  const shared = [0, 0, 0, 0]
  let mean = 0
  let step = Infinity
  const moved = (before: number, after: number): number => {
    step = Math.max(step, Math.abs(after - before))
    return after
  }
  const presence = ({ own, parts }: Row): number => own * parts.reduce((sum, { model, part }) => sum + part * pressures.get(model)!, 0)
  for (let round = 0; round < rounds && step > converged; round++) {
    step = 0
    for (const [key, ofVictim] of byVictim) {
      const now = offsets.get(key)!
      offsets.set(key, moved(now, descend(ofVictim, presence, now, { to: mean, weight: offsetPrior })))
    }
    mean = moved(mean, meanOf(offsets.values()))
    shared.forEach((now, i) => {
      shared[i] = moved(now, descend(rows, (row) => row.shared[i]!, now, { to: 0, weight: sharedPrior }))
    })
    for (const [model, besides] of byNeighbour) {
      const now = pressures.get(model)!
      const caused = ({ key, own, parts }: Row): number =>
        own * offsets.get(key)! * parts.reduce((sum, each) => (each.model === model ? sum + each.part : sum), 0)
      pressures.set(model, moved(now, descend(besides, caused, now, { to: 1, weight: form.pressurePrior })))
    }
  }
  // What any neighbour costs is what their mean costs.
  const scale = meanOf(pressures.values())
  const { neighbourPower, ownPower } = form
  const [memory, memoryOnMemory, compute, computeOnCompute] = shared as [number, number, number, number]
  const scaled = new Map([...offsets].map(([key, offset]) => [key, scale * offset]))
  const ofModels = new Map<string, Map<string, number>>()
  for (const { key, model } of rows) ofModels.set(model, (ofModels.get(model) ?? new Map<string, number>()).set(key, scaled.get(key)!))
  return {
    ownPower, neighbourPower, meanOffset: scale * mean, offsets: scaled, modelOffsets: new Map([...ofModels].map(([model, each]) => [model, meanOf(each.values())])),
    pressures: new Map([...pressures].map(([model, pressure]) => [model, scale === 0 ? 1 : pressure / scale])), memory, memoryOnMemory, compute, computeOnCompute
  }
}
