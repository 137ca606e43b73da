import { defineConfig } from "tsup"

// Two builds. The library keeps its dependencies outside, so that an application's effect and ours are one. The command bundles them:
// it starts in a third of the time and takes less memory, and each subcommand is a chunk of its own.
const common = {
  format: "esm",
  target: "node20",
  platform: "node",
  sourcemap: true,
  splitting: true,
  clean: true
} as const

export default defineConfig([
  {
    ...common,
    entry: {
      index: "src/index.ts",
      core: "src/core/index.ts",
      scheduler: "src/scheduler/index.ts",
      simulator: "src/simulator/index.ts",
      "node-cuda": "src/node-cuda/index.ts",
      server: "src/server/index.ts",
      edge: "src/edge/index.ts",
      webgpu: "src/webgpu/index.ts",
      "webgpu-node": "src/webgpu/NodeWorkers.ts"
    },
    outDir: "dist",
    // The other build lives in a folder of this one.
    clean: ["dist/*", "!dist/bin"]
  },
  {
    ...common,
    entry: { glet: "src/cli/main.ts" },
    outDir: "dist/bin",
    // All but what is native, or has a .wasm beside it.
    noExternal: [/^(?!highs$)/],
    external: ["koffi", "onnxruntime-node", "onnxruntime-common", "highs"],
    // Its map would weigh ten times as much as the command.
    sourcemap: false,
    banner: { js: "import { createRequire as gletCreateRequire } from 'node:module'; const require = gletCreateRequire(import.meta.url);" }
  },
  // Runner and front are processes of their own, the planner is a thread: self-contained files at a fixed place beside whoever starts them, without
  // maps, which would be most of the package.
  ...["dist", "dist/bin"].map((outDir) => ({
    ...common,
    entry: { runner: "src/node-cuda/runner/main.ts", planner: "src/server/planning/main.ts", front: "src/front/main.ts" },
    outDir,
    splitting: false,
    clean: false,
    sourcemap: false,
    noExternal: [/.*/],
    external: ["koffi", "onnxruntime-node", "onnxruntime-common"]
  })),
  // A thread of the bench's client.
  {
    ...common,
    entry: { "load-thread": "src/cli/load/threadMain.ts" },
    outDir: "dist/bin",
    splitting: false,
    clean: false,
    sourcemap: false,
    noExternal: [/.*/]
  },
  // The worker of a glet in browsers and Deno, as `new Worker` wants it: one file beside webgpu.js. onnxruntime-web is found by whoever runs it.
  {
    ...common,
    entry: { "webgpu-worker": "src/webgpu/webgpu-worker.ts" },
    platform: "browser",
    target: "es2022",
    outDir: "dist",
    splitting: false,
    clean: false,
    noExternal: [/^(?!onnxruntime-web)/],
    external: [/^onnxruntime-web/]
  },
  // The server in Deno, beside the worker's file.
  {
    ...common,
    entry: { deno: "src/deno/main.ts" },
    target: "es2022",
    outDir: "dist",
    splitting: false,
    clean: false,
    noExternal: [/^(?!onnxruntime-web|highs$)/],
    external: [/^onnxruntime-web/, "highs"],
    sourcemap: false
  },
  ...["dist", "dist/bin"].map((outDir) => ({
    ...common,
    entry: { "webgpu-node-worker": "src/webgpu/webgpu-node-worker.ts" },
    outDir,
    splitting: false,
    clean: false,
    sourcemap: false,
    noExternal: [/^(?!onnxruntime-web)/],
    external: [/^onnxruntime-web/]
  }))
])
