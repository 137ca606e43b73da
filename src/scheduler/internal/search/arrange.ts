/**
 * GPUs out of glets, all at once: first by share alone, so that hardly any share is left, then glets change places until they go together. Sums tell whether
 * they do (`exchange.ts`), so a change of places is reckoned in no time; what comes out is looked at exactly.
 */
import { assemble, beside } from "./assemble.js"
import { cutGpus } from "./cutGpus.js"
import { makeExchange } from "./exchange.js"
import type { GpuSolver, GpuState } from "./gpuState.js"
import type { LooseGlet } from "./looseGlet.js"
import type { SearchSpace } from "./searchSpace.js"
import type { Tolerance } from "./tolerance.js"
import { makeTolerances } from "./tolerance.js"

/** So often glets change places, if some that seemed to go together do not. */
const mostRounds = 12

interface Arranged {
  readonly states: ReadonlyArray<GpuState>
  /** What does not go with the others. */
  readonly left: ReadonlyArray<LooseGlet>
}

const arrangeKind = (
  space: SearchSpace, solver: GpuSolver, kind: number, glets: ReadonlyArray<LooseGlet>, random: () => number, toleranceOf: (glet: LooseGlet) => Tolerance
): Arranged => {
  const { gletBytes, maxGlets, modelBytes, roomBytes, sharesPct } = space.kinds[kind]!
  const memory = Float64Array.from(glets, ({ models }) => models.reduce((sum, model) => sum + modelBytes[model]!, gletBytes) / roomBytes)
  const exchange = makeExchange({
    gpus: cutGpus(sharesPct, glets.map(({ share }) => share), maxGlets, random),
    pcts: Float64Array.from(glets, ({ share }) => sharesPct[share]!),
    memory,
    tolerances: glets.map(toleranceOf),
    maxGlets
  }, random)
  // Copies of a glet make copies of a GPU, which are one state.
  const numberOf = new Map([...new Set(glets)].map((glet, n) => [glet, n]))
  const numbers = glets.map((glet) => numberOf.get(glet)!)
  const known = new Map<string, GpuState>()

  /** As many of the glets as go together exactly, the largest first: they are the hardest to place elsewhere. Those of a GPU where not all do are doubtful. */
  const build = (gpu: ReadonlyArray<number>, left: Array<LooseGlet>, doubtful: Array<number>): GpuState => {
    let state = solver.empty(kind)
    const placed: Array<LooseGlet> = []
    for (const i of [...gpu].sort((a, b) => glets[b]!.share - glets[a]!.share || a - b)) {
      const next = memory[i]! * roomBytes > state.freeBytes ? undefined : beside(solver, state, placed, glets[i]!)
      if (next === undefined) left.push(glets[i]!)
      else {
        state = next
        placed.push(glets[i]!)
      }
    }
    if (placed.length < gpu.length) doubtful.push(...gpu)
    return state
  }

  for (let round = 1; ; round++) {
    const isSettled = exchange.settle()
    const states: Array<GpuState> = []
    const left: Array<LooseGlet> = []
    const doubtful: Array<number> = []
    for (const gpu of exchange.gpus) {
      const key = gpu.map((i) => numbers[i]!).sort((a, b) => a - b).join()
      const state = known.get(key) ?? build(gpu, left, doubtful)
      if (!doubtful.includes(gpu[0]!)) known.set(key, state)
      if (state.glets.length > 0) states.push(state)
    }
    // What has not settled will not do so by bearing less.
    if (left.length === 0 || round === mostRounds || !isSettled) return { states, left }
    exchange.bearLess(doubtful)
  }
}

/** All glets on GPUs, where slow-downs are sums; undefined where one does not even fit alone. */
export const arrange = (space: SearchSpace, solver: GpuSolver, glets: ReadonlyArray<LooseGlet>, random: () => number): ReadonlyArray<GpuState> | undefined => {
  const toleranceOf = makeTolerances(space)
  const parts = space.kinds.map((_, kind) => arrangeKind(space, solver, kind, glets.filter((glet) => glet.kind === kind), random, toleranceOf))
  const left = parts.flatMap((part) => part.left)
  const others = left.length === 0 ? [] : assemble(space, solver, left, "largest", random)
  return others === undefined ? undefined : [...parts.flatMap((part) => part.states), ...others]
}
