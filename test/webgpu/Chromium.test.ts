/** The WebGPU executor in a real browser: the contract on a software GPU, outputs against the CPU's, memory that ends, a device that is lost. */
import { afterAll, assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { createRequire } from "node:module"
import * as path from "node:path"
import type { Model } from "../../src/core/Model.js"
import { makeSlotLayout } from "../../src/core/SlotLayout.js"
import { fill } from "../../src/core/internal/sampleInputs.js"
import { makeRandom } from "../../src/core/internal/random.js"
import { readModels } from "../../src/cli/internal/localModels.js"
import { bundle } from "./support/bundle.js"
import type { PageWork } from "./support/chromiumEntry.js"
import type { OpenPage } from "./support/chromium.js"
import { chromiumPath, openPage } from "./support/chromium.js"
import { packageRoot } from "./support/deno.js"
import { report, skipped } from "./support/report.js"
import { buildWorker, removeBuilt } from "./support/workers.js"

const file = (name: string): { readonly file: string } => ({ file: path.join(packageRoot, name) })
const demo = ["lenet-digits", "digits-features", "digits-denoise", "ranking-batch"]

const open = async (options: Parameters<typeof openPage>[1] = {}): Promise<OpenPage> =>
  openPage(new Map<string, { readonly text: string } | { readonly file: string }>([
    ["/test.js", { text: await bundle("chromiumEntry.ts") }],
    ["/webgpu-worker.js", { file: await buildWorker("webgpu-worker") }],
    ["/digits.json", file("resource/demo/digits-test.json")],
    ...demo.map((name) => [`/${name}.onnx`, file(`resource/demo/${name}.onnx`)] as const)
  ]), options)

/** Calls a function of the page. */
const call = <K extends keyof PageWork>({ page }: OpenPage, name: K, ...args: Parameters<PageWork[K]>): Promise<Awaited<ReturnType<PageWork[K]>>> =>
  page.evaluate(([what, given]) => (globalThis as never as Record<string, (...all: ReadonlyArray<unknown>) => unknown>)[what as string]!(...given as Array<unknown>), [name, args] as const) as never

/** One item of random inputs, and what onnxruntime-node's CPU provider makes of it. */
const reference = async (model: Model) => {
  const ort = createRequire(import.meta.url)("onnxruntime-node") as typeof import("onnxruntime-node")
  const layout = makeSlotLayout(model.signature)
  const random = makeRandom(7)
  const { inputBytes } = layout.placement(1, [])
  const feeds: Record<string, InstanceType<typeof ort.Tensor>> = {}
  const inputs = model.signature.inputs.map(({ datatype, name, shape }, i) => {
    const bytes = new Uint8Array(inputBytes[i]!)
    fill(bytes, datatype, { maxInteger: 1, random })
    assert.strictEqual(datatype, "FP32")
    feeds[name] = new ort.Tensor("float32", new Float32Array(bytes.buffer), shape.map((dim) => typeof dim === "number" ? dim : 1))
    return [...bytes]
  })
  const session = await ort.InferenceSession.create(model.path)
  const results = await session.run(feeds)
  return { inputs, expected: model.signature.outputs.map(({ name }) => results[name]!.data as Float32Array) }
}

const assertClose = (outputs: ReadonlyArray<ReadonlyArray<number>>, expected: ReadonlyArray<Float32Array>): void => {
  expected.forEach((values, i) => {
    const got = new Float32Array(new Uint8Array(outputs[i]!).buffer)
    assert.strictEqual(got.length, values.length)
    for (let j = 0; j < values.length; j++) assert.closeTo(got[j]!, values[j]!, 1e-4 * Math.max(1, Math.abs(values[j]!)), `output ${i}, value ${j}`)
  })
}

afterAll(removeBuilt)
if (chromiumPath() === undefined) {
  skipped("in Chromium", "no chromium")
} else {
  const opened = await open()
  afterAll(opened.close)
  const { provider, results } = await call(opened, "runContract", "webgpu")
  report(`in Chromium, ${provider}`, results)

  describe("in Chromium", () => {
    const models = Effect.map(readModels(path.join(packageRoot, "resource/demo"), new Map()), (all) => new Map(all.map(({ model }) => [String(model.name), model])))
    /** A model with its address in place of its file. */
    const at = (model: Model): Model => ({ ...model, path: `/${model.name}.onnx` })

    for (const name of demo) {
      it.live(`${name} on WebGPU gives the CPU's outputs within 1e-4`, () =>
        Effect.gen(function*() {
          const model = (yield* models).get(name)!
          const { expected, inputs } = yield* Effect.promise(() => reference(model))
          const { detail, memoryBytes, outputs } = yield* Effect.promise(() => call(opened, "runModel", at(model), inputs))
          assert.match(detail, /jspi, WebGPU on .*swiftshader/i)
          assert.isAbove(memoryBytes, 0)
          assertClose(outputs, expected)
        }), 180_000)
    }

    it.live("refuses a model that is too large for its glet's memory, and runs the next one with a fresh worker", () =>
      Effect.gen(function*() {
        const all = yield* models
        const [large, small] = [all.get("digits-denoise")!, all.get("ranking-batch")!]
        const { expected, inputs } = yield* Effect.promise(() => reference(small))
        // One tensor between two layers has 313,600 bytes; all of the other model takes about 190,000.
        const found = yield* Effect.promise(() => call(opened, "runOutOfMemory", 300_000, at(large), at(small), inputs))
        assert.strictEqual(found.tag, "ModelLoadFailed")
        assert.strictEqual(found.reason, "no-memory", found.message)
        assert.match(found.message!, /limit of \d+ bytes/)
        assertClose(found.outputs, expected)
      }), 180_000)

    it.live("says that a lost device ended its glet, and opens another", () =>
      Effect.gen(function*() {
        const model = (yield* models).get("ranking-batch")!
        const { expected, inputs } = yield* Effect.promise(() => reference(model))
        yield* Effect.promise(() => call(opened, "awaitLoss", at(model), inputs))
        // As a driver's crash would: the browser's GPU process dies.
        yield* Effect.promise(async () => (await opened.browser.newBrowserCDPSession()).send("Browser.crashGpuProcess" as never).catch(() => undefined))
        const found = yield* Effect.promise(() => call(opened, "lost"))
        assert.match(found!.message, /device is lost/i)
        assert.match(found!.late, /device is lost/i)
        assertClose(found!.outputs, expected)
      }), 180_000)

    it.live("runs in WebAssembly in a browser without an adapter, and says so", () =>
      Effect.gen(function*() {
        const model = (yield* models).get("lenet-digits")!
        const { expected, inputs } = yield* Effect.promise(() => reference(model))
        const plain = yield* Effect.acquireRelease(Effect.promise(() => open({ webgpu: false })), ({ close }) => Effect.promise(close))
        const { detail, outputs } = yield* Effect.promise(() => call(plain, "runModel", at(model), inputs))
        assert.match(detail, /wasm, WebAssembly with 1 thread, because .*(adapter|no WebGPU)/)
        assertClose(outputs, expected)
      }).pipe(Effect.scoped), 60_000)
  })
}
