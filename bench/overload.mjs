// command: node bench/run.mjs overload [--model dense|lenet] [--seconds 8] [--sustained 30] [--quick] [--json] [--check]
/**
 * Goodput (answers within the SLO, as the client sees them) when more is asked than can be done. The capacity is what 64 connections get in a
 * closed loop; then Poisson arrivals at 0.5 to 3 times of it. Latency counts from the time a request was due, and every answer that is neither in
 * time nor a refusal at once counts as lost. At the end twice the capacity is sustained while the memory of agent and runners is watched.
 *
 * With the dense model the device is the limit; with lenet HTTP itself is, and every refusal costs part of the capacity.
 */
import { parseArgs } from "node:util"
import { openClient } from "./lib/load.mjs"
import { denseModel, lenetModel } from "./lib/models.mjs"
import { processTree, pssBytes } from "./lib/proc.mjs"
import { binaryRequest, digitImages, randomFloats } from "./lib/requests.mjs"
import { modelReady, startGlet } from "./lib/servers.mjs"
import { conclude, median, printTable, slope, summary } from "./lib/stats.mjs"

const { values: options } = parseArgs({
  options: {
    model: { type: "string", default: "dense" }, seconds: { type: "string", default: "8" }, sustained: { type: "string", default: "30" },
    quick: { type: "boolean" }, json: { type: "boolean" }, check: { type: "boolean" }
  }
})
const stepMs = options.quick ? 3000 : Number(options.seconds) * 1000
const sustainedMs = options.quick ? 8000 : Number(options.sustained) * 1000
const factors = [0.5, 0.8, 1, 1.2, 1.5, 2, 3]

const model = options.model === "lenet" ? lenetModel() : await denseModel()
const requests = options.model === "lenet"
  ? digitImages(64).map((image) => binaryRequest(model.name, model.input, [1, 1, 28, 28], image))
  : Array.from({ length: 16 }, (_, i) => binaryRequest(model.name, model.input, [1, 2048], randomFloats(2048, i)))
const sloMs = options.model === "lenet" ? 50 : 250

const server = await startGlet(model.folder, ["--slo", `${model.name}=${sloMs}`])
await modelReady(server.port, model.name)

const closed = await openClient(server.port, 64)
await closed.closedLoop(requests, { durationMs: 2000 })
const capacity = await closed.closedLoop(requests, { durationMs: stepMs })
const capacityRps = (capacity.statuses.get(200) / capacity.elapsedMs) * 1000
closed.close()
console.log(`capacity with 64 connections: ${capacityRps.toFixed(0)}/s, SLO ${sloMs} ms`)

const memoryMb = () => processTree(server.pid).reduce((sum, pid) => sum + pssBytes(pid), 0) / 1e6

const run = async (factor, durationMs, seed) => {
  const client = await openClient(server.port, 512)
  const { ends, arrived, unanswered, maxWaiting } = await client.openLoop(requests, { rateRps: factor * capacityRps, durationMs, seed })
  client.close()
  const answered = ends.filter((end) => end.status === 200)
  const inTime = answered.filter((end) => end.latencyMs <= sloMs)
  const refused = ends.filter((end) => end.status === 429)
  const latency = summary(answered.map((end) => end.latencyMs))
  return {
    load: factor,
    offeredRps: (arrived / durationMs) * 1000,
    goodputRps: (inTime.length / durationMs) * 1000,
    latePct: (100 * (answered.length - inTime.length)) / arrived,
    refusedPct: (100 * refused.length) / arrived,
    otherPct: (100 * (arrived - answered.length - refused.length)) / arrived,
    p50Ms: latency.p50Ms,
    p99Ms: latency.p99Ms,
    refusalMs: refused.length === 0 ? NaN : median(refused.map((end) => end.latencyMs)),
    unanswered,
    clientQueue: maxWaiting
  }
}

const rows = []
for (const [i, factor] of factors.entries()) rows.push(await run(factor, stepMs, i + 1))

const [seconds, megabytes] = [[], []]
const began = performance.now()
const sampler = setInterval(() => {
  seconds.push((performance.now() - began) / 1000)
  megabytes.push(memoryMb())
}, 500)
const sustained = await run(2, sustainedMs, 99)
clearInterval(sampler)
const end = await server.stop()
if (end.code !== 0) throw new Error(`glet serve ended with ${end.signal ?? end.code}`)

// The first third is warm-up: heaps grow to their working size.
const from = Math.floor(seconds.length / 3)
const growthMbPerMinute = slope(seconds.slice(from), megabytes.slice(from)) * 60

printTable("overload: Poisson arrivals, latency from the due time", [...rows, { ...sustained, load: "2 sustained" }])
console.log(`  memory over the last two thirds of ${sustainedMs / 1000} s: ${megabytes[from].toFixed(0)} -> ${megabytes.at(-1).toFixed(0)} MB, ${growthMbPerMinute.toFixed(1)} MB a minute`)

const peak = Math.max(...rows.map((row) => row.goodputRps))
const twice = rows.find((row) => row.load === 2)
conclude(
  `overload (${model.name})`,
  [
    { name: "goodput at 2x capacity / peak goodput", value: twice.goodputRps / peak, rule: ">=", limit: 0.9 },
    { name: "goodput sustained at 2x / peak goodput", value: sustained.goodputRps / peak, rule: ">=", limit: 0.9 },
    { name: "median time to a refusal at 2x, ms", value: twice.refusalMs, rule: "<=", limit: 25 },
    { name: "neither answered nor refused at 2x, %", value: twice.otherPct, rule: "<=", limit: 0 },
    { name: "memory growth at 2x, MB a minute", value: growthMbPerMinute, rule: "<=", limit: 20 }
  ],
  { capacityRps, rows, sustained, seconds, megabytes }
)
