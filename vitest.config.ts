import { defineConfig } from "vitest/config"
import { BaseSequencer } from "vitest/node"

/** Suites without a process, a socket or a global of their own: one thread runs them one after the other, and loads what they import once. */
const pure = [
  "core/**/*", "link/**/*", "scheduler/**/*", "simulator/**/*", "server/internal/*", "server/repository/*", "server/{ErrorMapping,ServerConfig}", "server/fronts/codecs",
  "server/fronts/leastBusy", "edge/EdgeProtocol", "dev/Live", "cli/{rankCorrelation,rooflinePicture,steadyPlay}", "cli/load/ScenarioLoad", "node-cuda/CpuInventory", "node-cuda/cuda/{RunShapes,smAllocation}",
  "node-cuda/internal/{isolationChoice,nvidiaSmi,pollChoice,smGroups,visibleDevices}"
].map((files) => `test/${files}.test.ts`)

/** Suites that take longest, in whatever order: begun last they would end alone, each on a core, when all others are done. */
const long = ["cli/gpuSuite", "package/Package", "node-cuda/CpuExecutor", "cli/serve", "webgpu/Node", "node-cuda/CudaExecutor", "webgpu/Native", "simulator/overload"]

class LongestFirst extends BaseSequencer {
  override async sort(files: Parameters<BaseSequencer["sort"]>[0]): ReturnType<BaseSequencer["sort"]> {
    const isLong = ({ moduleId }: (typeof files)[number]) => long.some((name) => moduleId.endsWith(`/test/${name}.test.ts`))
    const sorted = await super.sort(files)
    return [...sorted.filter(isLong), ...sorted.filter((file) => !isLong(file))]
  }
}

export default defineConfig({
  test: {
    sequence: { sequencer: LongestFirst },
    setupFiles: ["test/support/seed.ts", "test/support/breathe.ts", "test/support/tester.ts"],
    // Processes that stay load what they import once, and not for each file. One more than CI has cores: tests of servers wait for much of their time. At least as
    // many as at most: vitest ends those that it thinks spare while they run, and fails.
    poolOptions: { threads: { isolate: false, minThreads: 1, maxThreads: 1 }, forks: { isolate: false, minForks: 3, maxForks: 3 } },
    projects: [
      { extends: true, test: { name: "pure", pool: "threads", include: pure } },
      {
        extends: true,
        test: { name: "whole", pool: "forks", include: ["test/**/*.test.ts"], exclude: pure, globalSetup: ["test/globalSetup.ts"] }
      }
    ],
    // Tests that drive browsers and kill processes share two cores with each other: in CI one that fails is tried once more.
    retry: process.env["CI_JSON"] === undefined ? 0 : 1,
    // Against what hangs, not against what is slow: other work may have the cores.
    testTimeout: 120_000,
    hookTimeout: 120_000,
    reporters: process.env["CI_JSON"] === undefined ? ["default"] : ["default", ["json", { outputFile: process.env["CI_JSON"] }]]
  }
})
