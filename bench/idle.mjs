// command: node bench/run.mjs idle [--seconds 20] [--json] [--check]
/**
 * What a server costs that nobody asks anything: CPU of the agent and its runners in percent of one core, and their memory without the models'
 * weights. Memory is PSS: pages that agent and runners share count once. Measured twice: fresh, and again after it has worked for a while (heaps
 * have grown by then, and an idle server should be idle also after its first request).
 */
import { parseArgs } from "node:util"
import * as fs from "node:fs"
import * as path from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { openClient } from "./lib/load.mjs"
import { lenetModel } from "./lib/models.mjs"
import { commandOf, cpuMs, processTree, pssBytes } from "./lib/proc.mjs"
import { digitImages, jsonRequest } from "./lib/requests.mjs"
import { modelReady, startGlet } from "./lib/servers.mjs"
import { conclude, printTable } from "./lib/stats.mjs"

const { values: options } = parseArgs({
  options: { seconds: { type: "string", default: "20" }, json: { type: "boolean" }, check: { type: "boolean" } }
})
const seconds = Number(options.seconds)

const model = lenetModel()
const weightBytes = fs.readdirSync(model.folder).reduce((sum, file) => sum + fs.statSync(path.join(model.folder, file)).size, 0)
const server = await startGlet(model.folder, ["--slo", `${model.name}=${model.sloMs}`])
await modelReady(server.port, model.name)

const rows = []
const measure = async (when) => {
  await sleep(3000)
  const pids = processTree(server.pid)
  const before = pids.map(cpuMs)
  const began = performance.now()
  await sleep(seconds * 1000)
  const elapsedMs = performance.now() - began
  const each = pids.map((pid, i) => ({
    when,
    process: commandOf(pid),
    cpuPct: ((cpuMs(pid) - before[i]) / elapsedMs) * 100,
    pssMb: pssBytes(pid) / 1e6
  }))
  rows.push(...each)
  return {
    cpuPct: each.reduce((sum, row) => sum + row.cpuPct, 0),
    memoryMb: each.reduce((sum, row) => sum + row.pssMb, 0) - weightBytes / 1e6
  }
}

const fresh = await measure("fresh")
const requests = digitImages(64).map((image) => jsonRequest(model.name, model.input, [1, 1, 28, 28], image))
const client = await openClient(server.port, 64)
await client.closedLoop(requests, { durationMs: 5000 })
client.close()
const used = await measure("after 5 s of load")
await server.stop()

printTable(`idle: each process over ${seconds} s`, rows)
conclude(
  "idle",
  [
    { name: "fresh: CPU, % of one core", value: fresh.cpuPct, rule: "<=", limit: 2 },
    { name: "fresh: memory besides models, MB", value: fresh.memoryMb, rule: "<=", limit: 200 },
    { name: "after load: CPU, % of one core", value: used.cpuPct, rule: "<=", limit: 2 }
  ],
  { rows, afterLoadMemoryMb: used.memoryMb }
)
