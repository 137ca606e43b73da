import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import * as fs from "node:fs"
import { unsafeModelName } from "../../src/core/Ids.js"
import { Profile } from "../../src/core/Profile.js"
import type { Observation, Typed } from "../../src/scheduler/InterferenceFit.js"
import { fitInterference, predictSlowdown, unknownType } from "../../src/scheduler/InterferenceFit.js"
import * as ProfileLatencyModel from "../../src/scheduler/ProfileLatencyModel.js"
import { profileHardware } from "../../src/simulator/Hardware.js"

const profile = Schema.decodeUnknownSync(Profile)(JSON.parse(fs.readFileSync(new URL("../../resource/zoo/h200/mps.json", import.meta.url), "utf8")))
const types = new Map(profile.models.map(({ model, workloadType }) => [model, workloadType ?? unknownType]))
const names = [...types.keys()]
const typed = (execution: Typed["execution"]): Typed => ({ execution, type: types.get(execution.model)! })
const pairs = profile.models.flatMap(({ coRuns = [], model }) => coRuns.map(({ batch, neighbours, sharePct, slowdown }): Observation => ({
  victim: typed({ model, batch, sharePct }), neighbours: neighbours.map(typed), slowdown
})))
const isWithin = (part: number, predicted: number, measured: number): boolean => Math.abs(predicted / measured - 1) <= part
const partOf = (all: ReadonlyArray<boolean>): number => all.filter((each) => each).length / all.length

describe("co-runs of ten models under MPS on an H200", () => {
  it("are predicted within 8 % for 96 % of the pairs that the fit has not seen", () => {
    const fold = ({ neighbours, victim }: Observation): number => (names.indexOf(victim.execution.model) + names.indexOf(neighbours[0]!.execution.model)) % names.length
    const within = names.flatMap((_, held) => {
      const fit = fitInterference(pairs.filter((pair) => fold(pair) !== held))!
      return pairs.filter((pair) => fold(pair) === held).map(({ neighbours, slowdown, victim }) => isWithin(0.08, predictSlowdown(fit, victim, neighbours), slowdown))
    })
    assert.strictEqual(within.length, 400)
    assert.isAtLeast(partOf(within), 0.96)
  })

  it("are predicted within 8 % for four fifths of all shares and batches from halves at one batch", () => {
    const isHalf = ({ victim: { execution } }: Observation): boolean => execution.batch === 8 && execution.sharePct === 50
    const fit = fitInterference(pairs.filter(isHalf))!
    const others = pairs.filter((pair) => !isHalf(pair))
    assert.strictEqual(others.length, 300)
    assert.isAtLeast(partOf(others.map(({ neighbours, slowdown, victim }) => isWithin(0.08, predictSlowdown(fit, victim, neighbours), slowdown))), 0.8)
  })

  it("say what eight glets of a tenth lose: 21 % was measured", () => {
    const fit = fitInterference(pairs)!
    const resnet = typed({ model: unsafeModelName("resnet50"), batch: 4, sharePct: 10 })
    assert.closeTo(predictSlowdown(fit, resnet, Array.from({ length: 7 }, () => resnet)), 1.21, 0.08)
  })

  it("are what the hardware of their profile goes by, not what is assumed without", () => {
    const { latency } = profileHardware(profile)
    assert.strictEqual(latency.interference?.isAssumed, true, "of more than two glets nothing was measured")
    const within = pairs.map(({ neighbours, slowdown, victim }) => {
      const run = ({ execution }: Typed) => ({ ...execution, gpuType: profile.gpuType })
      // Medians were measured; what lies between median and 99th percentile is not slowed down.
      const medians = latency.latencyMs(run(victim)) / latency.typicalMs(run(victim))
      const tails = latency.slowdown(run(victim), neighbours.map((neighbour) => [run(neighbour)])) - ProfileLatencyModel.crowding
      return isWithin(0.08, 1 + medians * (tails - 1), slowdown)
    })
    assert.isAtLeast(partOf(within), 0.95)
  })

  it("say what a model suffers where none of those that it was measured beside is served", () => {
    const resnet = profile.models.find(({ model }) => model === "resnet50")!
    const renamed = { ...resnet, model: unsafeModelName("ours") }
    const { latency } = profileHardware({ ...profile, models: [renamed] })
    const beside = (resnet.coRuns ?? []).filter(({ batch, sharePct }) => batch === 32 && sharePct === 50).map(({ slowdown }) => slowdown)
    const mean = beside.reduce((sum, each) => sum + each, 0) / beside.length
    const run = { gpuType: profile.gpuType, sharePct: 50, batch: 32 }
    assert.strictEqual(latency.interference?.isAssumed, true, "of more than two glets nothing was measured")
    assert.closeTo(latency.slowdown({ ...run, model: renamed.model }, [[{ ...run, model: unsafeModelName("another") }]]), mean + ProfileLatencyModel.crowding, 0.02)
  })
})
