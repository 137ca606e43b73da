// command: node bench/run.mjs overload [--model heavy|dense|lenet] [--fronts N] [--seconds 5] [--sustained 30] [--quick] [--json] [--check]
/**
 * Goodput (answers within the SLO, as the client sees them) when more is asked than can be done. Poisson arrivals, latency counted from the time
 * a request was due, at loads that grow from half of what 64 connections get in a closed loop until the goodput falls; the highest goodput is the
 * capacity. The load that gave it and twice the capacity are then run in turn, and the median of their ratio is the figure: a machine whose speed
 * changes from one minute to the next changes it for both. At the end twice the capacity is sustained while the memory of agent and runners is
 * watched.
 *
 * With the heavy model the device is the limit, at a rate that HTTP carries easily. With dense, and more so with lenet, client, HTTP and runner
 * fight for the same cores: there every refusal costs part of the capacity, and the client's own share of it grows with the load.
 */
import { parseArgs } from "node:util"
import { alternate, openClient } from "./lib/load.mjs"
import { denseModel, heavyModel, lenetModel } from "./lib/models.mjs"
import { commandOf, cpuMs, processTree, pssBytes } from "./lib/proc.mjs"
import { binaryRequest, randomFloats } from "./lib/requests.mjs"
import { modelReady, startGlet } from "./lib/servers.mjs"
import { conclude, median, printTable, slope, summary } from "./lib/stats.mjs"

const { values: options } = parseArgs({
  options: {
    model: { type: "string", default: "heavy" }, fronts: { type: "string", default: "0" }, seconds: { type: "string", default: "5" }, sustained: { type: "string", default: "30" },
    quick: { type: "boolean" }, json: { type: "boolean" }, check: { type: "boolean" }
  }
})
const stepMs = options.quick ? 3000 : Number(options.seconds) * 1000
const sustainedMs = options.quick ? 8000 : Number(options.sustained) * 1000
const factors = [0.5, 0.8, 1, 1.2, 1.5, 2, 3, 4.5, 7]

const cases = {
  heavy: { make: heavyModel, sloMs: 250, shape: [1, 1, 512] },
  dense: { make: denseModel, sloMs: 250, shape: [1, 2048] },
  lenet: { make: lenetModel, sloMs: 50, shape: [1, 1, 28, 28] }
}
const { make, shape, sloMs } = cases[options.model] ?? cases.heavy
const model = await make()
const size = shape.reduce((product, dim) => product * dim, 1)
const requests = Array.from({ length: 16 }, (_, i) => binaryRequest(model.name, model.input, shape, randomFloats(size, i)))

const server = await startGlet(model.folder, [
  ...(options.fronts === "0" ? [] : ["--fronts", options.fronts]), "--slo", `${model.name}=${sloMs}`
])
await modelReady(server.port, model.name)

const closed = await openClient(server.port, 64)
const slices = []
for (let i = 0; i < 4; i++) {
  const slice = await closed.closedLoop(requests, { durationMs: stepMs / 2 })
  slices.push(((slice.statuses.get(200) ?? 0) / slice.elapsedMs) * 1000)
}
closed.close()
// The first slice warms up and makes the plan.
const closedRps = Math.max(...slices.slice(1))


const memoryMb = () => processTree(server.pid).reduce((sum, pid) => sum + pssBytes(pid), 0) / 1e6

/** CPU time so far of agent, fronts, runners and this client, in ms. */
const spentMs = () => {
  const { system, user } = process.cpuUsage()
  const [agent, ...others] = processTree(server.pid)
  const sum = (pids) => pids.reduce((total, pid) => total + cpuMs(pid), 0)
  const isFront = (pid) => commandOf(pid).includes("front.js")
  return {
    agent: cpuMs(agent), front: sum(others.filter(isFront)), runner: sum(others.filter((pid) => !isFront(pid))), client: (system + user) / 1000
  }
}

const run = async (rateRps, durationMs, seed) => {
  // Enough for all that may be answered in time, twice over: with fewer, the client would hold back what the server should refuse.
  const connections = Math.min(3500, Math.max(64, Math.ceil((2 * rateRps * sloMs) / 1000)))
  const client = await openClient(server.port, connections)
  const before = spentMs()
  const began = performance.now()
  const { ends, arrived, unanswered, maxWaiting } = await client.openLoop(requests, { rateRps, durationMs, seed })
  const [after, tookMs] = [spentMs(), performance.now() - began]
  client.close()
  const cores = (part) => (after[part] - before[part]) / tookMs
  const answered = ends.filter((end) => end.status === 200)
  const inTime = answered.filter((end) => end.latencyMs <= sloMs)
  const refused = ends.filter((end) => end.status === 429)
  const latency = summary(answered.map((end) => end.latencyMs))
  return {
    offeredRps: (arrived / durationMs) * 1000,
    goodputRps: (inTime.length / durationMs) * 1000,
    latePct: (100 * (answered.length - inTime.length)) / arrived,
    refusedPct: (100 * refused.length) / arrived,
    otherPct: (100 * (arrived - answered.length - refused.length)) / arrived,
    p50Ms: latency.p50Ms,
    p99Ms: latency.p99Ms,
    refusalMs: refused.length === 0 ? NaN : median(refused.map((end) => end.latencyMs)),
    unanswered,
    clientQueue: maxWaiting,
    agentCores: cores("agent"),
    frontCores: cores("front"),
    runnerCores: cores("runner"),
    clientCores: cores("client"),
    agentMs: after.agent - before.agent,
    answers: answered.length,
    refusals: refused.length
  }
}

const rows = []
for (const [i, factor] of factors.entries()) {
  rows.push(await run(factor * closedRps, stepMs, i + 1))
  const goodput = rows.map((row) => row.goodputRps)
  if (factor >= 2 && goodput.at(-1) < Math.max(...goodput)) break
}
const best = rows.reduce((a, b) => (b.goodputRps > a.goodputRps ? b : a))
const capacityRps = best.goodputRps
let seed = 100
const { twice, peak } = await alternate(options.quick ? 2 : 5, {
  peak: () => run(best.offeredRps, stepMs, seed++),
  twice: () => run(2 * capacityRps, stepMs, seed++)
})

const [seconds, megabytes] = [[], []]
const began = performance.now()
const sampler = setInterval(() => {
  seconds.push((performance.now() - began) / 1000)
  megabytes.push(memoryMb())
}, 500)
const sustained = await run(2 * capacityRps, sustainedMs, 99)
clearInterval(sampler)
/** CPU time of the agent per answer and per refusal, in µs: what fits its time in all runs best (least squares). */
const agentCosts = (runs) => {
  let [aa, ar, rr, at, rt] = [0, 0, 0, 0, 0]
  for (const { agentMs, answers, refusals } of runs) {
    aa += answers * answers
    ar += answers * refusals
    rr += refusals * refusals
    at += answers * agentMs
    rt += refusals * agentMs
  }
  const determinant = aa * rr - ar * ar
  return { answerUs: (1000 * (at * rr - rt * ar)) / determinant, refusalUs: (1000 * (rt * aa - at * ar)) / determinant }
}
const costs = agentCosts([...rows, ...peak, ...twice, sustained])
const end = await server.stop()
if (end.code !== 0) throw new Error(`glet serve ended with ${end.signal ?? end.code}`)

// The first third is warm-up: heaps grow to their working size.
const from = Math.floor(seconds.length / 3)
const growthMbPerMinute = slope(seconds.slice(from), megabytes.slice(from)) * 60

const shown = (row) => Object.fromEntries(Object.entries(row).filter(([column]) => !["agentMs", "answers", "refusals"].includes(column)))
printTable(`overload (${model.name}): Poisson arrivals, latency from the due time, SLO ${sloMs} ms; capacity is ${capacityRps.toFixed(0)}/s`, [
  ...rows.map((row) => ({ step: "ramp", ...shown(row) })),
  ...peak.flatMap((row, i) => [{ step: "best load", ...shown(row) }, { step: "twice", ...shown(twice[i]) }]),
  { step: "sustained", ...shown(sustained) }
])
console.log(
  `  memory over the last two thirds of ${sustainedMs / 1000} s: ${megabytes[from].toFixed(0)} -> ${megabytes.at(-1).toFixed(0)} MB, ` +
    `${growthMbPerMinute.toFixed(1)} MB a minute`
)

console.log(
  `  the agent's thread takes ${costs.answerUs.toFixed(0)} µs for an answer and ${costs.refusalUs.toFixed(0)} µs for a refusal; ` +
    `at the peak of ${capacityRps.toFixed(0)}/s that is ${((capacityRps * costs.answerUs) / 1e6).toFixed(2)} of a core`
)

conclude(
  `overload (${model.name})`,
  [
    { name: "goodput at 2x capacity / peak goodput", value: median(twice.map((row, i) => row.goodputRps / peak[i].goodputRps)), rule: ">=", limit: 0.9 },
    { name: "median time to a refusal at 2x, ms", value: median(twice.map((row) => row.refusalMs)), rule: "<=", limit: 25 },
    { name: "neither answered nor refused at 2x, %", value: Math.max(...twice.map((row) => row.otherPct)), rule: "<=", limit: 0 },
    { name: "memory growth at 2x, MB a minute", value: growthMbPerMinute, rule: "<=", limit: 20 }
  ],
  { capacityRps, costs, rows, peak, twice, sustained, seconds, megabytes }
)
