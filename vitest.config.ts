import { defineConfig } from "vitest/config"

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    globalSetup: ["test/globalSetup.ts"],
    setupFiles: ["test/support/seed.ts"],
    pool: "forks",
    // One more than CI has cores: tests of servers wait for much of their time.
    poolOptions: { forks: { maxForks: 3 } },
    // Tests that drive browsers and kill processes share two cores with each other: in CI one that fails is tried once more.
    retry: process.env["CI_JSON"] === undefined ? 0 : 1,
    // Against what hangs, not against what is slow: other work may have the cores.
    testTimeout: 120_000,
    hookTimeout: 120_000,
    reporters: process.env["CI_JSON"] === undefined ? ["default"] : ["default", ["json", { outputFile: process.env["CI_JSON"] }]]
  }
})
