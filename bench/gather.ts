/**
 * A batch of single items put together on the host and taken apart again, beside a view and a `set` for every piece: µs per batch, medians taken in turn.
 *
 *   npx vite-node --script bench/gather.ts
 */
import type { RunBatch } from "../src/core/internal/batchAssembly.js"
import { gather, scatter } from "../src/core/internal/batchAssembly.js"
import type { ModelSignature } from "../src/core/Model.js"
import type { SlotLayout, SlotPlacement } from "../src/core/SlotLayout.js"
import { makeSlotLayout } from "../src/core/SlotLayout.js"
import type { DataType, TensorSpec } from "../src/core/Tensor.js"

const tensor = (name: string, shape: TensorSpec["shape"], datatype: DataType = "FP32"): TensorSpec => ({ name, shape, datatype })
const models: Readonly<Record<string, ModelSignature>> = {
  dlrm: { inputs: [tensor("dense", ["b", 13]), tensor("indices", ["b", 26, 32], "INT64")], outputs: [tensor("score", ["b", 1])], batchSymbol: "b" },
  bert: { inputs: [tensor("ids", ["b", 128], "INT64"), tensor("mask", ["b", 128], "INT64")], outputs: [tensor("logits", ["b", 2])], batchSymbol: "b" },
  classes: { inputs: [tensor("x", ["b", 16])], outputs: [tensor("y", ["b", 1000])], batchSymbol: "b" }
}
type Move = (layout: SlotLayout, memory: Uint8Array, batch: RunBatch, whole: Uint8Array, placement: SlotPlacement) => void

const gatherByViews: Move = (layout, memory, batch, whole, { inputBytes, inputOffsets }) => {
  for (let i = 0; i < batch.offsets.length; i++) {
    const own = layout.placement(1, [])
    for (let j = 0; j < inputOffsets.length; j++) {
      const start = batch.offsets[i]! + own.inputOffsets[j]!
      whole.set(memory.subarray(start, start + own.inputBytes[j]!), inputOffsets[j]! + (inputBytes[j]! / batch.items) * i)
    }
  }
}
const scatterByViews: Move = (layout, memory, batch, whole, { outputBytes, outputOffsets }) => {
  for (let i = 0; i < batch.offsets.length; i++) {
    const own = layout.placement(1, [])
    for (let j = 0; j < outputOffsets.length; j++) {
      const at = outputOffsets[j]! + (outputBytes[j]! / batch.items) * i
      memory.set(whole.subarray(at, at + own.outputBytes[j]!), batch.offsets[i]! + own.outputOffsets[j]!)
    }
  }
}
const ways: Readonly<Record<string, Move>> = { gather, "gather by views": gatherByViews, scatter, "scatter by views": scatterByViews }

const [runs, cold] = [4000, 1500]
const memory = new Uint8Array(4 << 20)
for (const [model, signature] of Object.entries(models)) {
  const layout = makeSlotLayout(signature)
  const slotBytes = 4096 * Math.ceil(layout.placement(1, []).totalBytes / 4096)
  for (const items of [8, 32]) {
    const batch: RunBatch = { items, bindings: [], offsets: Array.from({ length: items }, (_, i) => i * slotBytes), entryItems: Array.from({ length: items }, () => 1) }
    const placement = layout.placement(items, [])
    const whole = new Uint8Array(placement.totalBytes)
    const times = new Map(Object.keys(ways).map((way): [string, Array<number>] => [way, []]))
    for (let i = 0; i < runs; i++) {
      for (const [way, move] of Object.entries(ways)) {
        const began = performance.now()
        move(layout, memory, batch, whole, placement)
        if (i >= cold) times.get(way)!.push(performance.now() - began)
      }
    }
    const medians = [...times].map(([way, all]) => `${way} ${(1000 * all.sort((a, b) => a - b)[all.length >> 1]!).toFixed(2)}`)
    console.log(`${model}, ${items} items: ${medians.join(", ")}`)
  }
}
