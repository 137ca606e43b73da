/** WebGPU through onnxruntime-node, a process per glet, with shares by turns: the contract on a software driver. */
import { afterAll, assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { vi } from "vitest"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import type { GletHandle } from "../../src/core/Executor.js"
import { unsafeModelName } from "../../src/core/Ids.js"
import * as NativeWebGpu from "../../src/node-cuda/NativeWebGpu.js"
import * as DutyExecutor from "../../src/webgpu/DutyExecutor.js"
import type { ContractModel } from "../contract/Executor.js"
import { executorContract } from "../contract/Executor.js"
import { lenet } from "../contract/lenet.js"
import { contractModels, contractVersions } from "../contract/models.js"
import { putIn } from "../node-cuda/support/putFile.js"
import { skipped } from "./support/report.js"
import { useSoftwareVulkan } from "./support/vulkan.js"

useSoftwareVulkan()
// A software driver compiles shaders for seconds, beside other tests for tens of them.
vi.setConfig({ testTimeout: 120_000 })
const folder = fs.mkdtempSync(path.join(os.tmpdir(), "glet-test-"))
afterAll(() => fs.rmSync(folder, { recursive: true, force: true }))

const kill = (handle: GletHandle): Effect.Effect<void> =>
  Effect.map(handle.stats, ({ pid }) => {
    assert(pid !== undefined)
    process.kill(pid, "SIGKILL")
  })

const found = await Effect.runPromise(NativeWebGpu.probe())
if (found.problem !== undefined) {
  skipped("native WebGPU in Node", found.problem)
} else {
  const gpu = NativeWebGpu.nativeGpu(found)
  describe("native WebGPU in Node", () => {
    it("names its GPU by the device", () => {
      assert.match(gpu.type, /^webgpu-[a-z0-9-]+-native$/)
      assert.strictEqual(gpu.isolation, "duty")
    })
  })
  const [first, ...others] = contractModels(putIn(folder)) as [ContractModel, ...Array<ContractModel>]
  executorContract(`native WebGPU on ${NativeWebGpu.preferredDevice(found)?.name ?? "an unnamed device"}`, DutyExecutor.layer(NativeWebGpu.layer()), {
    gpu, sharePct: 50, versions: contractVersions(putIn(folder)), models: [first, ...others, { ...lenet, model: { ...lenet.model, maxBatch: 3 } }],
    badModel: { ...first.model, name: unsafeModelName("bad"), path: new URL(import.meta.url).pathname },
    kill
  })
}
