/**
 * Proves that given GPUs are too few by what the contents of their glets can be worth: values of demands are looked for at which all demands are worth more
 * than the GPUs.
 *
 * Any values prove something. Good ones come from a linear program: contents that were found to be worth most keep values down, and the program raises the
 * sum of all values as far as they let it; then contents are looked for again (Kelley's cutting planes, which is column generation from the other side).
 */
import { ProgramBuilder } from "../../solver/ProgramBuilder.js"
import type { Solver } from "../../solver/Solver.js"
import type { BoundModel } from "./boundModel.js"
import type { Content, Values } from "./contents.js"
import { gletContents } from "./contents.js"
import type { CoverTable } from "./covers.js"
import type { BestCut } from "./resources.js"
import { bestCut } from "./resources.js"
import { relativeSlack } from "./slack.js"
import { worthOf } from "./worths.js"

/** Times that values are looked for. */
const mostRounds = 100
/** How far the program may raise each value above the best ones: where that proves too little, so far that it hardly holds any down. */
const firstReach = 0.5
const lastReach = 8
/** Values that are looked at are so much those of the program; the rest of them those that proved most. */
const ofProgram = 0.25
/** What is worth nothing may rise too, to this part of what demands are worth on average. */
const little = 1e-4
/** Contents that kept nothing down so many times are forgotten. */
const idleRounds = 4
/** Sums of floating-point prices. */
const slack = 1e-9

/** Contents of a glet that keep values down. */
interface Limit {
  readonly glet: number
  readonly content: Content
  idle: number
}

/** Values at which given GPUs are worth no more than 1, and what all demands are worth. */
interface Proved {
  readonly values: Values
  readonly sum: number
}

interface Cut {
  readonly gpuClass: number
  /** Glets by share. */
  readonly glets: ReadonlyArray<number>
}

/** Whether it is proved that so many GPUs of each class are too few; what is learned of one purchase serves for the next. */
export type ContentProof = (counts: ReadonlyArray<number>) => boolean

/** `tables`: of the demands' covers; `prices`: those that prove most by themselves. */
export const contentProof = (solver: Solver, model: BoundModel, tables: ReadonlyArray<CoverTable>, prices: ArrayLike<number>): ContentProof => {
  const { classes, resources } = model
  const worths = tables.map((table) => worthOf(table, prices))
  const glets = gletContents(model, worths)
  const limits: Array<Limit> = []
  const cuts: Array<Cut> = []
  let start: Values = {
    demands: Float64Array.from(worths, ({ cost }) => cost),
    memory: Float64Array.from(classes, (_, gpuClass) => prices[resources.at[gpuClass]!.memory]!)
  }

  /** The best cuts at what glets are worth, by class. */
  const cutAt = (worthOfGlets: ArrayLike<number>, memory: ArrayLike<number>): ReadonlyArray<BestCut> => {
    const of = new Float64Array(resources.size)
    glets.forEach(({ gpuClass, share }, at) => {
      of[resources.at[gpuClass]!.time + share] = worthOfGlets[at]!
    })
    return classes.map((_, gpuClass) => {
      of[resources.at[gpuClass]!.memory] = memory[gpuClass]!
      return bestCut(resources, gpuClass, of)
    })
  }
  const keep = (best: ReadonlyArray<BestCut>): void => best.forEach(({ glets: ofShares }, gpuClass) => cuts.push({ gpuClass, glets: ofShares }))
  /** The values times what makes the GPUs worth no more than 1 together: then demands that are worth more do not fit on them. */
  const proved = (values: Values, counts: ReadonlyArray<number>): Proved => {
    const asked = glets.map((glet) => glet.at(values))
    const worthOfGlets = asked.map((each) => each.roughly())
    const isWhole = glets.map(() => false)
    let best: ReadonlyArray<BestCut>
    // Only glets that stand in a best cut need a closer look.
    for (let isNew = true; isNew;) {
      isNew = false
      best = cutAt(worthOfGlets, values.memory)
      glets.forEach(({ gpuClass, share }, at) => {
        if (isWhole[at] || best[gpuClass]!.glets[share] === 0) return
        isWhole[at] = isNew = true
        const { contents, worth } = asked[at]!.most()
        worthOfGlets[at] = worth
        for (const content of contents) if (!limits.some((limit) => limit.content === content)) limits.push({ glet: at, content, idle: 0 })
      })
    }
    keep(best!)
    const offer = best!.reduce((sum, { value }, gpuClass) => sum + counts[gpuClass]! * Math.max(0, value), 0)
    const demands = values.demands.map((each) => each / offer)
    return { values: { demands, memory: values.memory.map((each) => each / offer) }, sum: demands.reduce((sum, each) => sum + each, 0) }
  }

  /** The values that limits and cuts allow whose sum is largest, for GPUs that are worth 1 together; undefined where the solver has none. */
  const raised = ({ sum, values: { demands: from } }: Proved, counts: ReadonlyArray<number>, reach: number): Proved | undefined => {
    const program = new ProgramBuilder()
    const columns = Array.from(from, (each) => program.column({ cost: -1, upper: each * (1 + reach) + (little * sum) / from.length }))
    const ofGlets = glets.map(() => program.column())
    const ofMemory = classes.map(() => program.column())
    const ofClasses = classes.map(() => program.column())
    const all = program.row(-Infinity, 1)
    ofClasses.forEach((column, gpuClass) => program.entry(all, column, counts[gpuClass]!))
    for (const { content: { demands, memory, parts }, glet } of limits) {
      const row = program.row(-Infinity, 0)
      demands.forEach((demand, n) => program.entry(row, columns[demand]!, parts[n]!))
      program.entry(row, ofGlets[glet]!, -1)
      program.entry(row, ofMemory[glets[glet]!.gpuClass]!, -memory)
    }
    for (const { glets: ofShares, gpuClass } of cuts) {
      const { gletBytes, memoryBytes } = classes[gpuClass]!
      const row = program.row(-Infinity, 0)
      glets.forEach((glet, at) => {
        if (glet.gpuClass === gpuClass) program.entry(row, ofGlets[at]!, ofShares[glet.share]!)
      })
      program.entry(row, ofMemory[gpuClass]!, 1 - (ofShares.reduce((a, b) => a + b, 0) * gletBytes) / memoryBytes)
      program.entry(row, ofClasses[gpuClass]!, -1)
    }
    const { objective, status, values } = solver.solve(program.build())
    if (status !== "optimal") return undefined
    let kept = 0
    for (const limit of limits) {
      const { content: { demands, memory, parts }, glet } = limit
      let over = -values[ofGlets[glet]!]! - memory * values[ofMemory[glets[glet]!.gpuClass]!]!
      demands.forEach((demand, n) => over += parts[n]! * values[columns[demand]!]!)
      limit.idle = over < -slack * -objective ? limit.idle + 1 : 0
      if (limit.idle < idleRounds) limits[kept++] = limit
    }
    limits.length = kept
    const memory = Float64Array.from(ofMemory, (column) => Math.max(0, values[column]!))
    keep(cutAt(ofGlets.map((column) => values[column]!), memory))
    return { values: { demands: Float64Array.from(columns, (column) => Math.max(0, values[column]!)), memory }, sum: -objective }
  }

  return (counts) => {
    const tooMuch = 1 + 2 * relativeSlack
    let best = proved(start, counts)
    let reach = firstReach
    for (let round = 0; round < mostRounds && best.sum <= tooMuch; round++) {
      const next = raised(best, counts, reach)
      if (next === undefined) break
      if (next.sum <= tooMuch) {
        // As far as is known nothing proves more.
        if (reach >= lastReach) break
        reach = lastReach
        continue
      }
      const between = (one: Float64Array, other: Float64Array): Float64Array => one.map((each, i) => each + ofProgram * (other[i]! - each))
      const other = proved({ demands: between(best.values.demands, next.values.demands), memory: between(best.values.memory, next.values.memory) }, counts)
      if (other.sum > best.sum) best = other
    }
    start = best.values
    return best.sum > tooMuch
  }
}
