/** The page's side: the driver calls what stands on `globalThis`. */
import { startWebWorker } from "../../../src/webgpu/WorkerLink.js"
import { runContract } from "./portableContract.js"

const address = (file: string): string => new URL(`/ort/${file}`, import.meta.url).href
const runtime = {
  modules: { jspi: address("ort.jspi.bundle.min.mjs"), webgpu: address("ort.webgpu.bundle.min.mjs"), wasm: address("ort.wasm.bundle.min.mjs") }
}
Object.assign(globalThis, {
  runContract: (provider: "webgpu" | "wasm") =>
    runContract({ provider, runtime, lenet: "/lenet.onnx", noModel: "/digits.json", startWorker: startWebWorker })
})
