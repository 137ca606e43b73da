import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { unsafeModelName } from "../../src/core/Ids.js"
import type { Execution } from "../../src/core/LatencyModel.js"
import type { CoRun, ModelProfile, WorkloadType } from "../../src/core/Profile.js"
import type { InterferenceCoefficients, Observation, Typed } from "../../src/scheduler/InterferenceFit.js"
import { defaultForm, fitInterference, offsetKey, predictSlowdown, unknownType } from "../../src/scheduler/InterferenceFit.js"
import * as ProfileLatencyModel from "../../src/scheduler/ProfileLatencyModel.js"
import { random } from "./harness.js"

const name = (i: number) => unsafeModelName(`m${i}`)
const typedOf = (model: number, type: WorkloadType, sharePct = 50, batch = 8): Typed => ({ execution: { model: name(model), batch, sharePct }, type })

/** Models of all kinds that slow each other down by a law of the fitted form. */
const world = (seed: number, models: number) => {
  const draw = random(seed)
  const types = Array.from({ length: models }, (): WorkloadType => {
    const compute = draw()
    const memory = draw() * (1 - compute)
    return { compute, memory, other: 1 - compute - memory }
  })
  const modelOffsets = new Map(types.map((_, i): [string, number] => [name(i), 0.1 + 0.3 * draw()]))
  const truth: InterferenceCoefficients = {
    meanOffset: 0.2, modelOffsets, offsets: new Map(types.map((type, i) => [offsetKey(typedOf(i, type).execution), modelOffsets.get(name(i))!])),
    // What models cause, on average 1.
    pressures: new Map(types.map((_, i): [string, number] => [name(i), 1 + (i % 2 === 0 ? -0.2 : 0.2) * (i === models - 1 && models % 2 === 1 ? 0 : 1)])),
    ownPower: defaultForm.ownPower, neighbourPower: defaultForm.neighbourPower,
    memory: 0.1 * draw(), memoryOnMemory: draw(), compute: 0.1 * draw(), computeOnCompute: 0.5 * draw()
  }
  const observe = (victim: number, neighbours: ReadonlyArray<number>, sharePct: number, noise: number): Observation => {
    const observed = { victim: typedOf(victim, types[victim]!), neighbours: neighbours.map((i) => typedOf(i, types[i]!, sharePct)) }
    return { ...observed, slowdown: predictSlowdown(truth, observed.victim, observed.neighbours) * (1 + noise * (draw() - 0.5)) }
  }
  const all = types.flatMap((_, i) => types.map((_, j) => [i, j] as const))
  return { types, truth, observe, all }
}

describe("fitInterference", () => {
  it("predicts pairs that it has not seen, for a law of its form: within 2 % without noise, within the noise and that with it", () => {
    fc.assert(fc.property(fc.integer(), fc.constantFrom(0, 0.04), (seed, noise) => {
      const { all, observe, truth, types } = world(seed, 7)
      const kept = all.filter(([i, j]) => (i * 7 + j) % 5 !== 0)
      const fit = fitInterference(kept.map(([i, j]) => observe(i, [j], 50, noise)))!
      for (const [i, j] of all.filter(([i, j]) => (i * 7 + j) % 5 === 0)) {
        const predicted = predictSlowdown(fit, typedOf(i, types[i]!), [typedOf(j, types[j]!)])
        const real = predictSlowdown(truth, typedOf(i, types[i]!), [typedOf(j, types[j]!)])
        assert.closeTo(predicted / real, 1, 0.02 + noise)
      }
    }), { numRuns: 50 })
  })

  it("predicts other shares from halves, by the shares of both", () => {
    const { all, observe, truth, types } = world(5, 6)
    const fit = fitInterference(all.map(([i, j]) => observe(i, [j], 50, 0)))!
    for (const [own, theirs] of [[20, 80], [80, 20], [10, 10]] as const) {
      for (const [i, j] of all) {
        const [victim, neighbour] = [typedOf(i, types[i]!, own), typedOf(j, types[j]!, theirs)]
        assert.closeTo(predictSlowdown(fit, victim, [neighbour]) / predictSlowdown(truth, victim, [neighbour]), 1, 0.02)
      }
    }
  })

  it("knows who costs others much, and counts whom it does not know as their mean", () => {
    const causes = [0.6, 0.9, 1.1, 1.4]
    const untyped = (i: number): Typed => typedOf(i, unknownType)
    const fit = fitInterference(causes.flatMap((_, i) => causes.map((cause, j) => ({ victim: untyped(i), neighbours: [untyped(j)], slowdown: 1 + 0.15 * cause * (1 + i) }))))!
    const caused = causes.map((_, i) => fit.pressures.get(name(i))!)
    assert.closeTo(caused.reduce((sum, each) => sum + each, 0) / caused.length, 1, 1e-9)
    caused.forEach((each, i) => assert.closeTo(each, causes[i]!, 0.05))
    const beside = (i: number): number => predictSlowdown(fit, untyped(0), [untyped(i)])
    const mean = causes.reduce((sum, _, i) => sum + beside(i), 0) / causes.length
    assert.closeTo(beside(99), mean, 1e-9)
    assert.closeTo(predictSlowdown(fit, untyped(99), [untyped(98)]), 1 + fit.meanOffset / 2, 1e-9)
  })

  it("takes in co-runs of several neighbours", () => {
    const { all, observe, truth, types } = world(3, 6)
    const fit = fitInterference([
      ...all.map(([i, j]) => observe(i, [j], 50, 0)), ...all.map(([i, j]) => observe(i, [j, (j + 1) % 6], 25, 0))
    ])!
    const three = [1, 2, 3].map((i) => typedOf(i, types[i]!, 20))
    assert.closeTo(predictSlowdown(fit, typedOf(0, types[0]!), three) / predictSlowdown(truth, typedOf(0, types[0]!), three), 1, 0.02)
  })

  it("is never below 1, and more neighbours never help", () => {
    fc.assert(fc.property(fc.array(fc.record({
      victim: fc.nat(3), neighbour: fc.nat(3), slowdown: fc.double({ min: 0.3, max: 5, noNaN: true }), sharePct: fc.constantFrom(10, 50, 90)
    }), { minLength: 1, maxLength: 30 }), fc.integer(), (seen, seed) => {
      const { types } = world(seed, 4)
      const fit = fitInterference(seen.map(({ neighbour, sharePct, slowdown, victim }) => ({
        victim: typedOf(victim, types[victim]!), neighbours: [typedOf(neighbour, types[neighbour]!, sharePct)], slowdown
      })))!
      for (let i = 0; i < 4; i++) {
        let last = 1
        for (let count = 0; count <= 3; count++) {
          const now = predictSlowdown(fit, typedOf(i, types[i]!, 20), Array.from({ length: count }, (_, j) => typedOf(j, types[j]!, 20)))
          assert.isAtLeast(now, last)
          last = now
        }
      }
    }))
  })

  it("nothing measured is nothing fitted", () => assert.isUndefined(fitInterference([])))
})

describe("ProfileLatencyModel with co-runs", () => {
  const { all, observe, types } = world(11, 4)
  const profile = (i: number): ModelProfile => ({
    model: name(i), memoryBytes: 1, loadMs: 1, workloadType: types[i]!,
    coRuns: all.filter(([victim]) => victim === i).map(([victim, other]): CoRun => ({
      batch: 8, sharePct: 50, neighbours: [{ model: name(other), batch: 8, sharePct: 50 }], slowdown: observe(victim, [other], 50, 0).slowdown, count: 10
    })),
    points: [{ sharePct: 10, batch: 8, meanMs: 1, p50Ms: 1, p90Ms: 1, p99Ms: 1, count: 1 }]
  })
  const profiles = new Map([["gpu", new Map(types.map((_, i) => [name(i), profile(i)]))]])
  const latency = ProfileLatencyModel.make(profiles)
  const run = (i: number, sharePct = 50): Execution => ({ gpuType: "gpu", model: name(i), sharePct, batch: 8 })

  it("predicts what was measured, beside any of the executions of a glet the worst of them", () => {
    for (const [i, j] of all) assert.closeTo((latency.slowdown(run(i), [[run(j)]]) - ProfileLatencyModel.crowding) / observe(i, [j], 50, 0).slowdown, 1, 0.02)
    const worst = Math.max(...[1, 2, 3].map((j) => latency.slowdown(run(0), [[run(j)]])))
    assert.strictEqual(latency.slowdown(run(0), [[run(1), run(2), run(3)]]), worst)
  })

  it("is made of what searches tabulate", () => {
    const { combine, pressure, sensitivity } = latency.interference!
    assert.strictEqual(combine, "sum")
    for (const [i, j] of all) {
      const { base, by } = sensitivity(run(i, 30))
      const sum = [[run(j, 20)], [run(i, 40)]].reduce((total, [other]) => total + Math.max(0, base + pressure(other!).reduce((s, p, r) => s + p * by[r]!, 0)), 1)
      assert.closeTo(latency.slowdown(run(i, 30), [[run(j, 20)], [run(i, 40)]]), sum, 1e-12)
    }
  })

  it("what an operator says of the GPU type goes before the fit", () => {
    const told = ProfileLatencyModel.make(profiles, { interference: new Map([["gpu", { memory: 0, compute: 0, presence: 0 }]]) })
    assert.strictEqual(told.slowdown(run(0), [[run(1)]]), 1)
  })
})
