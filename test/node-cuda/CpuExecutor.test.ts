/** The executor contract over every way that the CPU executor can work. */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type { GletHandle } from "../../src/core/Executor.js"
import { unsafeModelName } from "../../src/core/Ids.js"
import * as CpuExecutor from "../../src/node-cuda/CpuExecutor.js"
import { cpuGpu } from "../../src/node-cuda/CpuInventory.js"
import { executorContract } from "../contract/Executor.js"
import { lenet, lenetModel } from "../contract/lenet.js"

const gpu = cpuGpu({ cores: 2 })
const badModel = { ...lenetModel, name: unsafeModelName("bad"), path: new URL(import.meta.url).pathname }
const kill = (handle: GletHandle): Effect.Effect<void> =>
  Effect.map(handle.stats, ({ pid }) => {
    assert(pid !== undefined)
    process.kill(pid, "SIGKILL")
  })

const options = { gpu, models: [lenet] as const, badModel, kill }
executorContract("cpu, ort-c, shared memory", CpuExecutor.layer({ engine: "ort-c" }), options)
executorContract("cpu, ort-js, shared memory", CpuExecutor.layer({ engine: "ort-js" }), options)
executorContract("cpu, ort-c, socket", CpuExecutor.layer({ engine: "ort-c", sharedMemory: "off" }), options)
executorContract("cpu, ort-js, socket", CpuExecutor.layer({ engine: "ort-js", sharedMemory: "off" }), options)
