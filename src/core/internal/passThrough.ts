/**
 * Outputs that are inputs: a graph may list one name on both sides, and some exporters do. ONNX Runtime then hands back the input itself and leaves
 * memory that was bound to such an output as it was. So whoever runs the batch copies the input there.
 */
import type { ModelSignature } from "../Model.js"
import type { SlotLayout } from "../SlotLayout.js"
import type { RunBatch } from "./batchAssembly.js"

/** By index in the signature. */
interface PassedThrough {
  readonly input: number
  readonly output: number
}

/** The outputs of a model that are its inputs. */
export const passedThrough = ({ inputs, outputs }: ModelSignature): ReadonlyArray<PassedThrough> =>
  outputs.flatMap(({ name }, output) => {
    const input = inputs.findIndex((spec) => spec.name === name)
    return input < 0 ? [] : [{ input, output }]
  })

/** Copies these inputs of a batch that has ended to the places of their outputs, in slots or in clients' memory. */
export const passThrough = (layout: SlotLayout, memory: Uint8Array, { bindings, direct, entryItems, offsets }: RunBatch, passed: ReadonlyArray<PassedThrough>): void => {
  offsets.forEach((slot, entry) => {
    const { inputBytes, inputOffsets, outputBytes, outputOffsets } = layout.placement(entryItems[entry]!, bindings)
    for (const { input, output } of passed) {
      const room = memory.subarray(slot + outputOffsets[output]!, slot + outputOffsets[output]! + outputBytes[output]!)
      const from = direct?.find("inputs", entry, input)
      if (from === undefined) room.set(memory.subarray(slot + inputOffsets[input]!, slot + inputOffsets[input]! + inputBytes[input]!))
      else direct!.load(from, room)
      const to = direct?.find("outputs", entry, output)
      if (to !== undefined) direct!.store(to, room)
    }
  })
}
