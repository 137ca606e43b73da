/** The command, built from source, as child processes. */
import type { BuildOptions } from "esbuild"
import { build } from "esbuild"
import type { ChildProcess } from "node:child_process"
import { spawn } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import { oncePerRun } from "../../support/oncePerRun.js"

export const root = fileURLToPath(new URL("../../..", import.meta.url))
export const demoModels = path.join(root, "resource", "demo")

export interface Ended {
  readonly code: number | NodeJS.Signals
  readonly stdout: string
  readonly stderr: string
}

export interface Running {
  readonly process: ChildProcess
  /** The first line of stdout that satisfies; fails when the process ends before. */
  readonly line: (satisfies: (line: string) => boolean) => Promise<string>
  readonly ended: Promise<Ended>
}

export interface Glet {
  /** A folder of this build's own, for files of tests. */
  readonly folder: string
  readonly run: (args: ReadonlyArray<string>, options?: { readonly input?: string; readonly env?: NodeJS.ProcessEnv }) => Promise<Ended>
  readonly start: (args: ReadonlyArray<string>, options?: { readonly env?: NodeJS.ProcessEnv }) => Running
  /** The same of many command lines that start nothing, in one process. */
  readonly runMany: (lines: ReadonlyArray<ReadonlyArray<string>>, env?: Readonly<Record<string, string>>) => Promise<ReadonlyArray<Ended>>
  readonly close: () => Promise<void>
}

/** Builds it as tsup does, without declarations. */
const buildInto = async (bin: string): Promise<void> => {
  const options: BuildOptions = {
    bundle: true, platform: "node", format: "esm", target: "node20", external: ["koffi", "onnxruntime-node", "onnxruntime-common", "highs"], logLevel: "error",
    banner: { js: "import { createRequire as gletCreateRequire } from 'node:module'; const require = gletCreateRequire(import.meta.url);" }
  }
  await build({ ...options, entryPoints: { glet: path.join(root, "src/cli/main.ts"), manyRuns: path.join(root, "test/cli/support/manyRuns.ts") }, outdir: bin, splitting: true })
  await build({
    ...options, entryPoints: { runner: path.join(root, "src/node-cuda/runner/main.ts"), front: path.join(root, "src/front/main.ts"), "load-thread": path.join(root, "src/cli/load/threadMain.ts") }, outdir: bin
  })
}

/** A copy of it. */
export const buildGlet = async (): Promise<Glet> => {
  const cache = path.join(root, "node_modules", ".cache")
  const built = await oncePerRun("glet", buildInto)
  const folder = fs.mkdtempSync(path.join(cache, "glet-test-"))
  const bin = path.join(folder, "bin")
  fs.cpSync(built, bin, { recursive: true })

  const running = new Set<ChildProcess>()
  const startScript = (script: string, args: ReadonlyArray<string>, env: NodeJS.ProcessEnv): Running => {
    const child = spawn(process.execPath, [path.join(bin, script), ...args], {
      cwd: folder,
      env: { PATH: process.env["PATH"], HOME: folder, XDG_CACHE_HOME: path.join(folder, "cache"), ...env },
      stdio: ["pipe", "pipe", "pipe"]
    })
    running.add(child)
    let stdout = ""
    let stderr = ""
    const listeners = new Set<() => void>()
    child.stdout.on("data", (chunk: Buffer) => {
      stdout += chunk.toString()
      for (const listener of listeners) listener()
    })
    child.stderr.on("data", (chunk: Buffer) => {
      stderr += chunk.toString()
    })
    child.stdin.on("error", () => undefined)
    const ended = new Promise<Ended>((resolve) => {
      child.once("close", (code, signal) => {
        running.delete(child)
        resolve({ code: code ?? signal ?? 1, stdout, stderr })
      })
    })
    const line: Running["line"] = (satisfies) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          const found = stdout.split("\n").slice(0, -1).find(satisfies)
          if (found !== undefined) {
            listeners.delete(look)
            resolve(found)
          }
        }
        listeners.add(look)
        look()
        void ended.then((end) => reject(new Error(`ended with ${end.code}: ${end.stderr}`)))
      })
    return { process: child, ended, line }
  }
  const start: Glet["start"] = (args, { env = {} } = {}) => startScript("glet.js", args, env)
  return {
    folder,
    start,
    run: (args, { env, input = "" } = {}) => {
      const started = start(args, env === undefined ? {} : { env })
      started.process.stdin!.end(input)
      return started.ended
    },
    runMany: async (lines, env = {}) => {
      const many = startScript("manyRuns.js", [], {})
      many.process.stdin!.end(lines.map((args) => `${JSON.stringify([args, env])}\n`).join(""))
      const { stderr, stdout } = await many.ended
      const ended = stdout.trim().split("\n").map((line) => JSON.parse(line) as [number, string, string])
      if (ended.length !== lines.length) throw new Error(`${ended.length} of ${lines.length} command lines ended: ${stderr}`)
      return ended.map(([code, stdout, stderr]) => ({ code, stdout, stderr }))
    },
    close: async () => {
      await Promise.all([...running].map((child) =>
        new Promise<void>((resolve) => {
          child.once("close", () => resolve())
          child.kill("SIGKILL")
        })
      ))
      fs.rmSync(folder, { recursive: true, force: true })
    }
  }
}
