import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import type { Application, Load, SimulationInput } from "../../src/simulator/SimulationInput.js"
import { simulate } from "../../src/simulator/Simulation.js"
import type { SimulationReport, StreamReport } from "../../src/simulator/SimulationReport.js"
import { inputOf, latencyFor, modelOf, name, open } from "./scenes.js"

const lost = (stream: StreamReport): number => Object.values(stream.notAnswered).reduce((sum, count) => sum + count, 0)
const sum = (values: ReadonlyArray<number>): number => values.reduce((total, value) => total + value, 0)

/** Every request that counts ended exactly once. */
const assertConserved = (report: SimulationReport): void => {
  for (const stream of [...report.models, ...report.applications]) {
    assert.strictEqual(stream.answered + lost(stream), stream.offered, `${stream.name}: ${JSON.stringify(stream)}`)
    assert.strictEqual(stream.latency.count, stream.answered)
    assert.isAtLeast(stream.sloKept, 0)
    assert.isAtMost(stream.sloKept, 1)
  }
}

const scene = fc.record({
  rates: fc.array(fc.double({ min: 1, max: 1500, noNaN: true }), { minLength: 1, maxLength: 3 }),
  sloMs: fc.double({ min: 4, max: 300, noNaN: true }),
  distribution: fc.constantFrom("uniform" as const, "exp" as const, "gamma" as const),
  gpuCount: fc.integer({ min: 1, max: 3 }),
  seed: fc.integer({ min: 0, max: 1000 }),
  bestEffort: fc.boolean(),
  slowdown: fc.constantFrom(0, 0.3),
  failures: fc.array(fc.record({
    atMs: fc.double({ min: 0, max: 2000, noNaN: true }),
    gpu: fc.constant(0),
    glet: fc.option(fc.integer({ min: 0, max: 2 }), { nil: undefined }),
    forMs: fc.constantFrom(0, 500, 1e6)
  }).map(({ glet, ...rest }) => (glet === undefined ? rest : { ...rest, glet })), { maxLength: 3 })
})

const sceneInput = (given: typeof scene extends fc.Arbitrary<infer A> ? A : never): SimulationInput => {
  const models = given.rates.map((rate, i) => modelOf(`m${i}`, { sloMs: given.sloMs, expectedRateRps: rate, maxBatch: 16 }))
  const idle = { ...modelOf("idle", { expectedRateRps: 0, maxBatch: 8 }), serviceClass: "best-effort" as const, sloMs: undefined }
  const { sloMs: _, ...batch } = idle
  const all = given.bestEffort ? [...models, batch] : models
  const loads: Array<Load> = given.rates.map((rate, i) =>
    open(name(`m${i}`), [rate, 2 * rate], { distribution: given.distribution, cv: 3, seed: given.seed + i, periodMs: 1000 }))
  if (given.bestEffort) loads.push({ target: name("idle"), kind: "closed", clients: 4, thinkMs: 0 })
  return inputOf(all, loads, {
    latency: latencyFor(all, given.slowdown), gpuCount: given.gpuCount, failures: given.failures, seed: given.seed, durationMs: 2500, warmUpMs: 500,
    window: { fromMs: 0, toMs: 2500 }
  })
}

describe("Simulation", () => {
  it("every request ends exactly once, whatever fails; batches of a glet never overlap; nothing runs before its time; the same input gives the same bytes", () => {
    fc.assert(fc.property(scene, (given) => {
      const report = simulate(sceneInput(given))
      if (given.seed % 3 === 0) assert.strictEqual(JSON.stringify(simulate(sceneInput(given))), JSON.stringify(report))
      assertConserved(report)
      const ends = new Map<string, number>()
      for (const { endMs, glet, items, startMs } of report.timeline.batches.list) {
        assert.isAtLeast(startMs, (ends.get(glet) ?? 0) - 1e-9, glet)
        assert.isAbove(endMs, startMs)
        assert.isAtMost(items, 16)
        ends.set(glet, endMs)
      }
      for (const [model, counts] of report.timeline.offered.entries()) {
        const ended = sum(report.timeline.good[model]!) + sum(report.timeline.bad[model]!)
        // What still ran when time was up is only told by its model's count.
        const unfinished = report.models[model]!.notAnswered["unfinished"] ?? 0
        assert.isAtMost(ended, sum(counts))
        assert.isAtLeast(ended, sum(counts) - unfinished)
      }
      // What GPUs did fits into the time they had.
      assert.isAtMost(report.gpus.busyGpuSeconds, report.gpus.gpuSeconds + 1e-3)
      assert.isAtMost(report.gpus.gpuSeconds, (given.gpuCount * report.endMs) / 1000 + 1e-3)
    }), { numRuns: 25 })
  })

  it("another seed gives other bytes", () => {
    const bytes = (input: SimulationInput) => JSON.stringify({ ...simulate(input), seed: 0 })
    const busy = (seed: number) => inputOf([modelOf("m")], [open(name("m"), [100], { distribution: "uniform" })], { seed })
    assert.notStrictEqual(bytes(busy(1)), bytes(busy(2)))
  })

  it("waits as an M/D/1 queue where batches are single and executions all alike (Pollaczek and Khinchine)", () => {
    const serviceMs = 2.5
    for (const load of [0.3, 0.5, 0.7]) {
      const rate = (1000 * load) / serviceMs
      const model = modelOf("m", { maxBatch: 1, sloMs: 1e6, expectedRateRps: rate })
      const exact = { ...latencyFor([model]), latencyMs: () => serviceMs, typicalMs: () => serviceMs }
      const report = simulate(inputOf([model], [open(model.name, [rate], { seed: 1 })], {
        latency: exact, depth: 1, replans: false, durationMs: 400_000, warmUpMs: 10_000,
        gpu: { sharesPct: [100], units: 1 }, costs: { overheadMs: 0, openMs: 0, loadMs: () => 0, planningMs: 0 }
      }))
      const waitMs = (load * serviceMs) / (2 * (1 - load))
      const [stream] = report.models
      assert.closeTo(stream!.latency.meanMs / (serviceMs + waitMs), 1, 0.03, `load ${load}`)
      assert.closeTo(report.gpus.busyGpuSeconds / report.gpus.gpuSeconds, load, 0.01)
    }
  })

  it("a batch that comes to an idle glet takes the time of its copies longer, one that waited for another does not", () => {
    const [serviceMs, overlapMs] = [4, 1]
    for (const preemptMs of [undefined, 0.2]) {
      const at = (rate: number) => {
        const model = modelOf("m", { maxBatch: 1, sloMs: 1e6, expectedRateRps: 250 })
        const exact = { ...latencyFor([model]), latencyMs: () => serviceMs, typicalMs: () => serviceMs, overlapMs: () => overlapMs }
        const report = simulate(inputOf([model], [open(model.name, [rate], { distribution: "uniform", seed: 1 })], {
          latency: exact, distribution: () => ({ lowestMs: serviceMs, p50Ms: serviceMs, p90Ms: serviceMs, p99Ms: serviceMs }),
          replans: false, durationMs: 10_000, gpu: { sharesPct: [100], units: 1, ...(preemptMs === undefined ? {} : { preemptMs }) }, costs: { overheadMs: 0, openMs: 0, loadMs: () => 0, planningMs: 0 }
        }))
        return (1000 * report.gpus.busyGpuSeconds) / report.models[0]!.offered
      }
      assert.approximately(at(50), serviceMs + overlapMs, 0.01)
      // Twice as many as there is time for: all but the first follow another.
      assert.approximately(at(500), serviceMs, 0.01)
    }
  })

  it("keeps SLOs with room to spare, and at twice the capacity answers about as much as the GPU can", () => {
    const at = (rate: number) => {
      const model = modelOf("m", { expectedRateRps: rate, sloMs: 60 })
      const gpu = { sharesPct: [100], units: 1 } as const
      return simulate(inputOf([model], [open(model.name, [rate])], { replans: false, durationMs: 20_000, warmUpMs: 2_000, gpu }))
    }
    assert.isAbove(at(400).total.sloKept, 0.999)
    // Batches of 16 take 0.8 x 10 ms on average: 2,000 items/s.
    const over = at(4000)
    assert.isAbove(over.total.goodputRps, 1700)
    assert.isBelow(over.total.goodputRps, 2100)
    assertConserved(over)
  })

  it("plans again when the load moves, opens beside the old, and pays for it in time", () => {
    const model = modelOf("m", { expectedRateRps: 100, sloMs: 60 })
    const report = simulate(inputOf([model], [open(model.name, [100, 3000], { periodMs: 10_000, seed: 5 })], { gpuCount: 4, durationMs: 20_000 }))
    assertConserved(report)
    assert.isAtLeast(report.planChanges, 2)
    const second = report.plans[1]!
    assert.isAtLeast(second.atMs, 10_000 + 100 + 50)
    assert.isBelow(second.atMs, 12_000)
    assert.match(second.reason, /SLO at risk|rate up/)
    assert.strictEqual(report.incidents.length, 0)
  })

  it("a dead glet comes back; what nothing could answer in time says so", () => {
    const model = modelOf("m", { expectedRateRps: 300 })
    const failures = [{ atMs: 2000, gpu: 0, forMs: 0 }, { atMs: 3000, gpu: 0, forMs: 1e9 }]
    const report = simulate(inputOf([model], [open(model.name, [300])], { failures, replans: false }))
    assertConserved(report)
    const [stream] = report.models
    // Down for about 0.2 s, then from 3 s to the end.
    assert.isAbove(stream!.notAnswered["glet-exited"]!, 500)
    assert.isBelow(stream!.notAnswered["glet-exited"]!, 800)
    assert.isAbove(stream!.answered, 700)
    assert.deepStrictEqual(report.incidents.map(({ kind }) => kind), ["failure", "failure"])
    // A request of a batch that died is tried again where its deadline allows.
    const twoGpus = simulate(inputOf([model], [open(model.name, [300])], { gpuCount: 2, failures: [{ atMs: 2000, gpu: 0, forMs: 1e9 }], replans: false }))
    assertConserved(twoGpus)
    assert.isAbove(twoGpus.total.sloKept, 0.99)
  })

  it("an application's steps wait for each other, join, and are counted from end to end", () => {
    const models = ["a", "b", "c", "d"].map((id) => modelOf(id, { expectedRateRps: 50, maxBatch: 1, sloMs: 100 }))
    const diamond: Application = {
      name: "diamond", sloMs: 100,
      steps: [
        { model: name("a"), after: [] }, { model: name("b"), after: [0] }, { model: name("c"), after: [0] }, { model: name("d"), after: [1, 2] }
      ]
    }
    const report = simulate(inputOf(models, [open(diamond, [50], { distribution: "uniform" })], { gpuCount: 4, replans: false, costs: { overheadMs: 0, openMs: 0, loadMs: () => 0, planningMs: 0 } }))
    assertConserved(report)
    const [whole] = report.applications
    assert.isAbove(whole!.sloKept, 0.99)
    // b and c run side by side on glets of their own, so three executions follow each other.
    const steps = new Map(report.models.map((model) => [model.name, model.latency]))
    const chain = steps.get("a")!.p50Ms + Math.max(steps.get("b")!.p50Ms, steps.get("c")!.p50Ms) + steps.get("d")!.p50Ms
    assert.closeTo(whole!.latency.p50Ms / chain, 1, 0.1)
    for (const model of report.models) assert.strictEqual(model.offered, whole!.offered)
    // With too little time the whole fails once, however many steps do.
    const late = simulate(inputOf(models, [open({ ...diamond, sloMs: 6 }, [50])], { gpuCount: 4, replans: false }))
    assertConserved(late)
    assert.isBelow(late.applications[0]!.sloKept, 0.5)
  })

  it("a closed loop asks again when it is answered, and best-effort work does not cost the SLO", () => {
    const critical = modelOf("m", { expectedRateRps: 200, sloMs: 50 })
    const { sloMs: _, ...rest } = modelOf("idle", { expectedRateRps: 0, maxBatch: 4 })
    const idle = { ...rest, serviceClass: "best-effort" as const }
    const report = simulate(inputOf([critical, idle], [open(critical.name, [200]), { target: idle.name, kind: "closed", clients: 8, thinkMs: 1 }]))
    assertConserved(report)
    assert.isAbove(report.models[0]!.sloKept, 0.99)
    assert.isAbove(report.models[1]!.answered, 500)
  })

  it("requests of the warm-up are served and not counted", () => {
    const model = modelOf("m")
    const loads = () => [open(model.name, [100], { distribution: "uniform" })]
    const all = simulate(inputOf([model], loads(), { replans: false }))
    const counted = simulate(inputOf([model], loads(), { replans: false, warmUpMs: 2500 }))
    assert.strictEqual(all.requests, counted.requests)
    assert.closeTo(counted.models[0]!.offered, all.models[0]!.offered / 2, 1)
    assert.closeTo(counted.models[0]!.offeredRps, 100, 1)
  })
})
