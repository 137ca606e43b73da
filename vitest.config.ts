import { defineConfig } from "vitest/config"

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    globalSetup: ["test/globalSetup.ts"],
    setupFiles: ["test/support/seed.ts"],
    pool: "forks",
    poolOptions: { forks: { maxForks: 2 } },
    testTimeout: 30_000,
    hookTimeout: 60_000,
    reporters: process.env["CI_JSON"] === undefined ? ["default"] : ["default", ["json", { outputFile: process.env["CI_JSON"] }]]
  }
})
