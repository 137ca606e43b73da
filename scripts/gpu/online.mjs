// Part of scripts/gpu-check.mjs: a server on the GPU under load, and what may happen to it: a new plan, a killed runner, one that hangs, a killed MPS
// daemon, a model that comes and goes.
import { spawn } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { bodyFor, startStream, summary } from "./load.mjs"

const command = fileURLToPath(new URL("../../dist/bin/glet.js", import.meta.url))

const get = async (url, options) => {
  const response = await fetch(url, options)
  const text = await response.text()
  try {
    return { status: response.status, body: text === "" ? undefined : JSON.parse(text) }
  } catch {
    return { status: response.status, body: text }
  }
}

/** Waits for something; answers how long it took, ms, or undefined. */
const waitFor = async (look, withinMs) => {
  const start = performance.now()
  while (performance.now() - start < withinMs) {
    if (await look()) return Math.round(performance.now() - start)
    await sleep(10)
  }
  return undefined
}

export const checkOnline = async ({ fault, isolation, log, models, mpsFolder, profiles, rates, readyWithinMs, slo }) => {
  const flags = Object.entries(slo).flatMap(([model, ms]) => ["--slo", `${model}=${ms}`])
  const first = Object.entries(rates).flatMap(([model, rps]) => ["--rate", `${model}=${rps}`])
  const server = spawn(process.execPath, [
    command, "serve", "--executor", "cuda", "--isolation", isolation, "--models", models, "--profiles", profiles, "--port", "0", "--json", "--profile-budget", "1500", ...flags, ...first
  ], { env: { ...process.env, GLET_MPS_DIRECTORY: mpsFolder }, stdio: ["ignore", "pipe", fs.openSync(log, "a")] })
  const exited = new Promise((resolve) => server.once("close", (code, signal) => resolve(code ?? signal)))
  const started = performance.now()
  const ready = await new Promise((resolve) => {
    let text = ""
    server.stdout.on("data", (chunk) => {
      text += chunk
      if (text.includes("\n")) resolve(JSON.parse(text.split("\n")[0]))
    })
    exited.then((code) => resolve({ error: `ended with ${code} before it was ready` }))
    sleep(readyWithinMs, undefined, { ref: false }).then(() => resolve({ error: `not ready within ${readyWithinMs} ms` }))
  })
  const end = async () => {
    const closing = performance.now()
    server.kill("SIGTERM")
    const code = await Promise.race([exited, sleep(20_000, "still there after 20 s", { ref: false })])
    if (typeof code === "string") server.kill("SIGKILL")
    return { code, ms: Math.round(performance.now() - closing) }
  }
  if (ready.error !== undefined) return { isolation, error: ready.error, exit: await end() }
  const result = { isolation, readyMs: Math.round(performance.now() - started), ready }
  const port = Number(new URL(ready.url).port)
  const status = async () => (await get(`${ready.url}/glet/v1alpha1/status`)).body
  const allReady = async () => (await status()).glets.every(({ state }) => state === "ready")
  const gletsOf = ({ glets }) => glets.map(({ assignments, id, pid, sharePct, units }) => ({ id, sharePct, units, pid, models: assignments.map(({ model, batch }) => `${model}x${batch}`).join("+") }))
  let streams = []
  try {
    result.glets = gletsOf(await status())
    for (const [model, rps] of Object.entries(rates)) {
      const metadata = await get(`${ready.url}/v2/models/${model}`)
      const state = await get(`${ready.url}/v2/models/${model}/ready`)
      if (state.status !== 200) {
        result[`not ready: ${model}`] = (await status()).models.find((one) => one.model === model)?.detail
        continue
      }
      streams.push(startStream(port, model, rps, bodyFor(metadata.body, 1)))
    }
    const names = Object.keys(rates)
    const span = async (name, ms, act, only = names) => {
      const from = performance.now()
      const did = await act?.()
      await sleep(Math.max(0, ms - (performance.now() - from)))
      result[name] = { ...did, from, to: performance.now(), only }
    }
    await sleep(1500)
    await span("steady", 4000)
    await span("new plan", 5000, async () => {
      // Twice the load on the first model, and the planner asked once the estimate has followed.
      streams[0]?.setRate(2.5 * rates[streams[0].model])
      await sleep(2500)
      const before = (await status()).plan.generation
      const start = performance.now()
      const replanned = await get(`${ready.url}/glet/v1alpha1/replan`, { method: "POST", body: "{}" })
      return { answered: replanned.status, replanMs: Math.round(performance.now() - start), generation: [before, (await status()).plan.generation], glets: gletsOf(await status()) }
    })
    await span("runner killed", 5000, async () => {
      const victim = (await status()).glets.find(({ pid }) => pid !== undefined)
      process.kill(victim.pid, "SIGKILL")
      await sleep(30)
      return { backMs: await waitFor(allReady, 20_000), restarts: (await status()).glets.map(({ restarts }) => restarts) }
    })
    await span("runner hangs", 16_000, async () => {
      const before = (await status()).glets.map(({ restarts }) => restarts).reduce((a, b) => a + b, 0)
      const victim = (await status()).glets.find(({ pid }) => pid !== undefined)
      process.kill(victim.pid, "SIGSTOP")
      const restarted = async () => (await status()).glets.map(({ restarts }) => restarts).reduce((a, b) => a + b, 0) > before
      const seenMs = await waitFor(restarted, 30_000)
      return { seenMs, backMs: await waitFor(allReady, 20_000), detail: (await status()).glets.find(({ id }) => id === victim.id)?.detail }
    })
    if (isolation === "mps") {
      await span("MPS daemon killed", 6000, async () => {
        const [uuid] = fs.readdirSync(mpsFolder).filter((name) => !name.endsWith(".lock"))
        const before = (await status()).glets.map(({ restarts }) => restarts).reduce((a, b) => a + b, 0)
        process.kill(Number(fs.readFileSync(path.join(mpsFolder, uuid, "nvidia-cuda-mps-control.pid"), "utf8")), "SIGKILL")
        const seenMs = await waitFor(async () => !(await allReady()), 3000)
        return { seenMs, backMs: await waitFor(allReady, 20_000), restarts: (await status()).glets.map(({ restarts }) => restarts), before }
      })
    }
    if (isolation === "mps" && fault !== undefined) {
      await span("fatal exception of another client", 8000, async () => {
        const [uuid] = fs.readdirSync(mpsFolder).filter((name) => !name.endsWith(".lock"))
        const client = spawn("sh", ["-c", fault], { env: { ...process.env, CUDA_MPS_PIPE_DIRECTORY: path.join(mpsFolder, uuid) }, stdio: ["ignore", fs.openSync(log, "a"), fs.openSync(log, "a")] })
        const seenMs = await waitFor(async () => !(await allReady()), 6000)
        const backMs = await waitFor(allReady, 30_000)
        return { seenMs, backMs, client: client.exitCode, restarts: (await status()).glets.map(({ restarts }) => restarts) }
      })
    }
    const last = names.at(-1)
    const others = names.filter((name) => name !== last)
    await span("model unloaded", 2500, async () => {
      const start = performance.now()
      return { status: (await get(`${ready.url}/v2/repository/models/${last}/unload`, { method: "POST", body: "{}" })).status, ms: Math.round(performance.now() - start) }
    }, others)
    await span("model loaded", 4000, async () => {
      const start = performance.now()
      const loaded = await get(`${ready.url}/v2/repository/models/${last}/load`, { method: "POST", body: "{}" })
      return { status: loaded.status, body: loaded.body, ms: Math.round(performance.now() - start), readyMs: await waitFor(async () => (await get(`${ready.url}/v2/models/${last}/ready`)).status === 200, 15_000) }
    }, others)
    await span("at last", 1500)
    await Promise.all(streams.map((stream) => stream.stop()))
    for (const [name, value] of Object.entries(result)) {
      if (value?.from === undefined) continue
      const { from, only, to, ...rest } = value
      result[name] = { ...rest, ...summary(streams, from, to, only) }
    }
    const { glets, models: served } = await status()
    result.after = glets.map(({ assignments, id, units }) => ({ id, units, measured: assignments.map(({ measured, model, predictedMs }) => `${model} ${predictedMs.toFixed(2)} predicted p99, ${measured.p99Ms.toFixed(2)} measured`) }))
    result.failed = served.map(({ failed, model }) => `${model} ${failed}`)
  } catch (error) {
    result.error = error instanceof Error ? error.stack : String(error)
  } finally {
    streams = streams.map((stream) => stream.stop())
    result.exit = await end()
  }
  return result
}
