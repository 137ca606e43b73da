import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as fc from "fast-check"
import { Gpu, GpuInventory, unitsOfShare } from "../../src/core/Gpu.js"
import * as CpuInventory from "../../src/node-cuda/CpuInventory.js"

describe("CpuInventory", () => {
  it("offers shares of whole cores", () => {
    assert.deepStrictEqual(CpuInventory.cpuGpu({ cores: 1 }).sharesPct, [100])
    assert.deepStrictEqual(CpuInventory.cpuGpu({ cores: 2 }).sharesPct, [50, 100])
    assert.deepStrictEqual(CpuInventory.cpuGpu({ cores: 3 }).sharesPct, [33, 67, 100])
    fc.assert(fc.property(fc.integer({ min: 1, max: 512 }), (cores) => {
      const gpu = Schema.validateSync(Gpu)(CpuInventory.cpuGpu({ cores }))
      assert.isTrue(gpu.sharesPct.every((share, i) => i === 0 || share > gpu.sharesPct[i - 1]!))
      assert.strictEqual(gpu.sharesPct.at(-1), 100)
      if (cores <= 100) assert.deepStrictEqual(gpu.sharesPct.map((share) => unitsOfShare(gpu, share)), Array.from({ length: cores }, (_, i) => i + 1))
    }))
  })

  it.effect("lists this machine's CPU and reads it", () =>
    Effect.gen(function*() {
      const { gpus, telemetry } = yield* GpuInventory
      assert.strictEqual(gpus.length, 1)
      assert.strictEqual(gpus[0]!.isolation, "threads")
      const [reading] = yield* telemetry
      assert.strictEqual(reading!.gpu, gpus[0]!.id)
      assert.isTrue(reading!.utilizationRatio >= 0 && reading!.utilizationRatio <= 1)
      assert.isTrue(reading!.memoryUsedBytes > 0 && reading!.memoryUsedBytes <= reading!.memoryTotalBytes)
    }).pipe(Effect.provide(CpuInventory.layer())))
})
