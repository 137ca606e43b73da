/**
 * The NVIDIA GPUs of this host, with how their shares are enforced. MIG instances are GPUs of their own type.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type { Gpu, GpuTelemetry } from "../core/Gpu.js"
import { GpuInventory } from "../core/Gpu.js"
import { unsafeGpuId } from "../core/Ids.js"
import { CudaUnavailable } from "./CudaError.js"
import type { ProbedGpu } from "./internal/cudaProbe.js"
import { probeGpu } from "./internal/cudaProbe.js"
import type { CudaIsolation, IsolationChoice } from "./internal/isolationChoice.js"
import { chooseIsolation, noMpsControl } from "./internal/isolationChoice.js"
import { mpsControlPath, runningDaemon } from "./internal/mpsControl.js"
import { openMpsDaemon } from "./internal/mpsDaemon.js"
import type { SmiDevice } from "./internal/nvidiaSmi.js"
import { gpuTypeOf, smiDevices, smiGpus } from "./internal/nvidiaSmi.js"
import { sharesOfGroups } from "./internal/smGroups.js"
import { namesIn, visibleDevices } from "./internal/visibleDevices.js"

/** Which GPUs are offered, and how their shares are enforced; every field has a default. @since 0.1.0 @category options */
export interface CudaInventoryOptions {
  /** How shares are enforced; `auto` takes what serves latency-critical models best here, and says why. Default `auto`. */
  readonly isolation?: CudaIsolation | "auto"
  /** UUIDs (or beginnings of them) or indices of the GPUs to use. Default: `CUDA_VISIBLE_DEVICES`, else all. */
  readonly devices?: ReadonlyArray<string>
  /** Whether best-effort batches give way to latency-critical ones between two kernels (`Gpu.preemptMs`). Default true. */
  readonly preemption?: boolean
  /** The built runner, which asks the driver. Default: the package's own. */
  readonly runnerPath?: string
}

/** A GPU, and why it has the isolation it has. @since 0.1.0 @category gpus */
export interface DescribedGpu {
  readonly gpu: Gpu
  readonly name: string
  readonly driver: string
  readonly why: string
}

/** Shares under MPS: it rounds to pairs of SMs, and a finer grid would cost more to measure than it gains. */
const mpsShares = [10, 20, 30, 40, 50, 60, 70, 80, 90, 100] as const
/** About how long a batch that is to give way goes on, in ms: 0.04 to 0.24 for steps of 0.03 to 0.2 on an H200. */
const typicalPreemptMs = 0.15
/** Probes at a time: each initialises the driver. */
const probesAtOnce = 4

const sharesOf = (isolation: CudaIsolation, probed: ProbedGpu): readonly [number, ...ReadonlyArray<number>] =>
  isolation === "green" ? sharesOfGroups(probed.smGroups) : isolation === "mps" ? mpsShares : [100]

const describe = ({ mig, smi, uuid }: SmiDevice, probed: ProbedGpu, { isolation, why }: IsolationChoice, preemption: boolean): DescribedGpu => ({
  gpu: {
    id: unsafeGpuId(uuid),
    type: gpuTypeOf(smi.name, mig?.profile),
    isolation,
    units: probed.units,
    // What others hold is not ours to plan with; of a MIG instance nvidia-smi does not say.
    memoryBytes: mig === undefined ? Math.max(1, Math.min(probed.memoryBytes, smi.memoryTotalBytes - smi.memoryUsedBytes)) : probed.memoryBytes,
    sharesPct: sharesOf(isolation, probed),
    ...(preemption ? { preemptMs: typicalPreemptMs } : {})
  },
  name: mig === undefined ? smi.name : `${smi.name} MIG ${mig.profile}`,
  driver: smi.driver,
  why
})

/**
 * Lists and asks every GPU. Fails where there is none, and where one cannot have the isolation asked for.
 * @since 0.1.0
 * @category constructors
 */
export const describeGpus = (options: CudaInventoryOptions = {}): Effect.Effect<ReadonlyArray<DescribedGpu>, CudaUnavailable> =>
  Effect.gen(function*() {
    const all = yield* smiDevices
    const wanted = options.devices ?? namesIn(process.env["CUDA_VISIBLE_DEVICES"])
    const { devices, unknown } = wanted === undefined ? { devices: all, unknown: undefined } : visibleDevices(all, wanted)
    if (devices.length === 0) {
      const detail = wanted === undefined ? "it lists no GPU" : unknown === undefined
        ? `CUDA_VISIBLE_DEVICES is empty, which hides all of its ${all.length} devices: unset it, or name some`
        : `none of its ${all.length} devices is ${wanted.join(", ")}`
      return yield* new CudaUnavailable({ reason: "no-gpu", subject: "nvidia-smi", detail })
    }
    if (unknown !== undefined) yield* Effect.logWarning(`no GPU, or more than one, is "${unknown}": as CUDA does, what is named after it is left out`)
    const mpsControl = mpsControlPath() !== undefined
    const described = yield* Effect.forEach(devices, (device) =>
      Effect.gen(function*() {
        const probed = yield* probeGpu(device.uuid, { runnerPath: options.runnerPath })
        const mpsRuns = mpsControl && Option.isSome(yield* runningDaemon(device.uuid))
        const wanted = options.isolation ?? "auto"
        // Where the choice is free, a daemon that does not start, as in a container that may not, decides it.
        const mpsProblem = !mpsControl ? noMpsControl : wanted !== "auto" || mpsRuns ? undefined : yield* Effect.scoped(openMpsDaemon(device.uuid)).pipe(
          Effect.match({ onSuccess: () => undefined, onFailure: ({ detail }) => detail })
        )
        const choice = chooseIsolation(wanted, { computeMode: device.smi.computeMode, smGroups: probed.smGroups, mpsProblem, mpsRuns })
        if (Either.isLeft(choice)) return yield* new CudaUnavailable({ reason: "isolation-unsupported", subject: device.uuid, detail: choice.left })
        return describe(device, probed, choice.right, options.preemption ?? true)
      }), { concurrency: probesAtOnce })
    return described.sort((a, b) => (a.gpu.id < b.gpu.id ? -1 : 1))
  })

/** What GPUs do now; those that nvidia-smi does not measure are left out, as are all while it fails. */
const readTelemetry = (gpus: ReadonlyArray<Gpu>): Effect.Effect<ReadonlyArray<GpuTelemetry>> =>
  smiGpus.pipe(
    Effect.map((readings) =>
      gpus.flatMap(({ id }): ReadonlyArray<GpuTelemetry> => {
        const reading = readings.find(({ uuid }) => uuid === id)
        if (reading === undefined) return []
        return [{
          gpu: id,
          utilizationRatio: reading.utilizationRatio ?? 0,
          memoryUsedBytes: reading.memoryUsedBytes,
          memoryTotalBytes: reading.memoryTotalBytes,
          ...(reading.powerWatts === undefined ? {} : { powerWatts: reading.powerWatts })
        }]
      })
    ),
    Effect.catchAll((error) => Effect.as(Effect.logDebug(`no GPU telemetry: ${error.message}`), []))
  )

/**
 * Lists the GPUs. A reading of the telemetry starts nvidia-smi, at most once a second.
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: CudaInventoryOptions = {}): Layer.Layer<GpuInventory, CudaUnavailable> =>
  Layer.effect(GpuInventory, Effect.gen(function*() {
    const described = yield* describeGpus(options)
    for (const { gpu, name, why } of described) {
      yield* Effect.logInfo(`${gpu.id}: ${name}, ${gpu.units} SMs, isolation ${gpu.isolation}: ${why}`)
    }
    const gpus = described.map(({ gpu }) => gpu)
    return { gpus, telemetry: yield* Effect.cachedWithTTL(readTelemetry(gpus), "1 second") }
  }))
