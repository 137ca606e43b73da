import { assert, describe, it } from "@effect/vitest"
import type { SmiDevice } from "../../../src/node-cuda/internal/nvidiaSmi.js"
import { namesIn, visibleDevices } from "../../../src/node-cuda/internal/visibleDevices.js"

const gpu = (index: number, uuid: string, mig: boolean): SmiDevice["smi"] => ({
  index, uuid, name: "NVIDIA H200", driver: "580", memoryTotalBytes: 1, memoryUsedBytes: 0, utilizationRatio: undefined, powerWatts: undefined, computeMode: "Default", mig
})
const [cut, whole, third] = [gpu(0, "GPU-1a", true), gpu(1, "GPU-2b", false), gpu(2, "GPU-2c", false)]
const instance = (uuid: string): SmiDevice => ({ uuid, smi: cut, mig: { uuid, parent: cut.uuid, profile: "1g.18gb" } })
const devices: ReadonlyArray<SmiDevice> = [
  instance("MIG-01"), instance("MIG-02"), { uuid: whole.uuid, smi: whole, mig: undefined }, { uuid: third.uuid, smi: third, mig: undefined }
]
const seen = (text: string) => {
  const { devices: chosen, unknown } = visibleDevices(devices, namesIn(text)!)
  return [chosen.map(({ uuid }) => uuid).join(" "), unknown]
}

describe("visibleDevices", () => {
  it("are named by index, UUID or the beginning of one, in the host's order", () => {
    assert.deepStrictEqual(seen("2, 1"), ["GPU-2b GPU-2c", undefined])
    assert.deepStrictEqual(seen("GPU-2c,1,1"), ["GPU-2b GPU-2c", undefined])
    assert.deepStrictEqual(seen("MIG-02"), ["MIG-02", undefined])
  })

  it("a GPU that MIG cuts stands for its instances", () => {
    assert.deepStrictEqual(seen("0"), ["MIG-01 MIG-02", undefined])
    assert.deepStrictEqual(seen("GPU-1"), ["MIG-01 MIG-02", undefined])
  })

  it("a name of none, or of more than one, hides what follows", () => {
    assert.deepStrictEqual(seen("1,9,2"), ["GPU-2b", "9"])
    assert.deepStrictEqual(seen("GPU-2,0"), ["", "GPU-2"])
    assert.deepStrictEqual(seen("-1"), ["", "-1"])
    assert.deepStrictEqual(seen("MIG-0"), ["", "MIG-0"])
  })

  it("all are visible where the variable is not set, none where it is empty", () => {
    assert.isUndefined(namesIn(undefined))
    assert.deepStrictEqual(namesIn(" , "), [])
    assert.deepStrictEqual(seen(""), ["", undefined])
  })
})
