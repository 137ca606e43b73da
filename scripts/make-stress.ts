/**
 * Writes resource/stress/: models that do nothing but arithmetic, or nothing but move memory. Profiling runs them alone, to measure what a device
 * can do at most, and beside a model, to see what it suffers from. Their weights are constants that onnxruntime makes when it loads them, so the
 * files are small. In two sizes: what keeps a core busy is over on a GPU before it has begun.
 *
 *   npx vite-node --script scripts/make-stress.ts
 */
import * as fs from "node:fs"
import * as path from "node:path"
import type { NodeDef } from "../test/support/onnx.js"
import { int64s, makeModel } from "../test/support/onnx.js"

const folder = path.join(process.cwd(), "resource", "stress")

/** A chain of `links` operators on constants of `dims`; what goes in scales it, so that nothing can be computed beforehand. */
const chain = (op: "MatMul" | "Add", dims: ReadonlyArray<number>, links: number): Uint8Array => {
  const value = { name: "value", dims: [1], data: Float32Array.of(1 / dims[dims.length - 1]!) }
  const nodes: Array<NodeDef> = [
    { op: "ConstantOfShape", inputs: ["dims"], outputs: ["constant"], attributes: { value: { t: value } } },
    { op: "ReduceMean", inputs: ["x"], outputs: ["scale"], attributes: { keepdims: { i: 0 } } },
    { op: "Mul", inputs: ["constant", "scale"], outputs: ["link0"] },
    ...Array.from({ length: links }, (_, i): NodeDef => ({ op, inputs: [`link${i}`, "constant"], outputs: [`link${i + 1}`] })),
    { op: "ReduceMean", inputs: [`link${links}`], outputs: ["mean"], attributes: { keepdims: { i: 0 } } },
    { op: "Mul", inputs: ["x", "mean"], outputs: ["y"] }
  ]
  return makeModel({
    inputs: [{ name: "x", shape: ["n", 1] }], outputs: [{ name: "y", shape: ["n", 1] }], nodes, initializers: [int64s("dims", [dims.length], dims)], opset: 17
  })
}

fs.mkdirSync(folder, { recursive: true })
for (const [name, bytes] of [
  ["compute-cpu", chain("MatMul", [512, 512], 8)], ["memory-cpu", chain("Add", [1 << 24], 4)],
  ["compute-gpu", chain("MatMul", [8192, 8192], 4)], ["memory-gpu", chain("Add", [1 << 26], 8)]
] as const) fs.writeFileSync(path.join(folder, `${name}.onnx`), bytes)
