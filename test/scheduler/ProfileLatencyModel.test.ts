import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { unsafeModelName } from "../../src/core/Ids.js"
import type { ModelProfile, ProfilePoint, WorkloadType } from "../../src/core/Profile.js"
import * as ProfileLatencyModel from "../../src/scheduler/ProfileLatencyModel.js"

const model = unsafeModelName("m")
const point = (sharePct: number, batch: number, p99Ms: number, p50Ms = p99Ms * 0.9, count = 100): ProfilePoint =>
  ({ sharePct, batch, meanMs: p50Ms, p50Ms, p90Ms: p99Ms, p99Ms, count })

const profileOf = (points: ReadonlyArray<ProfilePoint>, workloadType?: WorkloadType, name = model): ModelProfile => ({
  model: name, memoryBytes: 5e6, loadMs: 1, ...(workloadType === undefined ? {} : { workloadType }),
  points: points as [ProfilePoint, ...Array<ProfilePoint>]
})
const modelOf = (points: ReadonlyArray<ProfilePoint>) =>
  ProfileLatencyModel.make(new Map([["cpu", new Map([[model, profileOf(points)]])]]))
const at = (sharePct: number, batch: number) => ({ gpuType: "cpu", model, sharePct, batch })

describe("ProfileLatencyModel", () => {
  const clean = modelOf([point(25, 1, 9), point(25, 8, 37), point(50, 1, 5), point(50, 8, 19), point(100, 1, 3), point(100, 8, 10)])

  it("answers what was measured, untouched where it is monotone", () => {
    assert.strictEqual(clean.latencyMs(at(50, 8)), 19)
    assert.strictEqual(clean.latencyMs(at(25, 1)), 9)
    assert.approximately(clean.typicalMs(at(100, 8)), 9, 1e-12)
  })

  it("goes straight between batches, and between shares by 1/share", () => {
    assert.approximately(clean.latencyMs(at(50, 4)), 5 + (14 * 3) / 7, 1e-12)
    // a + b/s through (25, 9) and (50, 5): a = 1, b = 200.
    assert.approximately(clean.latencyMs(at(40, 1)), 1 + 200 / 40, 1e-12)
  })

  it("knows nothing beyond the measured batches and below the measured shares", () => {
    assert.strictEqual(clean.latencyMs(at(50, 9)), Infinity)
    assert.strictEqual(clean.latencyMs(at(24, 1)), Infinity)
    assert.strictEqual(clean.latencyMs(at(50, 0)), Infinity)
    assert.strictEqual(clean.latencyMs({ ...at(50, 1), model: unsafeModelName("other") }), Infinity)
    assert.strictEqual(clean.latencyMs({ ...at(50, 1), gpuType: "other" }), Infinity)
    assert.strictEqual(clean.memoryBytes("other", model), Infinity)
  })

  it("runs on more share than was measured as on the most that was", () => {
    assert.strictEqual(modelOf([point(50, 1, 4)]).latencyMs(at(100, 1)), 4)
  })

  it("takes a batch that only a smaller share was measured with as an upper bound", () => {
    const ragged = modelOf([point(50, 1, 4), point(50, 8, 20), point(100, 1, 2)])
    assert.strictEqual(ragged.latencyMs(at(100, 8)), 20)
  })

  it("levels a bump by how often it was measured", () => {
    const bumpy = modelOf([point(100, 1, 2), point(100, 2, 8, 8, 10), point(100, 4, 5, 5, 90), point(100, 8, 9)])
    assert.approximately(bumpy.latencyMs(at(100, 2)), 5.3, 1e-12)
    assert.approximately(bumpy.latencyMs(at(100, 4)), 5.3, 1e-12)
    assert.strictEqual(bumpy.latencyMs(at(100, 8)), 9)
  })

  it("counts batches as they take where they follow each other, by what the share showed that it was measured on", () => {
    const copying = (followed: ReadonlyArray<number | undefined>) =>
      modelOf([point(50, 1, 10, 9), point(50, 8, 40, 36), ...([[1, 6], [8, 20]] as const).map(([batch, ms], i) => {
        const followedMs = followed[i]
        return followedMs === undefined ? point(100, batch, ms) : { ...point(100, batch, ms), followedMs }
      })])
    const found = copying([4.9, 15])
    // 5.4 alone at the median, 4.9 between others; 18 and 15.
    assert.approximately(found.latencyMs(at(100, 1)), 5.5, 1e-9)
    assert.approximately(found.typicalMs(at(100, 8)), 15, 1e-9)
    assert.approximately(found.latencyMs(at(50, 8)), 37, 1e-9)
    assert.approximately(found.typicalMs(at(50, 1)), 8.5, 1e-9)
    assert.deepStrictEqual([1, 8, 100].map((batch) => Math.round(found.overlapMs!("cpu", model, batch) * 1e6) / 1e6), [0.5, 3, 3])
    assert.approximately(found.overlapMs!("cpu", model, 4.5), 1.75, 1e-9)
    // Nothing measured, and what cannot be.
    assert.strictEqual(copying([undefined, undefined]).latencyMs(at(100, 8)), 20)
    assert.strictEqual(copying([undefined, undefined]).overlapMs!("cpu", model, 8), 0)
    assert.strictEqual(copying([5.4, 30]).latencyMs(at(100, 8)), 20)
    assert.approximately(copying([5.4, 1]).latencyMs(at(100, 8)), 11, 1e-9)
  })

  const noisy = fc.array(
    fc.record({
      sharePct: fc.constantFrom(10, 25, 50, 75, 100),
      batch: fc.constantFrom(1, 2, 4, 8, 16, 32),
      p99: fc.double({ min: 0.01, max: 1000, noNaN: true }),
      ratio: fc.double({ min: 0.1, max: 1.2, noNaN: true }),
      count: fc.integer({ min: 1, max: 1000 })
    }),
    { minLength: 1, maxLength: 30 }
  ).map((rows) => [...new Map(rows.map((row) => [`${row.sharePct} ${row.batch}`, point(row.sharePct, row.batch, row.p99, row.p99 * row.ratio, row.count)])).values()])

  it("never falls with the batch, never rises with the share, whatever was measured", () => {
    fc.assert(fc.property(noisy, (points) => {
      const latency = modelOf(points)
      const grow = (before: number, after: number) => assert.isTrue(before <= after * (1 + 1e-9) || after === Infinity, `${before} > ${after}`)
      for (let share = 5; share <= 100; share += 5) {
        for (let batch = 1; batch <= 33; batch++) {
          const here = latency.latencyMs(at(share, batch))
          assert.isTrue(here > 0)
          grow(here, latency.latencyMs(at(share, batch + 1)))
          grow(latency.typicalMs(at(share, batch)), here)
          if (share < 100) grow(latency.latencyMs(at(share + 5, batch)), here)
        }
      }
    }))
  })

  it("tells the latencies of all batches together as one by one", () => {
    fc.assert(fc.property(noisy, fc.integer({ min: 1, max: 100 }), fc.integer({ min: 0, max: 40 }), (points, share, upTo) => {
      const latency = modelOf(points)
      const together = latency.latenciesMs!("cpu", model, share, upTo)
      assert.deepStrictEqual([...together].slice(1), Array.from({ length: upTo }, (_, i) => latency.latencyMs(at(share, i + 1))))
    }))
  })

  it("stays within what was measured", () => {
    fc.assert(fc.property(noisy, (points) => {
      const latency = modelOf(points)
      const all = points.map((one) => one.p99Ms)
      for (const { batch, sharePct } of points) {
        const here = latency.latencyMs(at(sharePct, batch))
        assert.isTrue(here >= Math.min(...all) * (1 - 1e-9) && here <= Math.max(...all) * (1 + 1e-9))
      }
    }))
  })
})

describe("interference", () => {
  const names = { memory: unsafeModelName("memory"), compute: unsafeModelName("compute"), untyped: unsafeModelName("untyped") }
  const make = (interference?: ProfileLatencyModel.InterferenceOptions) =>
    ProfileLatencyModel.make(
      new Map([["gpu", new Map([
        [names.memory, profileOf([point(50, 1, 1)], { compute: 0, memory: 1, other: 0 }, names.memory)],
        [names.compute, profileOf([point(50, 1, 1)], { compute: 1, memory: 0, other: 0 }, names.compute)],
        [names.untyped, profileOf([point(50, 1, 1)], undefined, names.untyped)]
      ])]]),
      interference === undefined ? {} : { interference: new Map([["gpu", interference]]) }
    )
  const run = (name: keyof typeof names, sharePct = 50) => ({ gpuType: "gpu", model: names[name], sharePct, batch: 1 })
  const some = { memory: 0.4, compute: 0.1, presence: 0 }

  it("is none by default and none alone", () => {
    assert.strictEqual(make().slowdown(run("memory"), [[run("memory")]]), 1)
    assert.strictEqual(make(some).slowdown(run("memory"), []), 1)
  })

  it("is greatest between equals and none between opposites", () => {
    assert.approximately(make(some).slowdown(run("memory"), [[run("memory")]]), 1.2, 1e-12)
    assert.approximately(make(some).slowdown(run("compute"), [[run("compute")]]), 1.05, 1e-12)
    assert.strictEqual(make(some).slowdown(run("memory"), [[run("compute")]]), 1)
  })

  it("takes the worst of a neighbour's works, of which one runs at a time, and all neighbours together", () => {
    assert.approximately(make(some).slowdown(run("memory"), [[run("memory", 20), run("compute", 20)], [run("memory", 30)]]), 1.2, 1e-12)
  })

  it("is the mere presence of neighbours where a type is not known", () => {
    for (const [one, other] of [["untyped", "memory"], ["memory", "untyped"]] as const) {
      assert.strictEqual(make(some).slowdown(run(one), [[run(other)]]), 1)
      assert.approximately(make({ ...some, presence: 0.5 }).slowdown(run(one), [[run(other)]]), 1.25, 1e-12)
    }
  })

  it("is the presence of neighbours where glets run at once and none was measured beside another", () => {
    const profiles = new Map([["gpu", new Map([[names.untyped, profileOf([point(50, 1, 1)], undefined, names.untyped)]])]])
    for (const isolation of ["mps", "green", "stream", "threads", "duty", "emulated"] as const) {
      const latency = ProfileLatencyModel.makeFor(profiles, [{ type: "gpu", isolation }])
      const expected = 1 + (ProfileLatencyModel.unmeasuredPresence.get(isolation) ?? 0) * (0.5 + 0.2)
      assert.strictEqual(expected > 1, ["mps", "green", "stream"].includes(isolation))
      assert.approximately(latency.slowdown(run("untyped", 30), [[run("untyped", 50), run("untyped", 20)], [run("untyped", 20)]]), expected, 1e-12, isolation)
      // What planners tabulate is the same sum.
      const { by } = latency.interference!.sensitivity(run("untyped", 30))
      const pressures = [run("untyped", 50), run("untyped", 20)].map((neighbour) => latency.interference!.pressure(neighbour))
      assert.approximately(1 + pressures.reduce((sum, pressure) => sum + pressure.reduce((total, value, i) => total + value * by[i]!, 0), 0), expected, 1e-12, isolation)
    }
  })

  it("is what co-runs say where there are any, whatever is assumed without", () => {
    const coRuns: NonNullable<ModelProfile["coRuns"]> = [{ batch: 1, sharePct: 50, neighbours: [{ model: names.untyped, batch: 1, sharePct: 50 }], slowdown: 1.1, count: 100 }]
    const measured: ModelProfile = { ...profileOf([point(50, 1, 1)], undefined, names.untyped), coRuns }
    const latency = ProfileLatencyModel.makeFor(new Map([["gpu", new Map([[names.untyped, measured]])]]), [{ type: "gpu", isolation: "green" }])
    // Medians are nine tenths of what this profile's 99th percentiles are, and only they are slowed down.
    assert.approximately(latency.slowdown(run("untyped"), [[run("untyped")]]), 1 + 0.9 * 0.1 + ProfileLatencyModel.crowding, 0.01)
    assert.strictEqual(latency.interference!.sensitivity(run("untyped")).base, ProfileLatencyModel.crowding)
  })

  it("slows down what the GPU does, not the pauses of the host that are the tail of a short execution", () => {
    const coRuns: NonNullable<ModelProfile["coRuns"]> = [{ batch: 1, sharePct: 50, neighbours: [{ model: names.untyped, batch: 1, sharePct: 50 }], slowdown: 2, count: 100 }]
    const longMs = (p50Ms: number, p99Ms: number): number => {
      const latency = ProfileLatencyModel.makeFor(new Map([["gpu", new Map([[names.untyped, { ...profileOf([point(50, 1, p99Ms, p50Ms)], undefined, names.untyped), coRuns }]])]]), [{ type: "gpu", isolation: "green" }])
      return p99Ms * (latency.slowdown(run("untyped"), [[run("untyped")]]) - ProfileLatencyModel.crowding)
    }
    assert.approximately(longMs(1, 1), 2, 0.01)
    assert.approximately(longMs(0.1, 0.3), 0.4, 0.01)
  })
})
