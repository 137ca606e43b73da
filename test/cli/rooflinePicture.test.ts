/** The roofline: every batch is on it, with a name that can be read. */
import { assert, describe, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import { labelHeight, labelPlaces } from "../../src/cli/internal/labelPlaces.js"
import { rooflinePicture } from "../../src/cli/internal/rooflinePicture.js"
import { unsafeModelName } from "../../src/core/Ids.js"
import type { ModelProfile, TypeVector } from "../../src/core/Profile.js"

const type = (batch: number, flop: number, bytes: number, flopPerS: number, compute: number): TypeVector => ({
  batch, sharePct: 100, compute, memory: 1 - compute, other: 0, flop, bytes, flopPerS, bytesPerS: (flopPerS * bytes) / flop, computeDemand: compute, memoryDemand: 1 - compute
})
const profile = (model: string, types: ReadonlyArray<TypeVector>): ModelProfile => ({
  model: unsafeModelName(model), sha256: "0".repeat(64), memoryBytes: 1, loadMs: 1, maxBatch: 32, types,
  points: [{ sharePct: 100, batch: 1, meanMs: 1, p50Ms: 1, p90Ms: 1, p99Ms: 1, count: 10 }]
})
const roofline = { flopPerS: 50e12, bytesPerS: 4e12 }

describe("labelPlaces", () => {
  it("lays no name over another or over a point, as long as there is room", () => {
    FastCheck.assert(FastCheck.property(
      FastCheck.array(FastCheck.record({ x: FastCheck.integer({ min: 250, max: 450 }), y: FastCheck.integer({ min: 300, max: 330 }), width: FastCheck.integer({ min: 30, max: 90 }) }), { maxLength: 24 }),
      (points) => {
        const places = labelPlaces(points, 0, 700)
        places.forEach((a, i) => {
          assert.isTrue(a.x >= 0 && a.x + points[i]!.width <= 700)
          places.forEach((b, j) => {
            const apart = a.x >= b.x + points[j]!.width || b.x >= a.x + points[i]!.width || Math.abs(a.y - b.y) >= labelHeight
            if (i < j) assert.isTrue(apart, `${i} and ${j}`)
          })
        })
      }
    ))
  })
})

describe("rooflinePicture", () => {
  it("shows every batch with bytes and FLOPs, the limits with their units, in light and dark", () => {
    const profiles = [
      profile("resnet50", [type(1, 8e9, 1.5e8, 2e12, 0.4), type(32, 2.6e11, 2e9, 2e13, 0.9)]),
      profile("a<b>", [type(1, 1e6, 1e6, 1e11, 0), { ...type(8, 0, 1e6, 0, 0), bytesPerS: 1e12 }])
    ]
    const picture = rooflinePicture(profiles, roofline, "h200: what limits each model")
    assert.strictEqual(picture, rooflinePicture(profiles, roofline, "h200: what limits each model"))
    for (const text of [">resnet50 b1<", ">resnet50 b32<", "a&lt;b&gt; b1", "GFLOP/s", "4000 GB/s", "50000 GFLOP/s", "ridge 12.5", "FLOP per byte", "prefers-color-scheme:dark"]) assert.include(picture, text)
    assert.notInclude(picture, "b8<", "what computes nothing has no place there")
    assert.notMatch(picture, /NaN|Infinity|undefined/)
  })

  it("is a picture also without any", () => {
    assert.notMatch(rooflinePicture([], roofline, "x"), /NaN|Infinity|undefined/)
  })
})
