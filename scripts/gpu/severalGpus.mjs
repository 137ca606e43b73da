#!/usr/bin/env node
/**
 * One server on all GPUs of a host while its load grows beyond one of them: latency-critical BERT by a file of rates, endless best-effort ResNet50 in
 * what is left. Answers, for each rate, what was kept, and for each plan which GPUs carry what and how long it took from the reason to the routes.
 * At the end one GPU's runners are killed under load (`--kill off` leaves that out). Needs `npm run build`, a CUDA provider and models of scripts/make-zoo.ts.
 *
 *   node scripts/gpu/severalGpus.mjs --models ZOO --profiles DIR --out FILE.json [--rates 400,2000,6000] [--seconds 8] [--executor emulated --emulate FILE --gpus 2]
 */
import { spawn } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"

const command = fileURLToPath(new URL("../../dist/bin/glet.js", import.meta.url))
const { values: args } = parseArgs({
  options: {
    models: { type: "string" },
    profiles: { type: "string" },
    out: { type: "string", default: "several-gpus.json" },
    // Requests a second of the latency-critical model, one after the other, each for --seconds.
    rates: { type: "string", default: "400,2000,6000" },
    seconds: { type: "string", default: "8" },
    slo: { type: "string", default: "50" },
    critical: { type: "string", default: "bert-base" },
    fill: { type: "string", default: "resnet50" },
    executor: { type: "string", default: "cuda" },
    emulate: { type: "string" },
    gpus: { type: "string" },
    isolation: { type: "string" },
    kill: { type: "string", default: "on" },
    "ready-within": { type: "string", default: "120" }
  }
})
const rates = args.rates.split(",").map(Number)
const periodS = Number(args.seconds)
const work = fs.mkdtempSync(path.join(os.tmpdir(), "glet-several-gpus-"))
const log = path.join(work, "messages.log")
const logFile = fs.openSync(log, "a")
const folder = path.join(work, "models")
fs.mkdirSync(folder)
for (const name of [args.critical, args.fill]) {
  const found = [name, `${name}.onnx`].find((each) => fs.existsSync(path.join(args.models, each)))
  if (found === undefined) throw new Error(`${args.models} has no ${name}; scripts/make-zoo.ts writes it`)
  fs.cpSync(path.join(args.models, found), path.join(folder, found), { recursive: true })
}

const children = new Set()
const run = (flags) => {
  const child = spawn(process.execPath, [command, ...flags], { stdio: ["ignore", "pipe", logFile], env: { UV_THREADPOOL_SIZE: "16", ...process.env } })
  children.add(child)
  let text = ""
  const listeners = new Set()
  child.stdout.on("data", (chunk) => {
    text += chunk
    for (const each of listeners) each()
  })
  const ended = new Promise((resolve) => child.once("close", (code, signal) => {
    children.delete(child)
    resolve({ code: code ?? signal, text })
  }))
  const firstLine = new Promise((resolve) => listeners.add(() => text.includes("\n") && resolve(text.split("\n")[0])))
  return { child, ended, firstLine }
}
/** One that closes anyway may be gone. */
const kill = (pid) => {
  try {
    process.kill(pid, "SIGKILL")
  } catch (error) {
    if (error.code !== "ESRCH") throw error
  }
}
const readStatus = async (url) => (await fetch(`${url}/glet/v1alpha1/status`)).json()
const gpuOf = (id) => id.slice(0, id.lastIndexOf("/"))

const server = run([
  "serve", "--models", folder, "--port", "0", "--json", "--shared-memory", "--executor", args.executor,
  ...(args.emulate === undefined ? [] : ["--emulate", args.emulate, "--gpus", args.gpus ?? "2"]),
  ...(args.profiles === undefined ? [] : ["--profiles", args.profiles]), "--profile-budget", "1500", ...(args.isolation === undefined ? [] : ["--isolation", args.isolation]),
  "--slo", `${args.critical}=${args.slo}`, "--max-batch", `${args.critical}=32`, "--rate", `${args.critical}=${rates[0]}`, "--class", `${args.fill}=best-effort`, "--max-batch", `${args.fill}=32`
])
const started = performance.now()
const line = await Promise.race([server.firstLine, server.ended.then(({ code }) => { throw new Error(`the server ended with ${code}; see ${log}`) }),
  sleep(1000 * Number(args["ready-within"]), undefined, { ref: false }).then(() => { throw new Error(`not ready within ${args["ready-within"]} s; see ${log}`) })])
const { url } = JSON.parse(line)
const readyS = (performance.now() - started) / 1000

/** What every plan puts where, when it was first seen, s from the start of the load. */
const seen = []
let over = false
let from = performance.now()
const layout = ({ glets }) => {
  const by = {}
  for (const { assignments = [], bestEffort = [], id, sharePct } of glets) {
    const parts = [...assignments.map(({ model }) => model), ...bestEffort.map(({ model }) => `(${model})`)].join("+")
    by[gpuOf(id)] = [...(by[gpuOf(id)] ?? []), `${sharePct} %: ${parts}`]
  }
  return Object.values(by)
}
const watch = (async () => {
  let last = ""
  while (!over) {
    const status = await readStatus(url).catch(() => undefined)
    if (status !== undefined) {
      const now = JSON.stringify(layout(status))
      if (now !== last) seen.push({ atS: Number(((performance.now() - from) / 1000).toFixed(2)), gpus: JSON.parse(now), plan: status.planId ?? status.plan?.id })
      last = now
    }
    await sleep(50)
  }
})()

const shapeOf = async (model, count, free) => (await (await fetch(`${url}/v2/models/${model}`)).json()).inputs
  .filter(({ shape }) => shape.slice(1).includes(-1)).flatMap(({ name, shape }) => ["--shape", `${name}=${shape.map((size, i) => (i === 0 ? count : size === -1 ? free : size)).join(",")}`])
const bench = async (model, flags) => {
  const { ended } = run(["bench", model, "--server", url, "--json", ...flags])
  const { code, text } = await ended
  if (text.trim() === "") throw new Error(`glet bench ${model} ended with ${code}; see ${log}`)
  return JSON.parse(text)
}
const rateFile = path.join(work, "rates.txt")
fs.writeFileSync(rateFile, `${rates.join("\n")}\n`)
const critical = async (flags, csv) => bench(args.critical, [...flags, "--csv", csv, "--body", "binary", "--connections", "2048", ...await shapeOf(args.critical, 1, 128)])
const fill = async (durationS) => bench(args.fill, ["--batch", "32", "--clients", "8", "--duration", String(durationS), "--warm-up", "1", "--body", "shared", ...await shapeOf(args.fill, 32, 32)])

const result = { at: new Date().toISOString(), readyS, rates, periodS, sloMs: Number(args.slo) }
try {
  const csv = path.join(work, "growth.csv")
  from = performance.now()
  const [report, filled] = await Promise.all([critical(["--rate-file", rateFile, "--period", String(periodS), "--warm-up", "1"], csv), fill(rates.length * periodS)])
  result.growth = { periods: fs.readFileSync(csv, "utf8").trim().split("\n"), requests: report.requests, answered: report.answered, dropped: report.dropped, failed: report.failed, sloKept: report.sloKept, latencyMs: report.latencyMs, sendLagMs: report.sendLagMs, fillItemsPerS: filled.answeredItemsPerSecond, fillFailed: filled.failed }
  result.gpus = (await readStatus(url)).glets.length
  if (args.kill === "on" && args.executor === "cuda") {
    const lost = path.join(work, "lost.csv")
    const glets = (await readStatus(url)).glets
    const gpu = gpuOf(glets.at(-1).id)
    const victims = [...new Set(glets.filter(({ id }) => gpuOf(id) === gpu).map(({ pid }) => pid))].filter((pid) => pid !== undefined)
    const [after] = await Promise.all([critical(["--rate", String(rates[0]), "--duration", "10", "--period", "1", "--warm-up", "1"], lost), sleep(3000).then(() => victims.forEach(kill))])
    result.lostGpu = { victims: victims.length, requests: after.requests, answered: after.answered, dropped: after.dropped, failed: after.failed, sloKept: after.sloKept, latencyMs: after.latencyMs }
    const back = performance.now()
    while ((await readStatus(url)).glets.some(({ state }) => state !== "ready") && performance.now() - back < 20_000) await sleep(100)
    result.lostGpu.allReady = (await readStatus(url)).glets.every(({ state }) => state === "ready")
  }
} catch (error) {
  result.error = error instanceof Error ? error.message : String(error)
} finally {
  over = true
  await watch
  result.plans = seen
  for (const child of children) child.kill("SIGTERM")
  const { code } = await server.ended
  result.exit = code
  result.log = fs.readFileSync(log, "utf8").split("\n").filter((each) => /plan \d+ deployed|failed|lost|ended/.test(each)).map((each) => each.slice(0, 300)).slice(-40)
  fs.writeFileSync(args.out, JSON.stringify(result, undefined, 1))
  console.log(JSON.stringify(result, undefined, 1))
  fs.rmSync(work, { recursive: true, force: true })
}
