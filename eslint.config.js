import tseslint from "typescript-eslint"

/** Folders a folder must not import from: the arrows of docs/architecture.md. */
const mustNotImport = {
  core: ["link", "scheduler", "simulator", "node-cuda", "webgpu", "server", "front", "cluster", "edge", "dev", "cli"],
  link: ["core", "scheduler", "simulator", "node-cuda", "webgpu", "server", "front", "cluster", "edge", "dev", "cli"],
  scheduler: ["link", "simulator", "node-cuda", "webgpu", "server", "front", "cluster", "edge", "dev", "cli"],
  simulator: ["link", "node-cuda", "webgpu", "server", "front", "cluster", "edge", "dev", "cli"],
  "node-cuda": ["simulator", "webgpu", "server", "front", "cluster", "edge", "dev", "cli"],
  webgpu: ["link", "simulator", "node-cuda", "server", "front", "cluster", "edge", "dev", "cli"],
  server: ["simulator", "node-cuda", "webgpu", "front", "cluster", "edge", "dev", "cli"],
  front: ["simulator", "webgpu", "cluster", "edge", "dev", "cli"],
  cluster: ["simulator", "node-cuda", "webgpu", "front", "edge", "dev", "cli"],
  edge: ["link", "simulator", "node-cuda", "webgpu", "front", "cluster", "dev", "cli"],
  dev: ["node-cuda", "front", "cluster", "cli"]
}
const pure = ["core", "scheduler", "simulator"]

const barrels = {
  group: ["effect", "@effect/platform", "@effect/platform-node", "@effect/cli"],
  message: "Import the leaf module, e.g. effect/Effect: barrels cost 0.9 s at start."
}
const arrows = (folder) => ({
  files: [`src/${folder}/**/*.{ts,tsx}`],
  rules: {
    "no-restricted-imports": ["error", {
      paths: barrels.group.map((name) => ({ name, message: barrels.message })),
      patterns: [
        {
          regex: `^(\\.\\./)+(${mustNotImport[folder].join("|")})/`,
          message: `${folder} must not import this folder (docs/architecture.md, layers).`
        },
        ...(pure.includes(folder) ? [{ regex: "^node:", message: `${folder} runs in browsers and Deno too: no node: module.` }] : [])
      ]
    }],
    ...(pure.includes(folder)
      ? {
        "no-restricted-globals": ["error", ...["process", "Buffer", "window", "document", "require", "setTimeout", "setInterval", "setImmediate", "performance"]
          .map((name) => ({ name, message: `${folder} is pure of Node, DOM and clocks: use Effect's services.` }))],
        "no-restricted-properties": ["error",
          { object: "Date", property: "now", message: "Use Clock, or take `now` as an argument." },
          { object: "Math", property: "random", message: "Take a seed as an argument." }]
      }
      : {})
  }
})

export default tseslint.config(
  { ignores: ["dist", "node_modules", ".gpu", ".test-packages", "coverage"] },
  ...tseslint.configs.recommended,
  {
    files: ["**/*.{ts,tsx}"],
    rules: {
      "max-lines": ["warn", { max: 500, skipComments: true, skipBlankLines: true }],
      "no-console": "error",
      eqeqeq: "error",
      "prefer-const": "error",
      "@typescript-eslint/consistent-type-imports": ["error", { fixStyle: "separate-type-imports", disallowTypeAnnotations: false }],
      "@typescript-eslint/no-non-null-assertion": "off",
      "@typescript-eslint/no-unused-vars": ["error", { argsIgnorePattern: "^_", varsIgnorePattern: "^_" }],
      "no-restricted-imports": ["error", { paths: barrels.group.map((name) => ({ name, message: barrels.message })) }],
      // Effect's yield* in generators without another yield, and its Schema classes.
      "require-yield": "off",
      "@typescript-eslint/no-empty-object-type": ["error", { allowInterfaces: "with-single-extends" }]
    }
  },
  ...Object.keys(mustNotImport).map(arrows),
  { files: ["src/cli/**/*.ts", "src/deno/**/*.ts", "bench/**/*.ts", "examples/**/*.ts", "test/**/*.ts", "bench/**/*.mjs"], rules: { "no-console": "off" } }
)
