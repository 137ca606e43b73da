/** Starts and stops what is measured: "bare" and the built `glet serve`. */
import { spawn } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("../../", import.meta.url))

/** The command that is measured: this checkout's build unless GLET_BENCH_COMMAND names another file. */
const command = process.env.GLET_BENCH_COMMAND ?? path.join(root, "dist/bin/glet.js")

/** A temporary folder for models and profiles, removed at exit. */
export const temporaryFolder = () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "glet-bench-"))
  process.once("exit", () => fs.rmSync(folder, { recursive: true, force: true }))
  return folder
}

// One cache of profiles for a whole bench run: a model is profiled when it is first served and the figures of one run share it.
const cache = temporaryFolder()

/** Starts `node args` and resolves with what `ready` finds in its standard output. */
const start = (args, ready, { env = {}, timeoutMs = 120_000 } = {}) =>
  new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, XDG_CACHE_HOME: cache, ...env } })
    let out = ""
    let errors = ""
    const kill = () => child.kill("SIGKILL")
    process.once("exit", kill)
    const timer = setTimeout(() => fail(`was not ready within ${timeoutMs} ms`), timeoutMs)
    const fail = (why) => {
      clearTimeout(timer)
      kill()
      reject(new Error(`${path.basename(args[0])} ${why}\n${out}${errors}`))
    }
    child.stdout.on("data", (chunk) => {
      if (ready === undefined) return
      out += chunk
      const found = ready(out)
      if (found === undefined) return
      ready = undefined
      clearTimeout(timer)
      const exited = new Promise((done) => child.once("exit", (code, signal) => done({ code, signal })))
      /** SIGTERM, and SIGKILL where that does not end it. */
      const stop = async () => {
        child.kill("SIGTERM")
        const hard = setTimeout(kill, 20_000)
        const end = await exited
        clearTimeout(hard)
        process.off("exit", kill)
        return end
      }
      resolve({ port: found, pid: child.pid, stop, errors: () => errors })
    })
    child.stderr.on("data", (chunk) => (errors = (errors + chunk).slice(-20_000)))
    child.once("exit", (code, signal) => {
      if (ready !== undefined) fail(`ended before it was ready (${signal ?? code})`)
    })
  })

const bareFile = path.join(root, "bench/lib/bare.mjs")
const portOf = (pattern) => (out) => {
  const match = pattern.exec(out)
  return match === null ? undefined : Number(match[1])
}

/** `threads` 0: onnxruntime's default. */
export const startBare = (model, threads) => start([bareFile, "--model", model, "--threads", String(threads)], portOf(/^(\d+)\n/))

/** Reads bodies and answers, without a model. */
export const startReader = () => start([bareFile, "--read"], portOf(/^(\d+)\n/))

/** `glet serve`; `flags` are added, `nodeFlags` go to Node. */
export const startGlet = (models, flags = [], { nodeFlags = [], env } = {}) => {
  if (!fs.existsSync(command)) throw new Error(`${command} is missing: run npm run build`)
  return start([...nodeFlags, command, "serve", "--models", models, "--port", "0", ...flags], portOf(/https?:\/\/[^:/\s]+:(\d+)/), { env })
}

/** `glet dev`: the page and its files. */
export const startDev = () => {
  if (!fs.existsSync(command)) throw new Error(`${command} is missing: run npm run build`)
  return start([command, "dev", "--port", "0"], portOf(/https?:\/\/[^:/\s]+:(\d+)/))
}

/** GET as JSON. */
export const getJson = async (port, route) => {
  const response = await fetch(`http://127.0.0.1:${port}${route}`)
  if (!response.ok) throw new Error(`GET ${route}: ${response.status} ${await response.text()}`)
  return response.json()
}

/** POST of JSON. */
export const postJson = async (port, route, body) => {
  const response = await fetch(`http://127.0.0.1:${port}${route}`, { method: "POST", body: JSON.stringify(body) })
  if (!response.ok) throw new Error(`POST ${route}: ${response.status} ${await response.text()}`)
}

/** Waits until a model answers ready. */
export const modelReady = async (port, model, timeoutMs = 60_000) => {
  const until = performance.now() + timeoutMs
  for (;;) {
    const { status } = await fetch(`http://127.0.0.1:${port}/v2/models/${model}/ready`)
    if (status === 200) return
    if (performance.now() > until) throw new Error(`model "${model}" was not ready within ${timeoutMs} ms (${status}): ${await (await fetch(`http://127.0.0.1:${port}/v2/repository/index`, { method: "POST" })).text()}`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}
