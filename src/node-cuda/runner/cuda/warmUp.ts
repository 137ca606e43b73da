/**
 * Makes batch sizes of a model ready: runs each, records all its sets, compares, and keeps the faster layout where there is a choice, one with a
 * graph before one without.
 */
import { LoadFailure, textOf } from "../../../core/internal/loadFailure.js"
import { warmBindings } from "../../../core/internal/batchAssembly.js"
import type { SlotLayout } from "../../../core/SlotLayout.js"
import { dropMadeValues } from "../ortValues.js"
import type { BatchSizes } from "./BatchSizes.js"
import { setsOf } from "./BatchSizes.js"
import type { BatchSize, BufferSet } from "./BufferSets.js"
import { CudaError } from "./driver/CudaDriver.js"
import type { CudaRuntime } from "./CudaRuntime.js"
import type { GraphRecorder } from "./GraphRecorder.js"
import type { ModelSessions } from "./ModelSessions.js"
import type { ModelStream } from "./ModelStream.js"

/** The parts of a model that is warmed. */
export interface Warmed {
  readonly runtime: CudaRuntime
  readonly layout: SlotLayout
  readonly dynamicOutputs: ReadonlyArray<number>
  readonly sizes: BatchSizes
  readonly sessions: ModelSessions
  readonly stream: ModelStream
  readonly recorder: GraphRecorder
  /** Layouts of convolutions to try for a size: whether channels-last. */
  readonly layoutsOf: (items: number) => ReadonlyArray<boolean>
  /** The layout that a size has from now on. */
  readonly onChosen: (size: BatchSize) => void
}

/**
 * A run without a graph launches its kernels one by one, which holds up the launches of all other glets of the process. That does not show where it is
 * tried alone: it must be so many times as fast as a graph to be taken.
 */
const launchedOneByOne = 2
/** Trials of a size's layouts: each runs so often at least; more often, up to so many times, while the trials have taken less than so long in ms. */
const fewestRounds = 5
const mostRounds = 20
const trialsMs = 200
/** First runs at a time, each of which keeps a core busy. */
const compilations = 6

/** Sizes to be ready for: those asked for and, where they cost little, some between, as a batch of another size runs as the next larger one. */
export const readySizes = (warmBatches: ReadonlyArray<number>): ReadonlyArray<number> => {
  const asked = [...new Set(warmBatches)].sort((a, b) => a - b)
  const largest = asked[asked.length - 1] ?? 0
  const between = asked.map((size) => 1.5 * size).filter((size) => Number.isInteger(size) && size < largest)
  return [...new Set([...asked, ...between])].sort((a, b) => a - b)
}

const partsOf = <A>(all: ReadonlyArray<A>, length: number): ReadonlyArray<ReadonlyArray<A>> =>
  Array.from({ length: Math.ceil(all.length / length) }, (_, i) => all.slice(i * length, (i + 1) * length))

/**
 * Rejects with `LoadFailure`, or with `CudaError`. Where each size has a session of its own the first runs, in which cuDNN compiles for seconds, go
 * on side by side.
 */
export const warmUp = async (model: Warmed, batches: ReadonlyArray<number>): Promise<void> => {
  const { layout, runtime, sizes } = model
  const bindings = layout.isStatic ? [] : warmBindings(layout)
  const asked = batches.filter((items) => !sizes.ready.some((size) => size.items === items))
  const candidates = asked.map((items) => model.layoutsOf(items).map((nhwc) => sizes.make(items, bindings, nhwc)))
  try {
    const problems = await runAllFirst(model, candidates.flat())
    for (const alternatives of candidates) {
      const able = alternatives.filter((size) => !problems.has(size))
      if (able.length === 0) throw problems.get(alternatives[0]!)
      for (const size of able) await runtime.captures.capture(() => recordSize(model, size))
      const chosen = able.length === 1 ? able[0]! : await fastest(model, able)
      model.onChosen(chosen)
      sizes.keep(chosen)
      if (model.recorder.giveWay !== undefined) await divideSize(model, chosen)
    }
  } catch (error) {
    if (error instanceof CudaError && error.isFatal) runtime.onFatal(error)
    // Where shapes have symbols the sizes are a guess, and that they do not fit says nothing about the model.
    if (layout.isStatic) throw error instanceof LoadFailure || error instanceof CudaError ? error : new LoadFailure("warm-up-failed", textOf(error))
  } finally {
    for (const size of candidates.flat()) if (!sizes.isKept(size)) sizes.free(size)
  }
}

/** Runs each once. Gives what went wrong, by size. */
const runAllFirst = async (model: Warmed, sizes: ReadonlyArray<BatchSize>): Promise<ReadonlyMap<BatchSize, unknown>> => {
  const problems = new Map<BatchSize, unknown>()
  for (const part of partsOf(sizes, model.sessions.isPerSize ? compilations : 1)) {
    await Promise.all(part.map((size) => runFirst(model, size).catch((error: unknown) => problems.set(size, error))))
  }
  return problems
}

const runFirst = ({ dynamicOutputs, runtime, sessions, sizes, stream }: Warmed, size: BatchSize): Promise<void> =>
  withSet(sizes, size, async (set) => {
    await sessions.provide(size)
    await runtime.captures.firstRun(() => stream.runOnce(set))
    dropMadeValues(runtime.ort, dynamicOutputs, set.values)
  })

const recordSize = async ({ recorder, sizes }: Warmed, size: BatchSize): Promise<void> => {
  const sets = [sizes.takeSet(size)!]
  try {
    const first = sets[0]!
    await recorder.record(first)
    if (first.graph !== undefined) await recorder.verify(first)
    while (first.graph !== undefined && size.made < setsOf(size)) {
      const another = sizes.makeSet(size)
      sets.push(another)
      await recorder.record(another)
    }
  } finally {
    for (const set of sets) sizes.putSet(set)
  }
}

/** Lets the graphs of a size give way. */
const divideSize = async ({ recorder, runtime, sizes, stream }: Warmed, size: BatchSize): Promise<void> => {
  if (size.free.every(({ graph }) => graph === undefined)) return
  size.whole = await withSet(sizes, size, async (set) => ({ runMs: await stream.trial(set), recordMs: set.graph!.recordMs }))
  for (const set of [...size.free]) if (size.whole !== undefined) await runtime.captures.capture(() => recorder.divide(set))
}

/**
 * The alternative whose shortest run is the shortest. Glets that serve or load meanwhile lengthen runs, so the alternatives are run in turn: what
 * disturbs one disturbs the others, and each has undisturbed runs.
 */
const fastest = async ({ runtime: { now }, sizes, stream }: Warmed, alternatives: ReadonlyArray<BatchSize>): Promise<BatchSize> => {
  const leastMs = alternatives.map(() => Infinity)
  const startMs = now()
  for (let round = 0; round < mostRounds && (round < fewestRounds || now() - startMs < trialsMs); round++) {
    for (const [i, size] of alternatives.entries()) leastMs[i] = Math.min(leastMs[i]!, await withSet(sizes, size, (set) => stream.durationOf(set)))
  }
  const costs = alternatives.map(({ free }, i) => leastMs[i]! * (free.some(({ graph }) => graph !== undefined) ? 1 : launchedOneByOne))
  return alternatives[costs.indexOf(Math.min(...costs))]!
}

const withSet = async <A>(sizes: BatchSizes, size: BatchSize, use: (set: BufferSet) => Promise<A>): Promise<A> => {
  const set = sizes.takeSet(size)!
  try {
    return await use(set)
  } finally {
    sizes.putSet(set)
  }
}
