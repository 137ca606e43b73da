import { afterAll, assert, beforeAll, beforeEach, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/TestClock"
import { GpuInventory } from "../../src/core/Gpu.js"
import * as CudaInventory from "../../src/node-cuda/CudaInventory.js"
import type { FakeNvidia } from "./support/fakeNvidia.js"
import { fakeNvidia, h200, h200Line, h200Probe } from "./support/fakeNvidia.js"

let host: FakeNvidia
beforeAll(async () => {
  host = await fakeNvidia()
})
afterAll(() => host.close())
beforeEach(() => {
  host.setGpus([h200Line])
  host.setProbe(h200Probe)
  host.set("smi-broken")
  delete process.env["CUDA_VISIBLE_DEVICES"]
})

const describeGpus = (options: CudaInventory.CudaInventoryOptions = {}) => CudaInventory.describeGpus({ runnerPath: host.runnerPath, ...options })
const refusal = (options: CudaInventory.CudaInventoryOptions = {}) => Effect.flip(describeGpus(options))

describe("CudaInventory", () => {
  it.live("describes an H200 under each isolation", () =>
    Effect.gen(function*() {
      const [auto] = yield* describeGpus()
      assert.strictEqual(auto!.gpu.isolation, "mps")
      const [green] = yield* describeGpus({ isolation: "green" })
      assert.strictEqual(green!.gpu.isolation, "green")
      assert.strictEqual(green!.gpu.sharesPct.length, 16)
      const mps = auto
      assert.deepStrictEqual(mps!.gpu, {
        id: green!.gpu.id, type: "h200", isolation: "mps", preemptMs: 0.15, units: 132, memoryBytes: 143_000 * 2 ** 20, sharesPct: [10, 20, 30, 40, 50, 60, 70, 80, 90, 100]
      })
      const [stream] = yield* describeGpus({ isolation: "stream" })
      assert.deepStrictEqual(stream!.gpu.sharesPct, [100])
    }))

  it.live("takes green contexts where no MPS daemon starts, and says so", () =>
    Effect.gen(function*() {
      host.set("mps-broken", "no permission to start")
      const [gpu] = yield* describeGpus()
      assert.strictEqual(gpu!.gpu.isolation, "green")
      assert.match(gpu!.why, /did not start.*no permission to start.*16 groups/)
    }).pipe(Effect.ensuring(Effect.sync(() => host.set("mps-broken")))))

  it.live("takes MIG instances for GPUs of their own type, and not the GPU that they cut", () =>
    Effect.gen(function*() {
      host.setGpus([h200Line.replace("Disabled", "Enabled").replace(", 25,", ", [N/A],"), h200Line.replace("0, GPU-1", "1, GPU-2")], `GPU 0: NVIDIA H200 (UUID: ${h200})
  MIG 1g.18gb     Device  0: (UUID: MIG-0001)
  MIG 1g.18gb     Device  1: (UUID: MIG-0002)
GPU 1: NVIDIA H200 (UUID: ${h200.replace("GPU-1", "GPU-2")})
`)
      host.setProbe({ ...h200Probe, units: 16, memoryBytes: 18 * 10 ** 9, smGroups: 2 }, "MIG-0001")
      host.setProbe({ ...h200Probe, units: 16, memoryBytes: 18 * 10 ** 9, smGroups: 0 }, "MIG-0002")
      const gpus = yield* describeGpus()
      assert.deepStrictEqual(gpus.map(({ gpu }) => [gpu.id, gpu.type, gpu.units, gpu.isolation]), [
        [h200.replace("GPU-1", "GPU-2"), "h200", 132, "mps"],
        ["MIG-0001", "h200-mig-1g.18gb", 16, "mps"],
        ["MIG-0002", "h200-mig-1g.18gb", 16, "mps"]
      ] as never)
    }))

  it.live("uses the GPUs that CUDA_VISIBLE_DEVICES or an option names, by index or UUID", () =>
    Effect.gen(function*() {
      const second = h200.replace("GPU-1", "GPU-2")
      host.setGpus([h200Line, h200Line.replace("0, GPU-1", "1, GPU-2")])
      const ids = (options: CudaInventory.CudaInventoryOptions = {}) => Effect.map(describeGpus(options), (gpus) => gpus.map(({ gpu }) => String(gpu.id)))
      assert.deepStrictEqual(yield* ids(), [h200, second])
      process.env["CUDA_VISIBLE_DEVICES"] = "1"
      assert.deepStrictEqual(yield* ids(), [second])
      process.env["CUDA_VISIBLE_DEVICES"] = `${second},nonsense,${h200}`
      assert.deepStrictEqual(yield* ids(), [second])
      process.env["CUDA_VISIBLE_DEVICES"] = ""
      assert.match((yield* refusal()).message, /CUDA_VISIBLE_DEVICES is empty, which hides all of its 2 devices/)
      assert.deepStrictEqual(yield* ids({ devices: ["GPU-1111"] }), [h200])
      assert.match((yield* refusal({ devices: ["7"] })).message, /none of its 2 devices is 7/)
    }))

  it.live("says what is in the way", () =>
    Effect.gen(function*() {
      host.set("smi-broken", "Failed to initialize NVML: Driver/library version mismatch")
      const broken = yield* refusal()
      assert.strictEqual(broken.reason, "nvidia-smi-failed")
      assert.include(broken.message, "version mismatch")
      host.set("smi-broken", "No devices were found")
      assert.strictEqual((yield* refusal()).reason, "no-gpu")
      host.set("smi-broken")
      host.setProbe({ ok: false, detail: "cuInit failed with CUDA_ERROR_SYSTEM_NOT_READY (802)" })
      const probe = yield* refusal()
      assert.strictEqual(probe.reason, "probe-failed")
      assert.include(probe.message, "CUDA_ERROR_SYSTEM_NOT_READY")
      host.setProbe({ ...h200Probe, smGroups: 0 })
      assert.strictEqual((yield* refusal({ isolation: "green" })).reason, "isolation-unsupported")
      host.setGpus([h200Line.replace("Default", "Prohibited")])
      assert.match((yield* refusal()).message, /Prohibited/)
      host.setGpus([])
      assert.strictEqual((yield* refusal()).reason, "no-gpu")
      const PATH = process.env["PATH"]
      process.env["PATH"] = "/nowhere"
      const none = yield* Effect.ensuring(refusal(), Effect.sync(() => process.env["PATH"] = PATH))
      assert.strictEqual(none.reason, "no-driver")
    }))

  it.effect("reads telemetry, and none where nvidia-smi fails", () =>
    Effect.gen(function*() {
      const { gpus, telemetry } = yield* GpuInventory
      assert.strictEqual(gpus.length, 1)
      const expected = [{ gpu: h200, utilizationRatio: 0.25, memoryUsedBytes: 771 * 2 ** 20, memoryTotalBytes: 143771 * 2 ** 20, powerWatts: 120.5 }]
      assert.deepStrictEqual(yield* telemetry, expected as never)
      host.set("smi-broken", "gone")
      assert.deepStrictEqual(yield* telemetry, expected as never, "within a second it is not read again")
      yield* TestClock.adjust("1001 millis")
      assert.deepStrictEqual(yield* telemetry, [])
    }).pipe(Effect.provide(CudaInventory.layer({ runnerPath: host.runnerPath, isolation: "green" }))))
})
