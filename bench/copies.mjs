// command: node bench/run.mjs copies [--requests 200] [--json] [--check]
/**
 * How often the bytes of a 600 kB input are copied between the socket and the runner. Two independent witnesses over the same requests:
 *
 * 1. Every JavaScript call that can copy bytes is counted in the agent (lib/countCopies.mjs), by call.
 * 2. Linux counts the bytes that pass through read and write calls of each process (/proc/PID/io). The agent must read the input once, from the
 *    client's socket; the runners must read next to nothing, because the tensor does not travel to them: they see it in shared memory.
 *
 * What the runner does with the bytes afterwards (a request that runs alone is bound where it stands, a batch is assembled) is not counted.
 */
import { parseArgs } from "node:util"
import * as fs from "node:fs"
import * as path from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { openClient } from "./lib/load.mjs"
import { imageModel } from "./lib/models.mjs"
import { ioBytes, processTree } from "./lib/proc.mjs"
import { binaryRequest, randomFloats } from "./lib/requests.mjs"
import { modelReady, startGlet, temporaryFolder } from "./lib/servers.mjs"
import { conclude, printTable } from "./lib/stats.mjs"

const { values: options } = parseArgs({
  options: { requests: { type: "string", default: "200" }, json: { type: "boolean" }, check: { type: "boolean" } }
})
const count = Number(options.requests)
const imageBytes = 4 * 3 * 224 * 224

const model = await imageModel()
const requests = [1, 2].map((seed) => binaryRequest(model.name, model.input, [1, 3, 224, 224], randomFloats(3 * 224 * 224, seed)))
const folder = temporaryFolder()
const preload = new URL("./lib/countCopies.mjs", import.meta.url).href
const server = await startGlet(model.folder, ["--slo", `${model.name}=${model.sloMs}`], {
  nodeFlags: ["--import", preload],
  env: { GLET_BENCH_COPIES: folder }
})
await modelReady(server.port, model.name)
const client = await openClient(server.port, 1)
await client.closedLoop(requests, { count: 20 })

const pids = processTree(server.pid)
const report = path.join(folder, `${server.pid}.json`)
const look = async () => {
  process.kill(server.pid, "SIGUSR2")
  await sleep(500)
  return { calls: JSON.parse(fs.readFileSync(report, "utf8")), io: pids.map(ioBytes) }
}

const before = await look()
const { statuses } = await client.closedLoop(requests, { count })
const after = await look()
client.close()
if (statuses.get(200) !== count) throw new Error(`not every answer was 200: ${JSON.stringify([...statuses])}`)

const images = (bytes) => bytes / count / imageBytes
const calls = Object.entries(after.calls)
  .map(([call, { bytes, calls }]) => ({ call, bytes: bytes - (before.calls[call]?.bytes ?? 0), calls: calls - (before.calls[call]?.calls ?? 0) }))
  .filter(({ bytes }) => bytes > 0)
  .map(({ bytes, call, calls }) => ({ call, callsPerRequest: calls / count, imagesPerRequest: images(bytes) }))
const passed = pids.map((pid, i) => ({
  role: pid === server.pid ? "agent" : "runner",
  pid,
  readPerRequest: images(after.io[i].readBytes - before.io[i].readBytes),
  writtenPerRequest: images(after.io[i].writtenBytes - before.io[i].writtenBytes)
}))
await server.stop()

printTable(`copies: calls of 4 kB and more in the agent, ${count} requests of ${imageBytes} bytes; 1 image = the whole input once`, calls)
printTable("copies: bytes through read and write calls, in images", passed)
const sum = (role, field) => passed.filter((row) => row.role === role).reduce((total, row) => total + row[field], 0)
conclude(
  "copies",
  [
    { name: "agent: images copied per request", value: calls.reduce((total, row) => total + row.imagesPerRequest, 0), rule: "<=", limit: 1.01 },
    { name: "agent: images read, from the client", value: sum("agent", "readPerRequest"), rule: "<=", limit: 1.01 },
    { name: "agent: images written, to client and runner", value: sum("agent", "writtenPerRequest"), rule: "<=", limit: 0.01 },
    { name: "runner: images read, from the agent", value: sum("runner", "readPerRequest"), rule: "<=", limit: 0.01 }
  ],
  { calls, passed }
)
