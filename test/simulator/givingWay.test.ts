import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import * as fc from "fast-check"
import type { Model } from "../../src/core/Model.js"
import type { Profile } from "../../src/core/Profile.js"
import { openGate } from "../../src/scheduler/BestEffortGate.js"
import { defaultDispatcherOptions } from "../../src/scheduler/DispatcherOptions.js"
import type { Hardware } from "../../src/simulator/Hardware.js"
import { HardwareDescription, profileHardware, withPreemption } from "../../src/simulator/Hardware.js"
import type { Load, SimulationInput } from "../../src/simulator/SimulationInput.js"
import { defaultSimulation } from "../../src/simulator/SimulationInput.js"
import { simulate } from "../../src/simulator/Simulation.js"
import { inputOf, latencyFor, modelOf, name, open } from "./scenes.js"

const bestEffort = (id: string, maxBatch: number): Model => {
  const { sloMs: _, ...rest } = modelOf(id, { expectedRateRps: 0, maxBatch })
  return { ...rest, serviceClass: "best-effort" }
}
const endless = (id: string, clients: number): Load => ({ target: name(id), kind: "closed", clients, thinkMs: 0 })
/** Best-effort work over the others, on all SMs, whenever it likes: what holds it back is that it gives way. */
const over = {
  planOptions: { ...defaultSimulation.planOptions, overlayPct: 100 },
  dispatcher: { ...defaultDispatcherOptions, gate: openGate }
}
const free = { overheadMs: 0, openMs: 0, loadMs: () => 0, planningMs: 0 }

const preemptMs = 0.5
/** 4 ms a request of m, always; 40 ms a batch of the other. */
const fixed = (models: ReadonlyArray<Model>) => ({
  ...latencyFor(models), latencyMs: ({ model }: { readonly model: string }) => (model === "m" ? 4 : 40), typicalMs: ({ model }: { readonly model: string }) => (model === "m" ? 4 : 40)
})
const fixedInput = (gapMs: number): SimulationInput => {
  const models = [modelOf("m", { maxBatch: 1, sloMs: 1e6, expectedRateRps: 1000 / gapMs }), bestEffort("fill", 1)]
  const gpu = { sharesPct: [100] as const, units: 10, preemptMs }
  return inputOf(models, [open(name("m"), [1000 / gapMs], { distribution: "uniform" }), endless("fill", 1)], {
    ...over, latency: fixed(models), gpu, costs: free, replans: false, durationMs: 40_000
  })
}

describe("batches that give way, simulated", () => {
  it("hold a latency-critical batch up by the rest of a step, and have all the time it leaves", () => {
    for (const gapMs of [5.3, 9.7, 19.1]) {
      const report = simulate(fixedInput(gapMs))
      const [critical, fill] = report.models
      assert.strictEqual(critical!.answered, critical!.offered)
      // A uniform part of a step, half of one on average. (Gaps in step with the batches would always meet the same part of one.)
      assert.closeTo(critical!.latency.meanMs, 4 + preemptMs / 2, 0.015, `every ${gapMs} ms`)
      assert.isAtMost(critical!.latency.maxMs, (4 + preemptMs) * 1.006)
      assert.isAbove(critical!.latency.maxMs, 4 + 0.95 * preemptMs)
      // While it holds others up it computes: nothing of the GPU's time is lost.
      assert.closeTo(fill!.answered / ((40_000 / 40) * (1 - 4 / gapMs)), 1, 0.01, `every ${gapMs} ms`)
      assert.closeTo(report.gpus.busyGpuSeconds / 40, 1, 2e-3)
    }
  })

  it("get a step in a hundred where there is never room", () => {
    // Requests come as fast as they can be served, so the glet claims the GPU without a break.
    const report = simulate(fixedInput(3.9))
    const fill = report.models[1]!
    // A batch is 80 steps of 0.5 ms, each after 50 ms of waiting.
    assert.closeTo(fill.answered, 40_000 / (80 * 101 * preemptMs), 1.5)
    assert.isAtMost(report.gpus.busyGpuSeconds, report.endMs / 1000 + 1e-3)
    assert.isAbove(report.gpus.busyGpuSeconds, 0.999 * report.endMs / 1000)
  })

  it("let those run beside them that leave them room", () => {
    // m has 40 % or less of the GPU, so that an overlay of 60 % never pauses, and m never waits for it.
    const models = [modelOf("m", { maxBatch: 1, sloMs: 1e6, expectedRateRps: 100 }), bestEffort("fill", 1)]
    const scene = (overlayPct: number) => simulate(inputOf(models, [open(name("m"), [100], { distribution: "uniform" }), endless("fill", 1)], {
      ...over, planOptions: { ...over.planOptions, overlayPct }, latency: fixed(models), gpu: { sharesPct: [40, 60], units: 10, preemptMs }, costs: free,
      replans: false, durationMs: 20_000
    }))
    const beside = scene(40)
    assert.closeTo(beside.models[0]!.latency.maxMs, 4, 0.03)
    assert.closeTo(beside.models[1]!.answered, 20_000 / 40, 1)
  })

  it("are of hardware that says how soon they do, or is told", () => {
    const point = { sharePct: 100, batch: 1, meanMs: 1, p50Ms: 1, p90Ms: 1, p99Ms: 1, count: 9 }
    const profile: Profile = {
      apiVersion: "glet/v1alpha1", kind: "Profile", gpuType: "g", isolation: "mps", units: 10, models: [{ model: name("m"), memoryBytes: 1, loadMs: 1, points: [point] }]
    }
    const described = Schema.decodeUnknownSync(HardwareDescription)({
      apiVersion: "glet/v1alpha1", kind: "Hardware", gpuType: "g", isolation: "mps", memoryBytes: 1e9, gletMemoryBytes: 0, openMs: 1, preemptMs: 0.2
    })
    const of = (hardware: Hardware) => hardware.gpus(2).map(({ preemptMs }) => preemptMs)
    assert.deepStrictEqual(of(profileHardware(profile)), [undefined, undefined])
    assert.deepStrictEqual(of(profileHardware(profile, described)), [0.2, 0.2])
    assert.deepStrictEqual(of(withPreemption(profileHardware(profile), 0.13)), [0.13, 0.13])
    const [off] = withPreemption(profileHardware(profile, described), undefined).gpus(1)
    assert.notProperty(off, "preemptMs")
  })

  const failures = fc.array(fc.record({
    atMs: fc.double({ min: 0, max: 600, noNaN: true }), gpu: fc.constant(0), glet: fc.integer({ min: 0, max: 3 }), forMs: fc.constantFrom(0, 300)
  }), { maxLength: 3 })
  const scene = fc.record({
    rates: fc.array(fc.double({ min: 1, max: 1200, noNaN: true }), { minLength: 1, maxLength: 2 }),
    gpuCount: fc.integer({ min: 1, max: 2 }),
    sloMs: fc.double({ min: 8, max: 200, noNaN: true }),
    overlayPct: fc.constantFrom(20, 50, 100),
    overheadMs: fc.constantFrom(0, 0.2, 3),
    preemptMs: fc.constantFrom(0.01, 0.13, 5),
    slowdown: fc.constantFrom(0, 0.3),
    fills: fc.integer({ min: 1, max: 2 }),
    replans: fc.boolean(),
    seed: fc.integer({ min: 0, max: 1000 }),
    failures
  })
  const sceneInput = (given: typeof scene extends fc.Arbitrary<infer A> ? A : never): SimulationInput => {
    const critical = given.rates.map((rate, i) => modelOf(`m${i}`, { sloMs: given.sloMs, expectedRateRps: rate, maxBatch: 16 }))
    const fills = Array.from({ length: given.fills }, (_, i) => bestEffort(`fill${i}`, 8))
    const models = [...critical, ...fills]
    return inputOf(models, [
      ...critical.map(({ name }, i) => open(name, [given.rates[i]!, 2 * given.rates[i]!], { distribution: "exp", seed: given.seed + i, periodMs: 300 })),
      ...fills.map(({ name }) => endless(name, 6))
    ], {
      latency: latencyFor(models, given.slowdown), gpuCount: given.gpuCount, gpu: { preemptMs: given.preemptMs }, failures: given.failures, seed: given.seed,
      planOptions: { ...over.planOptions, overlayPct: given.overlayPct }, dispatcher: over.dispatcher, replans: given.replans,
      costs: { overheadMs: given.overheadMs, openMs: 100, loadMs: () => 50, planningMs: 10 },
      durationMs: 600, window: { fromMs: 0, toMs: 1000 }
    })
  }

  it("every request ends once, batches of a glet never overlap, a GPU does no more than it can, whatever dies; the same input gives the same bytes", () => {
    fc.assert(fc.property(scene, (given) => {
      const report = simulate(sceneInput(given))
      for (const { answered, name, notAnswered, offered } of report.models) {
        assert.strictEqual(answered + Object.values(notAnswered).reduce((sum, count) => sum + count, 0), offered, name)
      }
      const ends = new Map<string, number>()
      for (const { endMs, glet, startMs } of report.timeline.batches.list) {
        assert.isAtLeast(startMs, (ends.get(glet) ?? 0) - 1e-9, glet)
        assert.isAbove(endMs, startMs)
        ends.set(glet, endMs)
      }
      for (const busy of report.timeline.busy.flat()) assert.isAtLeast(busy, 0)
      assert.isAtMost(report.gpus.gpuSeconds, (given.gpuCount * report.endMs) / 1000 + 1e-3)
      if (given.seed % 2 === 0) assert.strictEqual(JSON.stringify(simulate(sceneInput(given))), JSON.stringify(report))
    }), { numRuns: 10 })
  })
})
