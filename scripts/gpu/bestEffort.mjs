#!/usr/bin/env node
/**
 * Latency-critical work beside endless best-effort work on this host's GPU, through the real server: ours, each of its depths taken away, and what
 * one would do without it. ResNet50 in requests of 4 items (largest batch 4) at 200 requests/s, Poisson or bursts of a recorded trace (`singles`: of one item, 800/s, 30 ms, batches up to 32); its SLO is
 * --slo-factor times the 99th percentile that is measured of it alone, in the same run. Where no gate looks after the SLO, requests bring a limit of
 * a second: else those that would be late were dropped, and the 99th percentile of the rest said nothing. With a gate, drops count as misses. Needs `npm run build`, a CUDA provider and the models of
 * scripts/make-zoo.ts.
 *
 *   node scripts/gpu/bestEffort.mjs --models ZOO --profiles DIR --out FILE [--systems A,B] [--loads A,B] [--executor emulated --emulate FILE]
 *
 * What a client measured that sent late itself (99th percentile above 0.75 ms) is measured again, twice at most; the least late counts, and is marked
 * (`lateClient`) where it was late too: such a row says more of the machine than of the system.
 *
 * Each result is a line of FILE as soon as it is there; the same command goes on where it was stopped. `--table` only shows what FILE has.
 */
import { spawn } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { punctually } from "./lib/punctually.mjs"

const file = (name) => fileURLToPath(new URL(`../../${name}`, import.meta.url))
const command = file("dist/bin/glet.js")
const { values: args } = parseArgs({
  options: {
    models: { type: "string" },
    profiles: { type: "string" },
    out: { type: "string", default: "best-effort.jsonl" },
    systems: { type: "string" },
    loads: { type: "string" },
    executor: { type: "string", default: "cuda" },
    emulate: { type: "string" },
    "slo-factor": { type: "string", default: "1.2" },
    // Seconds that count, and before them; the bound on delays is searched meanwhile, so whoever has a gate gets longer at first.
    duration: { type: "string", default: "6" },
    "warm-up": { type: "string", default: "2" },
    settle: { type: "string", default: "10" },
    // Requests per second of each latency-critical model.
    rate: { type: "string", default: "200" },
    "ready-within": { type: "string", default: "120" },
    budget: { type: "string", default: "540" },
    table: { type: "boolean", default: false }
  }
})
const [durationS, warmUpS, settleS, budgetS] = [args.duration, args["warm-up"], args.settle, args.budget].map(Number)
const trace = file("resource/traces/bursts-200.txt")

/** Endless work: items of a request, and requests in flight. */
const fills = {
  "bert-base": { items: 32, clients: 6 },
  mobilenet_v2: { items: 32, clients: 6 },
  "dlrm-small": { items: 32, clients: 8 }
}
const asked = { items: 4, rate: Number(args.rate) }
const steady = [{ model: "resnet50", ...asked }]
const pair = [{ model: "resnet50", ...asked }, { model: "googlenet", ...asked }]
/** Requests of one image each, of a server that may put them together, with an objective that lets it wait for more of them. */
const singles = [{ model: "resnet50", items: 1, maxBatch: 32, rate: 800, sloMs: 30 }]
/** Latency-critical models, how they are asked, and the best-effort work beside them. */
const loads = {
  bert: { critical: steady, fill: "bert-base" },
  mobilenet: { critical: steady, fill: "mobilenet_v2" },
  dlrm: { critical: steady, fill: "dlrm-small" },
  bursts: { critical: steady, fill: "bert-base", trace },
  pair: { critical: pair, fill: "bert-base" },
  singles: { critical: singles, fill: "bert-base" }
}
/**
 * Arguments of `glet serve`; `apart`: a server for each class, none knowing of the other; `asCritical`: planned as if it had an objective, a far one.
 * `gate`: it has a bound to search.
 * "ours" lets best-effort batches give way to latency-critical ones between two kernels; nothing else here does, but for the rows that say so.
 */
const whole = ["--preemption", "off"]
const systems = {
  "ours": { gate: true, serve: [] },
  "ours, no gathering": { gate: true, serve: ["--gather", "off"] },
  "ours, green": { gate: true, serve: ["--isolation", "green"] },
  "ours, streams": { gate: true, serve: ["--isolation", "stream"] },
  "gate, on shares": { gate: true, serve: whole },
  "gate, over 100": { gate: true, serve: [...whole, "--overlay", "100"] },
  "gate, over 40": { gate: true, serve: [...whole, "--overlay", "40"] },
  "streams": { serve: [...whole, "--isolation", "stream", "--overlay", "100", "--best-effort", "open", "--priorities", "off"] },
  "streams+priority": { serve: [...whole, "--isolation", "stream", "--overlay", "100", "--best-effort", "open"] },
  "MPS": { serve: [...whole, "--isolation", "mps", "--overlay", "100", "--best-effort", "open", "--priorities", "off"] },
  "MPS+priority": { serve: [...whole, "--isolation", "mps", "--overlay", "100", "--best-effort", "open"] },
  "MPS+priority+40%": { serve: [...whole, "--isolation", "mps", "--overlay", "40", "--best-effort", "open"] },
  "MPS 50/50": { asCritical: true, serve: [...whole, "--isolation", "mps", "--planner", "equal-shares"] },
  "time slicing": { apart: true, serve: [...whole, "--isolation", "stream"] },
  "preemption alone": { serve: ["--overlay", "100", "--best-effort", "open", "--priorities", "off"] },
  "preemption and priority": { serve: ["--overlay", "100", "--best-effort", "open"] },
  "gate alone": { gate: true, serve: [...whole, "--overlay", "100", "--priorities", "off"] },
  "priority alone": { serve: [...whole, "--overlay", "100", "--best-effort", "open"] },
  "SMs alone": { serve: [...whole, "--overlay", "40", "--best-effort", "open", "--priorities", "off"] },
  "priority and SMs": { serve: [...whole, "--overlay", "40", "--best-effort", "open"] },
  "placement without interference": { gate: true, serve: [...whole, "--interference", "off"] },
  "placement without gate": { serve: [...whole, "--best-effort", "open"] }
}

const log = path.join(os.tmpdir(), `glet-best-effort-${process.pid}.log`)
const logFile = fs.openSync(log, "a")
const read = () => (fs.existsSync(args.out) ? fs.readFileSync(args.out, "utf8").split("\n").filter((line) => line !== "").map((line) => JSON.parse(line)) : [])
const write = (result) => {
  fs.appendFileSync(args.out, `${JSON.stringify(result)}\n`)
  console.log(JSON.stringify(result))
}
const find = (system, load) => read().findLast((result) => result.system === system && result.load === load && result.error === undefined)
const started = performance.now()
const isOver = () => performance.now() - started > 1000 * budgetS
const running = new Set()

const run = (flags) => {
  // Tensors in shared memory are copied by the pool's threads: images at GPU speed keep more than four busy.
  const child = spawn(process.execPath, [command, ...flags], { stdio: ["ignore", "pipe", logFile], env: { UV_THREADPOOL_SIZE: "16", ...process.env } })
  running.add(child)
  const ended = new Promise((resolve) => child.once("close", (code, signal) => {
    running.delete(child)
    resolve(code ?? signal)
  }))
  return { child, ended }
}

/** Hard links where they can be: weights are large. */
const place = (from, to) => {
  if (fs.statSync(from).isDirectory()) {
    fs.mkdirSync(to)
    for (const name of fs.readdirSync(from)) place(path.join(from, name), path.join(to, name))
    return
  }
  try {
    fs.linkSync(from, to)
  } catch {
    fs.copyFileSync(from, to)
  }
}
/** A folder, beside that of all models, with some of them. */
const repository = (models) => {
  const folder = fs.mkdtempSync(path.join(path.dirname(path.resolve(args.models)), "glet-best-effort-"))
  for (const model of models) {
    const name = [model, `${model}.onnx`].find((each) => fs.existsSync(path.join(args.models, each)))
    if (name === undefined) throw new Error(`${args.models} has no ${model}; scripts/make-zoo.ts writes it`)
    place(path.join(args.models, name), path.join(folder, name))
  }
  return folder
}

/** Starts a server; answers its URL, how long it took, its glets, and how to end it. */
const serve = async (models, flags) => {
  const folder = repository(Object.keys(models))
  const { child, ended } = run([
    "serve", "--models", folder, "--port", "0", "--json", "--shared-memory",
    ...(args.profiles === undefined ? [] : ["--profiles", args.profiles]), "--profile-budget", "1500",
    "--executor", args.executor, ...(args.emulate === undefined ? [] : ["--emulate", args.emulate]),
    ...Object.entries(models).flatMap(([model, { maxBatch, rateRps, serviceClass, sloMs }]) => [
      "--class", `${model}=${serviceClass}`, "--max-batch", `${model}=${maxBatch}`,
      ...(sloMs === undefined ? [] : ["--slo", `${model}=${sloMs}`]), ...(rateRps === undefined ? [] : ["--rate", `${model}=${rateRps}`])
    ]),
    ...(args.executor === "cuda" ? flags : withoutIsolation(flags))
  ])
  const from = performance.now()
  const line = await new Promise((resolve, reject) => {
    let text = ""
    child.stdout.on("data", (chunk) => {
      text += chunk
      if (text.includes("\n")) resolve(text.split("\n")[0])
    })
    ended.then((code) => reject(new Error(`the server ended with ${code} before it was ready; see ${log}`)))
    sleep(1000 * Number(args["ready-within"]), undefined, { ref: false }).then(() => reject(new Error(`the server was not ready within ${args["ready-within"]} s`)))
  }).catch((error) => {
    child.kill("SIGKILL")
    fs.rmSync(folder, { recursive: true, force: true })
    throw error
  })
  const { modelsReady, models: all, url } = JSON.parse(line)
  const end = async () => {
    child.kill("SIGTERM")
    if (await Promise.race([ended, sleep(15_000, "late", { ref: false })]) === "late") child.kill("SIGKILL")
    await ended
    fs.rmSync(folder, { recursive: true, force: true })
  }
  const status = async () => (await fetch(`${url}/glet/v1alpha1/status`)).json()
  const { glets } = await status()
  const served = { url, readyS: (performance.now() - from) / 1000, end, status, glets: glets.map(({ assignments, bestEffort, id, sharePct, units }) => ({ id, sharePct, units, runs: [...(assignments ?? []), ...(bestEffort ?? [])].map(({ model }) => model) })) }
  if (modelsReady < all) {
    const states = (await status()).models.map(({ detail, model, state }) => `${model} ${state} ${detail ?? ""}`).join("; ")
    await end()
    throw new Error(`only ${modelsReady} of ${all} models are ready: ${states}`)
  }
  return served
}
const withoutIsolation = (flags) => flags.filter((flag, i) => flag !== "--isolation" && flags[i - 1] !== "--isolation")

/** Runs `glet bench`; answers its report. */
const bench = async (url, model, flags) => {
  const { child, ended } = run(["bench", model, "--server", url, "--json", "--body", args.executor === "cuda" || process.platform === "linux" ? "shared" : "binary", ...flags])
  let text = ""
  child.stdout.on("data", (chunk) => { text += chunk })
  const code = await ended
  if (text.trim() === "") throw new Error(`glet bench ${model} ended with ${code}; see ${log}`)
  return JSON.parse(text)
}
const shapes = { "bert-base": 128 }
const shapeFlags = async (url, model, count) => {
  const { inputs } = await (await fetch(`${url}/v2/models/${model}`)).json()
  return inputs.filter(({ shape }) => shape.slice(1).includes(-1)).flatMap(({ name, shape }) => ["--shape", `${name}=${shape.map((size, i) => (i === 0 ? count : size === -1 ? shapes[model] ?? 32 : size)).join(",")}`])
}

/** One measurement: latency-critical models and best-effort work at a time, each at its server. */
const play = async (target, load, { fill = true, critical = true, extraS = 0, patient = false, slos = {} } = {}) => {
  const seconds = (more) => ["--warm-up", String(warmUpS + extraS), "--duration", String(durationS + more)]
  const fillJob = fill ? fills[load.fill] : undefined
  const parts = [
    ...(critical ? load.critical.map(async ({ items, model, rate }) =>
      bench(target.critical, model, ["--batch", String(items), ...(load.trace === undefined ? ["--rate", String(rate)] : ["--trace", load.trace]), "--connections", "512", "--seed", "7", ...(patient ? ["--deadline", "1000"] : []), ...(slos[model] === undefined ? [] : ["--slo", String(slos[model])]), ...seconds(0), ...await shapeFlags(target.critical, model, items)])) : []),
    ...(fillJob === undefined ? [] : [bench(target.fill, load.fill, ["--batch", String(fillJob.items), "--clients", String(fillJob.clients), ...seconds(0.3), ...await shapeFlags(target.fill, load.fill, fillJob.items)])])
  ]
  const ended = await Promise.allSettled(parts)
  const failed = ended.find(({ status }) => status === "rejected")
  if (failed !== undefined) throw failed.reason
  const reports = ended.map(({ value }) => value)
  const latencies = critical ? load.critical.map(({ model }, i) => {
    const { answered, dropped, failed: lost, latencyMs, requests, sendLagMs, setup, sloKept } = reports[i]
    return { model, p50Ms: latencyMs.p50Ms, p99Ms: latencyMs.p99Ms, sloMs: setup.sloMs, sloKept, requests, answered, dropped, failed: lost, sendLagP99Ms: sendLagMs.p99Ms }
  }) : []
  return { latencies, ...(fillJob === undefined ? {} : { fill: load.fill, itemsPerS: reports.at(-1).answeredItemsPerSecond, fillFailed: reports.at(-1).failed }) }
}

const criticalOf = (models, slos) => Object.fromEntries(models.map(({ items, maxBatch, model, rate }) =>
  [model, { serviceClass: "latency-critical", maxBatch: maxBatch ?? items, rateRps: items * rate, sloMs: slos[model] ?? 50 }]))
const fillsOf = (models, asCritical = false) => Object.fromEntries(models.map((model) =>
  [model, asCritical ? { serviceClass: "latency-critical", maxBatch: 32, sloMs: 10_000, rateRps: 100 } : { serviceClass: "best-effort", maxBatch: 32 }]))

const attempt = async (system, load, measure) => {
  try {
    const at = new Date().toISOString()
    write({ system, load, ...await measure(), at })
  } catch (error) {
    write({ system, load, error: error instanceof Error ? error.message : String(error) })
  }
}

/** References: the latency-critical models alone on the whole GPU, and each best-effort work alone. */
const alone = async (chosen) => {
  const groups = new Map()
  for (const name of chosen) {
    const key = JSON.stringify(loads[name].critical)
    groups.set(key, [...(groups.get(key) ?? []), name])
  }
  for (const names of groups.values()) {
    const missing = names.filter((name) => find("alone", name) === undefined)
    if (missing.length === 0 || isOver()) continue
    let server
    try {
      // On the whole GPU, two in turn: with objectives as loose as here others would be cut smaller.
      server = await serve(criticalOf(loads[missing[0]].critical, {}), ["--planner", "time-share"])
      const seen = new Map()
      for (const name of missing) {
        // The same load alone is measured once for all that run beside it.
        const { trace: how } = loads[name]
        await attempt("alone", name, async () => {
          const result = seen.get(how) ?? await punctually(() => play({ critical: server.url }, loads[name], { fill: false, patient: true }), isOver)
          seen.set(how, result)
          return { ...result, glets: server.glets, readyS: server.readyS }
        })
      }
    } catch (error) {
      write({ system: "alone", load: missing.join(), error: error.message })
    } finally {
      await server?.end()
    }
  }
  const works = [...new Set(chosen.map((name) => loads[name].fill))].filter((fill) => find("alone", fill) === undefined)
  for (const fill of works) {
    if (isOver()) return
    let server
    try {
      server = await serve(fillsOf([fill]), [])
      await attempt("alone", fill, async () => ({ ...await play({ fill: server.url }, { fill }, { critical: false }), glets: server.glets, readyS: server.readyS }))
    } catch (error) {
      write({ system: "alone", load: fill, error: error.message })
    } finally {
      await server?.end()
    }
  }
}

const sloOf = (load) => Object.fromEntries((find("alone", load)?.latencies ?? []).map(({ model, p99Ms }, i) =>
  [model, loads[load].critical[i].sloMs ?? Number((Number(args["slo-factor"]) * p99Ms).toFixed(3))]))

/** Loads of one system that the same servers can have: the same latency-critical models with the same SLOs. */
const measureSystem = async (name, chosen) => {
  const { apart, asCritical, gate, serve: flags } = systems[name]
  const groups = new Map()
  for (const load of chosen) {
    if (find(name, load) !== undefined) continue
    const slos = sloOf(load)
    if (Object.keys(slos).length === 0) {
      write({ system: name, load, error: "was not measured alone" })
      continue
    }
    // Every model of equal shares has its own, asked or not.
    const key = JSON.stringify([slos, loads[load].critical, ...(asCritical === true ? [loads[load].fill] : [])])
    groups.set(key, [...(groups.get(key) ?? []), load])
  }
  for (const [key, names] of groups) {
    if (isOver()) return
    const servers = []
    try {
      const critical = criticalOf(loads[names[0]].critical, JSON.parse(key)[0])
      const works = fillsOf([...new Set(names.map((load) => loads[load].fill))], asCritical)
      if (apart === true) {
        servers.push(await serve(critical, flags))
        servers.push(await serve(works, flags))
      } else {
        servers.push(await serve({ ...critical, ...works }, flags))
      }
      const target = { critical: servers[0].url, fill: servers.at(-1).url }
      const glets = servers.flatMap((server) => server.glets)
      let isFirst = true
      for (const load of names) {
        if (isOver()) return
        await attempt(name, load, async () => ({
          ...await punctually(
            (before) => play(target, loads[load], { slos: sloOf(load), patient: gate !== true, extraS: gate !== true || before > 0 ? 0 : isFirst ? settleS : settleS / 2 }), isOver
          ),
          glets, readyS: servers.reduce((sum, server) => sum + server.readyS, 0),
          boundsMs: (await servers[0].status()).models.flatMap(({ delayBoundMs, model }) => (delayBoundMs === undefined ? [] : [{ model, delayBoundMs }]))
        }))
        isFirst = false
      }
    } catch (error) {
      write({ system: name, load: names.join(), error: error.message })
    } finally {
      for (const server of servers.reverse()) await server.end()
    }
  }
}

/** How late the clients of rows that are marked so sent, in words. */
const lateness = (result, reference) =>
  [["", result], ["alone ", reference]].filter(([, { lateClient }]) => lateClient === true)
    .map(([what, { latencies }]) => `${what}${Math.max(...latencies.map(({ sendLagP99Ms }) => sendLagP99Ms)).toFixed(2)} ms`).join(", ")

const show = () => {
  const rows = []
  for (const system of Object.keys(systems)) {
    for (const load of Object.keys(loads)) {
      const [result, reference, fillAlone] = [find(system, load), find("alone", load), find("alone", loads[load].fill)]
      if (result === undefined || reference === undefined) continue
      result.latencies.forEach(({ model, p50Ms, p99Ms, sloKept, sloMs }, i) => rows.push({
        system, load, model, "p50 ms": +p50Ms.toFixed(2), "p99 ms": +p99Ms.toFixed(2), "p99/alone": +(p99Ms / reference.latencies[i].p99Ms).toFixed(2), "SLO ms": sloMs,
        "SLO kept %": sloKept === null ? null : +(100 * sloKept).toFixed(2), "items/s": Math.round(result.itemsPerS), "of alone": fillAlone === undefined ? null : +(result.itemsPerS / fillAlone.itemsPerS).toFixed(3),
        "late client": lateness(result, reference)
      }))
    }
  }
  console.table(rows)
}

const chosen = (what, given, known) => {
  const names = given === undefined ? known : given.split(/,(?! )/).map((name) => name.trim())
  const unknown = names.find((name) => !known.includes(name))
  if (unknown !== undefined) throw new Error(`--${what} has no "${unknown}"; known are ${known.join(", ")}`)
  return names
}

if (!args.table) {
  if (args.models === undefined) throw new Error("--models ZOO is missing: the folder of scripts/make-zoo.ts")
  const wantedLoads = chosen("loads", args.loads, Object.keys(loads))
  const wantedSystems = chosen("systems", args.systems, Object.keys(systems))
  for (const signal of ["SIGINT", "SIGTERM"]) {
    process.once(signal, () => {
      for (const child of running) child.kill("SIGTERM")
      process.exit(130)
    })
  }
  console.log(`messages of servers and benches: ${log}`)
  await alone(wantedLoads)
  for (const system of wantedSystems) if (!isOver()) await measureSystem(system, wantedLoads)
  if (isOver()) console.log(`the ${budgetS} s of --budget are over: the same command goes on`)
}
show()
process.exit(0)
