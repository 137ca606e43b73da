/**
 * The package as a user has it: what `npm pack` puts in, unpacked into an empty folder's node_modules beside what it declares to need and nothing
 * else; then the commands that the documentation gives. It is about the build (`npm run build`), and skips where that is older than the sources.
 */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import type { ChildProcess } from "node:child_process"
import { execFile, spawn } from "node:child_process"
import * as fs from "node:fs"
import * as net from "node:net"
import type { AddressInfo } from "node:net"
import * as os from "node:os"
import * as path from "node:path"
import { promisify } from "node:util"
import { runtimePath } from "../../src/dev/DeviceStart.js"
import { installRuntime, runtimeVersion } from "../../src/webgpu/RuntimePackage.js"
import { assertLogitsOfGrey } from "../support/grey.js"
import { denoPath, packageRoot } from "../webgpu/support/deno.js"
import { skipped } from "../webgpu/support/report.js"

const run = promisify(execFile)
const manifest = JSON.parse(fs.readFileSync(path.join(packageRoot, "package.json"), "utf8")) as {
  readonly exports: Record<string, string | { readonly types: string; readonly default: string }>
  readonly bin: Record<string, string>
  readonly dependencies: Record<string, string>
  readonly peerDependencies: Record<string, string>
  readonly devDependencies: Record<string, string>
}

const newest = (folder: string): number =>
  fs.readdirSync(folder, { withFileTypes: true }).reduce((latest, entry) => {
    const file = path.join(folder, entry.name)
    return Math.max(latest, entry.isDirectory() ? newest(file) : fs.statSync(file).mtimeMs)
  }, 0)
const builtMs = (file: string): number => (fs.existsSync(path.join(packageRoot, file)) ? fs.statSync(path.join(packageRoot, file)).mtimeMs : 0)
const isFresh = Math.min(builtMs("dist/index.js"), builtMs("dist/bin/glet.js"), builtMs("dist/deno.js")) > newest(path.join(packageRoot, "src"))
if (!isFresh) skipped("the package", "dist is older than src; npm run build makes it anew")

/** The documented command names its port twice. */
const freePort = (): Promise<number> =>
  new Promise((resolve) => {
    const server = net.createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo
      server.close(() => resolve(port))
    })
  })

describe("the peer onnxruntime-web", () => {
  it("is the one that the words name", () => {
    assert.strictEqual(manifest.peerDependencies["onnxruntime-web"], runtimeVersion)
    for (const page of ["docs/dev.md", "docs/webgpu.md"]) assert.include(fs.readFileSync(path.join(packageRoot, page), "utf8"), installRuntime.split(" ").at(-1)!)
  })
})

describe("the peer effect", () => {
  it("is tested in the least version that is let in: an application's must be the same module as ours", () => {
    assert.strictEqual(manifest.peerDependencies["effect"], `^${manifest.devDependencies["effect"]}`)
    assert.notProperty(manifest.dependencies, "effect")
  })
})

describe.skipIf(!isFresh)("the package (SKIPPED where dist is old)", () => {
  const user = fs.mkdtempSync(path.join(os.tmpdir(), "glet-user-"))
  const modules = path.join(user, "node_modules")
  const here = path.join(modules, "glet-orion")
  const children: Array<ChildProcess> = []
  let packed: { readonly files: ReadonlyArray<{ readonly path: string; readonly size: number }>; readonly filename: string }

  beforeAll(async () => {
    const { stdout } = await run("npm", ["pack", "--ignore-scripts", "--json", "--loglevel", "error", "--pack-destination", user], { cwd: packageRoot, maxBuffer: 1 << 24 })
    packed = (JSON.parse(stdout) as [typeof packed])[0]
    fs.mkdirSync(here, { recursive: true })
    await run("tar", ["xzf", path.join(user, packed.filename), "-C", here, "--strip-components", "1"])
    for (const name of [...Object.keys(manifest.dependencies), "effect"]) {
      fs.mkdirSync(path.dirname(path.join(modules, name)), { recursive: true })
      fs.symlinkSync(path.join(packageRoot, "node_modules", name), path.join(modules, name))
    }
    fs.writeFileSync(path.join(user, "package.json"), "{\"private\":true,\"type\":\"module\"}")
    fs.mkdirSync(path.join(user, "models"))
    fs.copyFileSync(path.join(here, "resource/demo/lenet-digits.onnx"), path.join(user, "models/lenet-digits.onnx"))
    // Generous: what a slow machine answers is right as well.
    fs.writeFileSync(path.join(user, "models/glet.json"), JSON.stringify({ apiVersion: "glet/v1alpha1", models: { "lenet-digits": { sloMs: 10_000 } } }))
  }, 180_000)
  afterAll(() => {
    for (const child of children) if (child.exitCode === null) child.kill("SIGKILL")
    fs.rmSync(user, { recursive: true, force: true })
  })

  const env = { ...process.env, XDG_CACHE_HOME: path.join(user, "cache"), XDG_RUNTIME_DIR: "/tmp", DENO_NO_UPDATE_CHECK: "1" }
  const command = path.join(here, manifest.bin["glet"]!)
  const glet = (...args: ReadonlyArray<string>) => run(process.execPath, [command, ...args], { cwd: user, env, maxBuffer: 1 << 24 })
  /** Starts something and waits for words of it. */
  const start = (file: string, args: ReadonlyArray<string>, words: RegExp): Promise<RegExpExecArray & { readonly text: string }> =>
    new Promise((resolve, reject) => {
      const child = spawn(file, args, { cwd: user, env })
      children.push(child)
      let text = ""
      const hear = (part: unknown): void => {
        text += String(part)
        const found = words.exec(text)
        if (found !== null) resolve(Object.assign(found, { text }))
      }
      child.stdout.on("data", hear)
      child.stderr.on("data", hear)
      child.once("exit", (code) => reject(new Error(`${path.basename(file)} ended with ${code}: ${text}`)))
    })

  it("has what it exports and runs, and nothing that nobody asked for", () => {
    const files = new Set(packed.files.map((file) => file.path))
    const wanted = [
      ...Object.values(manifest.exports).flatMap((one) => (typeof one === "string" ? [one] : [one.types, one.default])), ...Object.values(manifest.bin),
      ...["runner", "planner", "front", "webgpu-node-worker"].flatMap((name) => [`dist/${name}.js`, `dist/bin/${name}.js`]),
      "dist/bin/load-thread.js", "dist/deno.js", "dist/dev/index.html", "docs/webgpu.md", "README.md", "LICENSE", "resource/demo/glet.json", "resource/profiles/h200/green.json"
    ].map((file) => file.replace(/^\.\//, ""))
    assert.deepStrictEqual(wanted.filter((file) => !files.has(file)), [])
    assert.deepStrictEqual([...files].filter((file) => !/^(dist|docs|examples|resource)\/|^(README|CHANGELOG|LICENSE|package\.json)/.test(file)), [])
    // Maps of the library only: with those of the bundled processes it was three times as large.
    assert.deepStrictEqual([...files].filter((file) => /^dist\/(bin\/.*|(runner|planner|front|deno).*)\.map$/.test(file)), [])
    // The three that tests build anew have maps within.
    const bytes = packed.files.filter((file) => !/^dist\/(runner|planner|front)\.js$/.test(file.path)).reduce((sum, { size }) => sum + size, 0)
    assert.isBelow(bytes, 15e6)
  })

  it("is imported with what it declares to need, and says what misses", async () => {
    const parts = Object.keys(manifest.exports).filter((part) => !/worker$|json$/.test(part)).map((part) => `glet-orion${part.slice(1)}`)
    fs.writeFileSync(path.join(user, "use.js"), parts.map((part, i) => `import * as part${i} from "${part}"\n`).join("")
      + `console.log(JSON.stringify([${parts.map((_, i) => `Object.keys(part${i}).length`).join()}]))`)
    const imported = await run(process.execPath, ["use.js"], { cwd: user })
    for (const [i, count] of (JSON.parse(imported.stdout) as ReadonlyArray<number>).entries()) assert.isAbove(count, 0, parts[i]!)
    const found = await start(process.execPath, [command, "dev", "--port", "0"], /open (http:\S+)/)
    assert.include(found.text, installRuntime)
    assert.strictEqual((await fetch(found[1]!)).status, 200)
    assert.strictEqual((await fetch(new URL(`/${runtimePath("ort.wasm.min.mjs")}`, found[1]!))).status, 404)
  }, 180_000)

  it("has types that strict applications take, as the examples are", async () => {
    for (const name of ["@types/node", "undici-types"]) {
      fs.mkdirSync(path.dirname(path.join(modules, name)), { recursive: true })
      fs.symlinkSync(path.join(packageRoot, "node_modules", name), path.join(modules, name))
    }
    // As they stand in an application: not in the package, whose name would lead to its own files without these declarations.
    fs.cpSync(path.join(here, "examples/embed/main.mjs"), path.join(user, "embed.mjs"))
    fs.cpSync(path.join(here, "examples/browser/main.js"), path.join(user, "browser.js"))
    const parts = Object.keys(manifest.exports).filter((part) => !/worker$|json$/.test(part))
    fs.writeFileSync(path.join(user, "all.ts"), parts.map((part, i) => `export * as part${i} from "glet-orion${part.slice(1)}"\n`).join(""))
    const checked = await run(process.execPath, [
      path.join(packageRoot, "node_modules/typescript/bin/tsc"), "--noEmit", "--allowJs", "--checkJs", "--strict", "--exactOptionalPropertyTypes",
      "--target", "es2022", "--lib", "es2023,dom", "--module", "nodenext", "--types", "node", "embed.mjs", "browser.js", "all.ts"
    ], { cwd: user }).catch((error: { readonly stdout: string }) => error)
    assert.strictEqual(checked.stdout, "")
  }, 180_000)

  it("serves, plans by what was measured, and measures its server", async () => {
    const [, url] = await start(process.execPath, [command, "serve", "--models", "models", "--port", "0", "--profile-budget", "200"], /glet serving 1 models? on (http:\S+?)[\s;]/)
    const planned = await glet("plan", "--models", "models", "--rate", "lenet-digits=20", "--json")
    assert.include(planned.stdout, "lenet-digits")
    const { stdout } = await glet("bench", "lenet-digits", "--rate", "20", "--duration", "1", "--server", url!, "--json")
    const { answered, requests } = JSON.parse(stdout.trim().split("\n").at(-1)!) as { readonly answered: number; readonly requests: number }
    assert.isAbove(requests, 0)
    assert.strictEqual(answered, requests)
  }, 180_000)

  /** What an application installs beside the package, without what debuggers need of it. */
  const addRuntime = (): void => {
    const to = path.join(modules, "onnxruntime-web")
    if (!fs.existsSync(to)) fs.cpSync(path.join(packageRoot, "node_modules/onnxruntime-web"), to, { recursive: true, filter: (file) => !file.endsWith(".map") })
  }
  it("has a page that Vite builds, workers and onnxruntime-web included", async () => {
    addRuntime()
    const built = path.join(user, "page")
    await run(process.execPath, [path.join(packageRoot, "node_modules/vite/bin/vite.js"), "build", "--minify", "false", "--outDir", built, path.join(here, "examples/browser")], { cwd: user, env })
    const files = [...fs.readdirSync(built), ...fs.readdirSync(path.join(built, "assets"))]
    for (const wanted of [/^index\.html$/, /^lenet-digits\.onnx$/, /^webgpu-worker-.*\.js$/, /^ort\.wasm.*\.js$/, /^ort-wasm-.*\.wasm$/]) {
      assert.isTrue(files.some((file) => wanted.test(file)), `${wanted} among ${files.join(", ")}`)
    }
  }, 180_000)

  const deno = denoPath()
  if (deno === undefined) skipped("the package in Deno", "no deno")
  it.skipIf(deno === undefined)("serves in Deno by the documented command (SKIPPED without deno)", async () => {
    addRuntime()
    const port = await freePort()
    const block = /```sh\n(deno run [^`]*)```/.exec(fs.readFileSync(path.join(packageRoot, "docs/webgpu.md"), "utf8"))![1]!
    const [, ...args] = block.replaceAll("\\\n", " ").replaceAll(":8000", `:${port}`).trim().split(/\s+/)
    const [, url] = await start(deno!, [...args, "--port", String(port)], /glet serving 1 of 1 models? on (http:\S+)/)
    const answer = await fetch(`${url}/v2/models/lenet-digits/infer`, {
      method: "POST", body: JSON.stringify({ inputs: [{ name: "input", datatype: "FP32", shape: [1, 1, 28, 28], data: Array(784).fill(0.5) }] })
    })
    assert.strictEqual(answer.status, 200, await answer.clone().text())
    const { outputs } = await answer.json() as { readonly outputs: ReadonlyArray<{ readonly data: ReadonlyArray<number> }> }
    await assertLogitsOfGrey(outputs[0]!.data)
  }, 180_000)
})
