/**
 * Four GPUs that are not there: a measured profile replayed by sleeping glets, at a tenth of real time so that people can follow.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import { unsafeGpuId, unsafeModelName } from "../core/Ids.js"
import { onlinePlanOptions } from "../core/PlanProblem.js"
import type { Profile } from "../core/Profile.js"
import { makeRandom } from "../core/internal/random.js"
import { distributionOf, quantileMs } from "../scheduler/LatencyDistribution.js"
import * as MemoryExecutor from "../scheduler/MemoryExecutor.js"
import * as ProfileLatencyModel from "../scheduler/ProfileLatencyModel.js"
import type { ModelControls } from "./Messages.js"
import type { World, WorldModel } from "./World.js"

const speed = 0.1
const gpuCount = 4
/** A step of shares fine enough to show what planners make of them. */
const gridPct = 5

/** Some of the profile's models, with objectives and rates that fill about three GPUs. */
const cast: ReadonlyArray<readonly [name: string, controls: ModelControls]> = [
  ["resnet50", { serviceClass: "latency-critical", sloMs: 15, rateRps: 2400 }],
  ["bert-base", { serviceClass: "latency-critical", sloMs: 50, rateRps: 1500 }],
  ["vgg16", { serviceClass: "latency-critical", sloMs: 25, rateRps: 2200 }],
  ["mobilenet_v2", { serviceClass: "latency-critical", sloMs: 10, rateRps: 2500 }],
  ["googlenet", { serviceClass: "latency-critical", sloMs: 12, rateRps: 1800 }],
  ["densenet161", { serviceClass: "best-effort", sloMs: 200, rateRps: 150 }]
]

/** @since 0.1.0 @category worlds */
export const make = (profile: Profile): World => {
  const profiles = new Map(profile.models.map((model) => [model.model, model]))
  const latency = ProfileLatencyModel.make(new Map([[profile.gpuType, profiles]]))
  const random = makeRandom(1)
  const measured = new Set(profile.models.flatMap(({ points }) => points.map(({ sharePct }) => sharePct)))
  const least = Math.min(...measured)
  for (let share = gridPct; share <= 100; share += gridPct) if (share >= least) measured.add(share)
  const [first = 100, ...shares] = [...measured].sort((a, b) => a - b)
  const [gpu, ...gpus] = Array.from({ length: gpuCount }, (_, i) => ({
    id: unsafeGpuId(`${profile.gpuType}:${i}`), type: profile.gpuType, isolation: "emulated" as const, units: profile.units, memoryBytes: 141e9,
    sharesPct: [first, ...shares] as const
  }))
  const models = cast.map(([name, controls]): WorldModel => {
    const known = profiles.get(unsafeModelName(name))
    return {
      model: {
        name: unsafeModelName(name), version: 1, path: "", maxBatch: 32, weightBytes: 0, serviceClass: controls.serviceClass,
        expectedRateRps: controls.rateRps, ...(controls.serviceClass === "best-effort" ? {} : { sloMs: controls.sloMs }),
        signature: { inputs: [{ name: "input", datatype: "UINT8", shape: ["batch"] }], outputs: [{ name: "output", datatype: "UINT8", shape: ["batch"] }], batchSymbol: "batch" }
      },
      controls, sha256: "", profile: known, removable: false, release: () => {}
    }
  })
  return {
    name: "replay",
    device: { label: `${gpuCount} × ${profile.gpuType.toUpperCase()}, replayed`, note: `Measured once on a real ${profile.gpuType.toUpperCase()}, replayed here at ${speed} of real time. Nothing is computed.` },
    speed,
    gpus: [gpu!, ...gpus],
    gridPct,
    maxGletsPerGpu: onlinePlanOptions.maxGletsPerGpu,
    executor: MemoryExecutor.layer({
      latencyMs: ({ items, model }, spec) => {
        const execution = { gpuType: spec.gpu.type, model: model.name, sharePct: spec.sharePct, batch: items }
        const distribution = distributionOf(latency, profiles.get(model.name), execution)
        return distribution === undefined ? 1 : quantileMs(distribution, random())
      },
      // Profiles do not tell these; in slow motion people would wait for them, one model after the other.
      openMs: 0,
      loadMs: 0
    }),
    read: undefined,
    keep: undefined,
    models: Effect.succeed(models),
    sample: undefined
  }
}
