// command: node bench/run.mjs copies [--requests 200] [--json] [--check]
/**
 * How often the bytes of a 600 kB input are copied between the socket and the runner. Two independent witnesses over the same requests:
 *
 * 1. Every JavaScript call that can copy bytes is counted in the agent and in the runners (lib/countCopies.mjs), by call.
 * 2. Linux counts the bytes that pass through read and write calls of each process (/proc/PID/io). The agent must read the input once, from the
 *    client's socket; the runners must read next to nothing, because the tensor does not travel to them: they see it in shared memory.
 *
 * The runner's own assembly of a batch on the CPU comes after that and is listed with the runner's calls.
 */
import { parseArgs } from "node:util"
import * as fs from "node:fs"
import * as path from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { openClient } from "./lib/load.mjs"
import { imageModel } from "./lib/models.mjs"
import { commandOf, ioBytes, processTree } from "./lib/proc.mjs"
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
  env: { NODE_OPTIONS: `--import ${preload}`, GLET_BENCH_COPIES: folder }
})
await modelReady(server.port, model.name)
const client = await openClient(server.port, 1)
await client.closedLoop(requests, { count: 20 })

const pids = processTree(server.pid)
const look = async () => {
  for (const pid of pids) process.kill(pid, "SIGUSR2")
  await sleep(500)
  return new Map(pids.map((pid) => [pid, { io: ioBytes(pid), calls: readCounts(pid) }]))
}
const readCounts = (pid) => {
  const file = path.join(folder, `${pid}.json`)
  if (!fs.existsSync(file)) throw new Error(`process ${pid} (${commandOf(pid)}) did not report its copies`)
  return JSON.parse(fs.readFileSync(file, "utf8"))
}

const before = await look()
const { statuses } = await client.closedLoop(requests, { count })
const after = await look()
client.close()
if (statuses.get(200) !== count) throw new Error(`not every answer was 200: ${JSON.stringify([...statuses])}`)

const images = (bytes) => bytes / count / imageBytes
const [calls, passed] = [[], []]
for (const pid of pids) {
  const role = pid === server.pid ? "agent" : "runner"
  const [a, b] = [before.get(pid), after.get(pid)]
  for (const [call, total] of Object.entries(b.calls)) {
    const bytes = total.bytes - (a.calls[call]?.bytes ?? 0)
    if (bytes > 0) calls.push({ role, call, callsPerRequest: (total.calls - (a.calls[call]?.calls ?? 0)) / count, imagesPerRequest: images(bytes) })
  }
  passed.push({
    role,
    process: commandOf(pid),
    readPerRequest: images(b.io.readBytes - a.io.readBytes),
    writtenPerRequest: images(b.io.writtenBytes - a.io.writtenBytes)
  })
}
await server.stop()

printTable(`copies: JavaScript calls of 4 kB and more over ${count} requests of ${imageBytes} bytes; 1 = the whole image once`, calls)
printTable("copies: bytes through read and write calls; 1 = the whole image once", passed)
const sum = (rows, role, field) => rows.filter((row) => row.role === role).reduce((total, row) => total + row[field], 0)
conclude(
  "copies",
  [
    { name: "agent: images copied per request", value: sum(calls, "agent", "imagesPerRequest"), rule: "<=", limit: 1.01 },
    { name: "agent: images read from the socket per request", value: sum(passed, "agent", "readPerRequest"), rule: "<=", limit: 1.01 },
    { name: "agent: images written (to the runner) per request", value: sum(passed, "agent", "writtenPerRequest"), rule: "<=", limit: 0.01 },
    { name: "runner: images read (from the agent) per request", value: sum(passed, "runner", "readPerRequest"), rule: "<=", limit: 0.01 }
  ],
  { calls, passed }
)
