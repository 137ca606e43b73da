/** The page's side: the driver calls what stands on `globalThis`. */
import { startWebWorker } from "../../../src/webgpu/WorkerLink.js"
import { awaitLoss, lost, runModel, runOutOfMemory } from "./pageWork.js"
import { runContract } from "./portableContract.js"

const address = (file: string): string => new URL(`/ort/${file}`, import.meta.url).href
const runtime = {
  modules: { jspi: address("ort.jspi.bundle.min.mjs"), webgpu: address("ort.webgpu.bundle.min.mjs"), wasm: address("ort.wasm.bundle.min.mjs") }
}
type Of<F extends (options: never, ...rest: never) => unknown> = F extends (options: never, ...rest: infer R) => infer O ? (...rest: R) => O : never

const page = {
  runContract: (provider: "auto" | "webgpu" | "wasm") =>
    runContract({ provider, runtime, lenet: "/lenet-digits.onnx", noModel: "/digits.json", startWorker: startWebWorker }),
  runModel: ((...rest) => runModel({ runtime }, ...rest)) as Of<typeof runModel>,
  runOutOfMemory: (limit: number, ...rest: Parameters<Of<typeof runOutOfMemory>>) =>
    runOutOfMemory({ runtime, provider: "webgpu", gletMemoryBytes: limit }, ...rest),
  awaitLoss: ((...rest) => awaitLoss({ runtime, provider: "webgpu" }, ...rest)) as Of<typeof awaitLoss>,
  lost
}
/** What the page offers. */
export type PageWork = typeof page
Object.assign(globalThis, page)
