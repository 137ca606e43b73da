import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { stressModel } from "../../src/cli/internal/stressModels.js"
import { unsafeGpuId } from "../../src/core/Ids.js"
import { nodeWork, vectorOfNodes } from "../../src/core/WorkloadType.js"
import { parseTrace, trace } from "../../src/node-cuda/NodeTrace.js"

const cpu = { id: unsafeGpuId("cpu"), type: "cpu", isolation: "threads", units: 1, memoryBytes: 1e9, sharesPct: [100] } as const

describe("NodeTrace", () => {
  it.effect("sees the operators of a model with the work that its file says", () =>
    Effect.gen(function*() {
      const nodes = yield* trace(stressModel(cpu, "compute"), { items: 1, threads: 1, runs: 2 })
      const products = nodes.filter(({ op }) => op === "MatMul")
      assert.strictEqual(products.length, 8)
      for (const product of products) {
        assert.deepStrictEqual(nodeWork(product), { flop: 2 * 512 ** 3, bytes: 3 * 4 * 512 ** 2 })
        assert.isAbove(product.us, 0)
      }
      // Whatever the machine can do, and whatever else it does: by what its products took together this is arithmetic.
      const sum = (of: (product: (typeof products)[number]) => number) => products.reduce((total, product) => total + of(product), 0)
      const flopPerS = (1e6 * sum((product) => nodeWork(product).flop)) / sum(({ us }) => us)
      const vector = vectorOfNodes(nodes, { flopPerS, bytesPerS: flopPerS / 10 })
      assert.isAbove(vector.compute, 0.5)
    }))

  it("takes the median of the executions but the first, in order", () => {
    const event = (name: string, dur: number) => ({ cat: "Node", name: `${name}_kernel_time`, dur, args: { op_name: name, node_index: name, input_type_shape: [{ float: [2, 3] }], output_type_shape: [{ int64: [] }] } })
    const text = JSON.stringify([
      { cat: "Session", name: "model_run", dur: 1 }, event("A", 90), event("B", 7), event("A", 3), event("B", 5), event("A", 4), event("A", 50), { cat: "Node", name: "A_fence_before", dur: 5 }
    ])
    assert.deepStrictEqual(parseTrace(text), [
      { op: "A", us: 4, leastUs: 3, inputs: [{ type: "float", shape: [2, 3] }], outputs: [{ type: "int64", shape: [] }] },
      { op: "B", us: 5, leastUs: 5, inputs: [{ type: "float", shape: [2, 3] }], outputs: [{ type: "int64", shape: [] }] }
    ])
  })

  it.effect("says which model cannot be run", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(trace({ ...stressModel(cpu, "compute"), path: "/nowhere.onnx" }, { items: 1, threads: 1, runs: 1 }))
      assert.match(error.message, /stress-compute/)
    }))
})
