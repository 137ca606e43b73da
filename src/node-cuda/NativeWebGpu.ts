/**
 * WebGPU in Node by onnxruntime-node's own provider: a runner process per glet, since two sessions that compute at a time in one process crash it.
 * The executor does not enforce shares: put `DutyExecutor` of the WebGPU backend over it.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as os from "node:os"
import type * as Scope from "effect/Scope"
import { Executor } from "../core/Executor.js"
import type { Gpu } from "../core/Gpu.js"
import { unsafeGpuId } from "../core/Ids.js"
import { runCommand } from "./internal/runCommand.js"
import type { Placement, RunnerExecutorOptions } from "./internal/runnerExecutor.js"
import { makeRunnerExecutor } from "./internal/runnerExecutor.js"
import type { GletRefusal } from "./internal/runnerGlet.js"
import { findRunner } from "./internal/runnerPath.js"
import type { VulkanDevice, WebGpuProbed } from "./runner/webgpuProbe.js"

/** What was found. @since 0.1.0 @category capabilities */
export interface NativeWebGpu {
  /** Why onnxruntime-node's provider does not work here; undefined where it does. */
  readonly problem: string | undefined
  /** Devices that the Vulkan loader lists; undefined where it cannot be asked (macOS and Windows use other interfaces). */
  readonly devices: ReadonlyArray<VulkanDevice> | undefined
}

/** A software driver compiles its first shaders for seconds. */
const probeTimeoutMs = 60_000

/** onnxruntime's words are long, and say where in its source they stand. */
const shorten = (problem: string, stderr: string): string => {
  const words = /Failed to get a WebGPU adapter:.*/.exec(problem)?.[0] ?? problem.split("\n")[0]!.slice(0, 300)
  // Dawn says on stderr what a device lacks.
  const lacks = [...new Set(stderr.split("\n").flatMap((line) => /^Warning: (.* required)/.exec(line)?.[1] ?? []))]
  return lacks.length === 0 ? words : `${words} (${lacks.join(", ")})`
}

/** Runs something on it, in a process of its own. @since 0.1.0 @category capabilities */
export const probe = (options: { readonly runnerPath?: string } = {}): Effect.Effect<NativeWebGpu> =>
  Effect.gen(function*() {
    const runner = options.runnerPath ?? findRunner()
    if (runner === undefined) return { problem: "dist/runner.js is missing: run `npm run build`", devices: undefined }
    const { code, stderr, stdout } = yield* runCommand(process.execPath, [runner, "probe-webgpu"], { timeoutMs: probeTimeoutMs })
    return yield* Effect.try({
      try: () => {
        const { devices, problem } = JSON.parse(stdout) as WebGpuProbed
        return { devices, problem: problem === undefined ? undefined : shorten(problem, stderr) }
      },
      catch: () => ({ detail: `the probe ended with code ${code}: ${stderr.trim().slice(-300)}` })
    })
  }).pipe(Effect.catchAll(({ detail }) => Effect.succeed({ problem: detail, devices: undefined })))

/** The order in which dawn, asked for performance, takes devices. */
const preference: ReadonlyArray<VulkanDevice["kind"]> = ["discrete", "integrated", "virtual", "other", "cpu"]

/** The device that dawn most likely takes. @since 0.1.0 @category capabilities */
export const preferredDevice = ({ devices = [] }: NativeWebGpu): VulkanDevice | undefined =>
  [...devices].sort((a, b) => preference.indexOf(a.kind) - preference.indexOf(b.kind))[0]

/**
 * What was found as a GPU: id `webgpu:0`, a unit is a hundredth of the time. Shares are quarters: every glet has a process with the runtime and its
 * own copy of the model. Memory is not told: that of the machine, which integrated GPUs share, is taken unless it is given.
 * @since 0.1.0
 * @category constructors
 */
export const nativeGpu = (found: NativeWebGpu, options: { readonly memoryBytes?: number } = {}): Gpu => {
  const name = preferredDevice(found)?.name ?? process.platform
  return {
    id: unsafeGpuId("webgpu:0"),
    type: `webgpu-${name.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "").slice(0, 60)}-native`,
    isolation: "duty",
    units: 100,
    memoryBytes: options.memoryBytes ?? os.totalmem(),
    sharesPct: [25, 50, 75, 100]
  }
}

/** The service. @since 0.1.0 @category constructors */
export const make = (options: RunnerExecutorOptions = {}): Effect.Effect<Executor["Type"], never, Scope.Scope> =>
  makeRunnerExecutor(options, {
    name: "webgpu",
    startTimeoutMs: 30_000,
    place: ({ gpu }): Effect.Effect<Placement, GletRefusal> =>
      gpu.isolation === "duty"
        ? Effect.succeed({ sharedKey: undefined, device: { provider: "webgpu" }, poolThreads: 4 })
        : Effect.fail({ reason: "share-unsupported", detail: `WebGPU is shared by turns (duty), not by ${gpu.isolation}` })
  })

/** `make` as a layer. @since 0.1.0 @category layers */
export const layer = (options: RunnerExecutorOptions = {}): Layer.Layer<Executor> => Layer.scoped(Executor, make(options))
