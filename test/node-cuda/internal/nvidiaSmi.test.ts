import { assert, describe, it } from "@effect/vitest"
import * as Either from "effect/Either"
import { gpuTypeOf, parseGpus, parseMigs } from "../../../src/node-cuda/internal/nvidiaSmi.js"
import { h200, h200Line } from "../support/fakeNvidia.js"

const right = <A, E>(either: Either.Either<A, E>): A => {
  assert(Either.isRight(either), JSON.stringify(either))
  return either.right
}
const message = (csv: string): string => {
  const parsed = parseGpus(csv)
  assert(Either.isLeft(parsed), "it was parsed")
  assert.strictEqual(parsed.left.reason, "unreadable")
  return parsed.left.message
}

describe("nvidia-smi", () => {
  it("reads GPUs, and what is not measured as absent", () => {
    const gpus = right(parseGpus(`${h200Line}\n1, GPU-aaaaaaaa-2222, Tesla T4, 535.1, 15360, [N/A], [N/A], [Not Supported], Exclusive_Process, [N/A]\n`))
    assert.deepStrictEqual(gpus, [
      {
        index: 0, uuid: h200, name: "NVIDIA H200", driver: "580.159.04", memoryTotalBytes: 143771 * 2 ** 20, memoryUsedBytes: 771 * 2 ** 20,
        utilizationRatio: 0.25, powerWatts: 120.5, computeMode: "Default", mig: false
      },
      {
        index: 1, uuid: "GPU-aaaaaaaa-2222", name: "Tesla T4", driver: "535.1", memoryTotalBytes: 15360 * 2 ** 20, memoryUsedBytes: 0,
        utilizationRatio: undefined, powerWatts: undefined, computeMode: "Exclusive_Process", mig: false
      }
    ])
    assert.deepStrictEqual(right(parseGpus("\n")), [])
  })

  it("names line and field of what it does not understand", () => {
    assert.match(message("0, GPU-1\n"), /line 1 has 2 of 10 values/)
    assert.match(message(`${h200Line}\n${h200Line.replace("143771", "lots")}`), /line 2, memory.total: "lots"/)
    assert.match(message(h200Line.replace("143771", "")), /memory.total: ""/)
    assert.match(message(h200Line.replace("143771", "-5")), /memory.total: "-5"/)
    assert.match(message(h200Line.replace(h200, "0000:01")), /uuid: "0000:01"/)
    assert.match(message(h200Line.replace("Default", "Turbo")), /compute_mode: "Turbo"/)
    assert.match(message(h200Line.replace(", 25,", ", 25 %,")), /utilization.gpu: "25 %"/)
    assert.match(message(`${h200Line}\n`.repeat(300)), /300 GPUs/)
  })

  it("lists MIG instances with the GPU they are part of", () => {
    const list = `GPU 0: NVIDIA H200 (UUID: ${h200})
  MIG 3g.71gb     Device  0: (UUID: MIG-6b9aaeff-0b2d-5a4f-9e7a-000000000001)
  MIG 1g.18gb+me  Device  1: (UUID: MIG-6b9aaeff-0b2d-5a4f-9e7a-000000000002)
GPU 1: NVIDIA H200 (UUID: GPU-99999999-2222)
`
    assert.deepStrictEqual(right(parseMigs(list)), [
      { uuid: "MIG-6b9aaeff-0b2d-5a4f-9e7a-000000000001", parent: h200, profile: "3g.71gb" },
      { uuid: "MIG-6b9aaeff-0b2d-5a4f-9e7a-000000000002", parent: h200, profile: "1g.18gb+me" }
    ])
    assert.isTrue(Either.isLeft(parseMigs("  MIG 3g.71gb     Device  0: (UUID: MIG-1)\n")), "an instance of no GPU")
    assert.isTrue(Either.isLeft(parseMigs(`GPU 0: X (UUID: ${h200})\n  MIG what\n`)))
  })

  it("makes types that name folders of profiles", () => {
    assert.strictEqual(gpuTypeOf("NVIDIA H200"), "h200")
    assert.strictEqual(gpuTypeOf("NVIDIA H100 80GB HBM3"), "h100-80gb-hbm3")
    assert.strictEqual(gpuTypeOf("Tesla T4"), "tesla-t4")
    assert.strictEqual(gpuTypeOf("NVIDIA H200", "1g.18gb"), "h200-mig-1g.18gb")
    assert.strictEqual(gpuTypeOf("NVIDIA "), "gpu")
  })
})
