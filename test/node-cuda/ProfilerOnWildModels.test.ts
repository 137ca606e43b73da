/** What a profiler finds out of models whose files say little: which inputs they take, and whether requests can be joined. */
import { afterAll, assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { Executor } from "../../src/core/Executor.js"
import type { Model } from "../../src/core/Model.js"
import { Profiler } from "../../src/core/Profiler.js"
import * as ProfilerLive from "../../src/core/ProfilerLive.js"
import * as CpuExecutor from "../../src/node-cuda/CpuExecutor.js"
import { cpuGpu } from "../../src/node-cuda/CpuInventory.js"
import * as onnx from "../support/onnx.js"
import { wildModelIn } from "./support/wildModel.js"

const folder = fs.mkdtempSync(path.join(os.tmpdir(), "glet-wild-"))
afterAll(() => fs.rmSync(folder, { recursive: true, force: true }))
const gpu = cpuGpu({ cores: 1 })

const modelOf = wildModelIn(folder)
const profileOf = (model: Model, mayJoin = false) => Effect.flatMap(Profiler, (profiler) => profiler.profile({ model, gpu, budgetMs: 20, mayJoin }))
/** The largest batch it was measured for; fails where it cannot be measured. */
const mostOf = (name: string, definition: onnx.ModelDef) =>
  Effect.map(Effect.flatMap(modelOf(name, definition), (model) => profileOf(model)), ({ maxBatch }) => maxBatch)
const failureOf = (name: string, definition: onnx.ModelDef) =>
  Effect.flatMap(modelOf(name, definition), (model) => Effect.flip(profileOf(model)))

const rows: ReadonlyArray<onnx.DimDef> = ["batch", 4]
const onRows = (nodes: ReadonlyArray<onnx.NodeDef>, more: Partial<onnx.ModelDef> = {}): onnx.ModelDef =>
  ({ inputs: [{ name: "x", shape: rows }], outputs: [{ name: "y", shape: rows }], nodes, ...more })

layer(ProfilerLive.layer().pipe(Layer.provideMerge(CpuExecutor.layer())), { excludeTestServices: true, timeout: "60 seconds" })("Profiler, of models whose files say little", (it) => {
  it.effect("finds lengths below the end of a table of positions", () =>
    Effect.map(mostOf("positions", {
      inputs: [{ name: "x", shape: ["batch", "sequence", 2] }], outputs: [{ name: "y", shape: ["batch", "sequence", 2] }],
      nodes: [onnx.add(["x", "table"], "y")], initializers: [onnx.floats("table", [1, 8, 2], new Float32Array(16))]
    }), (most) => assert.strictEqual(most, 4)))

  it.effect("finds the channels of images of which no size is said, though the likeliest would not fit into memory", () =>
    Effect.map(mostOf("images", {
      inputs: [{ name: "x", shape: [null, null, null, null] }], outputs: [{ name: "y", shape: [null, null, null, null] }],
      nodes: [onnx.conv(["x", "w"], "y")], initializers: [onnx.weights("w", [2, 3, 1, 1], 3, 1)]
    }), (most) => assert.strictEqual(most, 4)))

  it.effect("finds integers that a model takes: places in a table of one row, divisors", () =>
    Effect.gen(function*() {
      const ids: ReadonlyArray<onnx.ValueDef> = [{ name: "ids", type: onnx.elemType.int64, shape: ["batch", "length"] }]
      const place = yield* mostOf("one-row", {
        inputs: ids, outputs: [{ name: "y", shape: ["batch", "length", 3] }],
        nodes: [onnx.gather(["table", "ids"], "y")], initializers: [onnx.floats("table", [1, 3], [1, 2, 3])]
      })
      const divisor = yield* mostOf("divisor", {
        inputs: ids, outputs: [{ name: "y", type: onnx.elemType.int64, shape: ["batch", "length"] }],
        nodes: [onnx.div(["one", "ids"], "y")], initializers: [onnx.int64s("one", [1], [1])]
      })
      const fixed = yield* mostOf("fixed-divisor", {
        inputs: [{ name: "ids", type: onnx.elemType.int64, shape: ["batch", 2] }], outputs: [{ name: "y", type: onnx.elemType.int64, shape: ["batch", 2] }],
        nodes: [onnx.div(["one", "ids"], "y")], initializers: [onnx.int64s("one", [1], [1])]
      })
      assert.strictEqual(fixed, 4)
      assert.strictEqual(place, 4)
      assert.strictEqual(divisor, 4)
    }))

  it.effect("says how a model fails with the likeliest inputs where it fails with all", () =>
    Effect.gen(function*() {
      const error = yield* failureOf("never", {
        inputs: [{ name: "x", shape: ["batch", "n"] }], outputs: [{ name: "y", shape: ["batch", 5] }],
        nodes: [onnx.concat(["x", "x"], "y", { axis: { i: 1 } })]
      })
      assert(error instanceof Error && "reason" in error)
      assert.strictEqual(error.reason, "warm-up-failed")
      assert.include(error.message, "256")
      assert.strictEqual((yield* Executor).arena.usedBytes(), 0)
    }))

  it.effect("loads nothing of which not even one request fits into memory", () =>
    Effect.gen(function*() {
      const shape = [1_000_000, 100_000]
      const error = yield* failureOf("vast", { inputs: [{ name: "x", shape }], outputs: [{ name: "y", shape }], nodes: [onnx.relu("x", "y")] })
      assert(error instanceof Error && "reason" in error)
      assert.strictEqual(error.reason, "no-memory")
      assert.include(error.message, "tensorMemoryBytes")
    }))

  it.effect("refuses to join requests that answer otherwise together, unless somebody vouches for it", () =>
    Effect.gen(function*() {
      const softmax = onRows([{ op: "Softmax", inputs: ["x"], outputs: ["y"], attributes: { axis: { i: 0 } } }])
      const running = onRows([{ op: "CumSum", inputs: ["x", "axis"], outputs: ["y"] }], { initializers: [onnx.int64s("axis", [], [0])] })
      const square: onnx.ModelDef = {
        inputs: [{ name: "x", shape: rows }], outputs: [{ name: "y", shape: ["batch", "others"] }],
        nodes: [{ op: "Transpose", inputs: ["x"], outputs: ["t"] }, onnx.matMul(["x", "t"], "y")]
      }
      for (const [name, definition] of [["softmax", softmax], ["running", running], ["square", square]] as const) {
        const error = yield* failureOf(name, definition)
        assert(error instanceof Error && "reason" in error, name)
        assert.strictEqual(error.reason, "items-depend", name)
        assert.include(error.message, `output "y"`)
        assert.strictEqual((yield* profileOf(yield* modelOf(name, definition), true)).maxBatch, 4)
      }
      assert.strictEqual((yield* Executor).arena.usedBytes(), 0)
    }))

  it.effect("joins what answers alike: by rows, at random, in few bits", () =>
    Effect.gen(function*() {
      const softmax = onRows([{ op: "Softmax", inputs: ["x"], outputs: ["y"], attributes: { axis: { i: 1 } } }])
      const random = onRows([{ op: "RandomNormalLike", inputs: ["x"], outputs: ["y"] }])
      // Scale and zero point are those of the whole batch: answers differ a little, as their users know.
      const quantised = onRows([
        { op: "DynamicQuantizeLinear", inputs: ["x"], outputs: ["q", "scale", "zero"] },
        { op: "DequantizeLinear", inputs: ["q", "scale", "zero"], outputs: ["y"] }
      ])
      const half: onnx.ModelDef = {
        inputs: [{ name: "x", type: onnx.elemType.float16, shape: rows }], outputs: [{ name: "y", type: onnx.elemType.float16, shape: rows }],
        nodes: [onnx.identity("x", "y")]
      }
      for (const [name, definition] of [["rows", softmax], ["random", random], ["quantised", quantised], ["half", half]] as const) {
        assert.strictEqual(yield* mostOf(name, definition), 4, name)
      }
    }))
})
