/** What `--executor webgpu` runs on here: the first of three ways that works, and why not the ones before it. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as fs from "node:fs"
import { createRequire } from "node:module"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import type { Executor } from "../../core/Executor.js"
import type { Gpu } from "../../core/Gpu.js"
import * as CoreGpu from "../../core/Gpu.js"
import * as NativeWebGpu from "../../node-cuda/NativeWebGpu.js"
import { readModelBytes } from "../../server/repository/ModelBytes.js"
import { describeProvider } from "../../webgpu/Capabilities.js"
import * as DutyExecutor from "../../webgpu/DutyExecutor.js"
import * as NodeWorkers from "../../webgpu/NodeWorkers.js"
import { installRuntime } from "../../webgpu/RuntimePackage.js"
import * as WebGpuExecutor from "../../webgpu/WebGpuExecutor.js"
import { webGpu } from "../../webgpu/WebGpuInventory.js"
import { CliError } from "../CliError.js"

/** A way that works. */
interface WebGpuWay {
  readonly kind: "native" | "dawn" | "wasm"
  /** One line for people, with why no better way works. */
  readonly words: string
  readonly gpu: Gpu
  readonly executor: Layer.Layer<Executor>
}

const require = createRequire(import.meta.url)

export const hasOnnxruntimeWeb = (): boolean => {
  try {
    require.resolve("onnxruntime-web")
    return true
  } catch {
    return false
  }
}

/** Dawn's package: beside this package, or where the command is run. */
export const findDawn = (): string | undefined => NodeWorkers.findDawn() ?? NodeWorkers.findDawn(path.join(process.cwd(), "package.json"))

/** The worker's file, which the build puts beside this one and into the package's `dist`. */
const workerFile = (): URL => {
  const beside = new URL("./webgpu-node-worker.js", import.meta.url)
  return fs.existsSync(fileURLToPath(beside)) ? beside : new URL("../../../dist/webgpu-node-worker.js", import.meta.url)
}

const webWay = (kind: "dawn" | "wasm", capabilities: Parameters<typeof webGpu>[0], dawn: string | false, why: string): WebGpuWay => ({
  kind,
  words: `onnxruntime-web, ${describeProvider(capabilities)}; ${why}`,
  gpu: webGpu(capabilities),
  executor: WebGpuExecutor.layer({ startWorker: NodeWorkers.startThreads({ dawn, worker: workerFile() }), readModel: readModelBytes })
})

/** Looks at the ways, the best first. Fails where none works, with every reason. */
const findWebGpu: Effect.Effect<WebGpuWay, CliError> = Effect.gen(function*() {
  const native = yield* NativeWebGpu.probe()
  if (native.problem === undefined) {
    const device = NativeWebGpu.preferredDevice(native)
    return {
      kind: "native",
      words: `onnxruntime-node's WebGPU on ${device === undefined ? "the system's preferred adapter" : `${device.name}${device.kind === "cpu" ? " (software)" : ""}`}`,
      gpu: NativeWebGpu.nativeGpu(native),
      executor: DutyExecutor.layer(NativeWebGpu.layer())
    }
  }
  const noNative = `onnxruntime-node's WebGPU does not work: ${native.problem}`
  if (!hasOnnxruntimeWeb()) {
    return yield* new CliError({
      reason: "unhealthy", problem: noNative,
      hint: `install a Vulkan driver that dawn takes (Mesa 25 or newer, or the GPU vendor's), or ${installRuntime} beside glet-orion for WebAssembly; --executor cpu is faster than that`
    })
  }
  const dawn = findDawn()
  const found = yield* Effect.promise(() => NodeWorkers.probeThread({ dawn: dawn ?? false, worker: workerFile() }))
  if (typeof found === "string") return yield* new CliError({ reason: "unhealthy", problem: `${noNative}; onnxruntime-web does not work: ${found}` })
  return found.provider === "webgpu" ? webWay("dawn", found, dawn!, noNative) : webWay("wasm", found, dawn ?? false, noNative)
})

/** Executor and inventory of the way that works here, which is said in the log. */
export const layerWebGpuDevice: Layer.Layer<Executor | CoreGpu.GpuInventory, CliError> = Layer.unwrapEffect(
  Effect.map(
    Effect.tap(findWebGpu, ({ kind, words }) => kind === "native" ? Effect.logInfo(words) : Effect.logWarning(words)),
    ({ executor, gpu }) => Layer.merge(executor, CoreGpu.layerStatic([gpu], Effect.succeed([])))
  )
)
