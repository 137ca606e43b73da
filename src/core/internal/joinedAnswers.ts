/**
 * Whether requests that are joined into a batch get the answers that they get alone. A file does not say what its leading dimension is: items that
 * have nothing to do with each other, or the steps of one sequence, over which a model averages or attends. So two requests are run both ways.
 */
import * as Effect from "effect/Effect"
import type { BatchEnd, BatchEntry, GletHandle } from "../Executor.js"
import { runBatch } from "../Executor.js"
import type { Model } from "../Model.js"
import type { SlotLayout } from "../SlotLayout.js"
import { makeSlotLayout } from "../SlotLayout.js"
import type { DataType } from "../Tensor.js"
import { numbersOf } from "./tensorNumbers.js"

/** One request's outputs, copied: the next run writes over them. */
interface Answer {
  readonly bindings: ReadonlyArray<number>
  readonly outputs: ReadonlyArray<{ readonly bytes: number; readonly numbers: ReadonlyArray<number> }>
}

/** Elements of an output that are compared. */
const mostElements = 65_536

const answerOf = (layout: SlotLayout, entry: BatchEntry, end: BatchEnd & { readonly ok: true }, index: number): Answer => {
  const { outputBytes, outputOffsets } = layout.placement(entry.items, entry.bindings)
  return {
    bindings: end.outputBindings?.[index] ?? [],
    outputs: layout.signature.outputs.map(({ datatype }, j) => {
      const bytes = end.overflow?.[index]?.[j] ?? entry.slot.bytes.subarray(outputOffsets[j]!, outputOffsets[j]! + outputBytes[j]!)
      return { bytes: bytes.byteLength, numbers: numbersOf(datatype, bytes, mostElements) }
    })
  }
}

/** Of the largest value: kernels for other sizes round otherwise, and weights that are quantised as a batch comes do so more. */
const tolerance = 0.05
/** Part of an output's elements that may lie beyond it. Integers are often places or classes, where a little decides. */
const strayPart = (datatype: DataType): number => (/INT|BOOL/.test(datatype) ? 0.5 : 0.1)

/** The output that differs. */
const differing = ({ signature: { outputs } }: SlotLayout, one: Answer, other: Answer): string | undefined =>
  outputs.find(({ datatype }, j) => {
    const [a, b] = [one.outputs[j]!, other.outputs[j]!]
    if (a.bytes !== b.bytes) return true
    let largest = 0
    for (const value of a.numbers) if (Number.isFinite(value)) largest = Math.max(largest, Math.abs(value))
    let strays = 0
    a.numbers.forEach((value, i) => {
      const other = b.numbers[i]!
      if (!Object.is(value, other) && !(Math.abs(value - other) <= tolerance * largest)) strays++
    })
    return strays > strayPart(datatype) * a.numbers.length
  })?.name ?? (one.bindings.some((size, i) => size !== other.bindings[i]) ? outputs[0]!.name : undefined)

/**
 * The output that answers two requests of one item otherwise when they are joined; undefined where all answer alike, where that cannot be told (what is
 * random differs in any case), and where the model does not run so.
 */
export const joinedDifference = (handle: GletHandle, model: Model, entries: ReadonlyArray<BatchEntry>): Effect.Effect<string | undefined> =>
  Effect.gen(function*() {
    const layout = makeSlotLayout(model.signature)
    const answers = (some: ReadonlyArray<BatchEntry>) =>
      Effect.map(runBatch(handle, { model, entries: some, items: some.length }), (end) => end.ok ? some.map((entry, i) => answerOf(layout, entry, end, i)) : undefined)
    const [first, second] = entries
    if (first === undefined || second === undefined || first.slot === second.slot) return undefined
    const alone = [yield* answers([first]), yield* answers([second])].map((some) => some?.[0])
    const again = [yield* answers([first]), yield* answers([second])].map((some) => some?.[0])
    const joined = yield* answers([first, second])
    const compare = (ones: ReadonlyArray<Answer | undefined>, others: ReadonlyArray<Answer | undefined>): string | undefined => {
      for (const [i, one] of ones.entries()) {
        const difference = one === undefined || others[i] === undefined ? undefined : differing(layout, one, others[i])
        if (difference !== undefined) return difference
      }
      return undefined
    }
    return joined === undefined || compare(alone, again) !== undefined ? undefined : compare(alone, joined)
  })
