// command: node bench/run.mjs recovery [--rounds 5] [--json] [--check]
/**
 * How long a server is without its glets after its runner was killed with SIGKILL under load, and whether a request is lost whose objective leaves time for
 * the runner's successor.
 */
import { parseArgs } from "node:util"
import { setTimeout as sleep } from "node:timers/promises"
import { openClient } from "./lib/load.mjs"
import { lenetModel } from "./lib/models.mjs"
import { digitImages, jsonRequest } from "./lib/requests.mjs"
import { getJson, modelReady, startGlet } from "./lib/servers.mjs"
import { conclude, median, printTable } from "./lib/stats.mjs"

const { values: options } = parseArgs({
  options: { rounds: { type: "string", default: "5" }, json: { type: "boolean" }, check: { type: "boolean" } }
})

const model = lenetModel()
const server = await startGlet(model.folder, ["--slo", `${model.name}=5000`])
await modelReady(server.port, model.name)
const requests = digitImages(16).map((image) => jsonRequest(model.name, model.input, [1, 1, 28, 28], image))
const gletsNow = async () => (await getJson(server.port, "/glet/v1alpha1/status")).glets

const rows = []
for (let round = 1; round <= Number(options.rounds); round++) {
  const before = await gletsNow()
  const deaths = Math.max(...before.map(({ restarts }) => restarts))
  const client = await openClient(server.port, 4)
  const load = client.closedLoop(requests, { durationMs: 4000 })
  await sleep(500)
  const killedMs = performance.now()
  process.kill(before[0].pid, "SIGKILL")
  let backMs = Infinity
  while (performance.now() - killedMs < 30_000) {
    const glets = await gletsNow()
    if (glets.length > 0 && glets.every(({ restarts, state }) => state === "ready" && restarts > deaths)) {
      backMs = performance.now() - killedMs
      break
    }
    await sleep(5)
  }
  const { latenciesMs, statuses } = await load
  client.close()
  rows.push({ round, backMs, requests: latenciesMs.length, lost: latenciesMs.length - (statuses.get(200) ?? 0), longestMs: latenciesMs.reduce((a, b) => Math.max(a, b), 0) })
  // Deaths that follow each other closely would be a crash loop.
  await sleep(12_000)
}
await server.stop()

printTable("recovery: from SIGKILL until every glet is ready again", rows)
conclude("recovery", [
  { name: "median until the glets are back, ms", value: median(rows.map(({ backMs }) => backMs)), rule: "<=", limit: 2000 },
  { name: "longest until the glets are back, ms", value: Math.max(...rows.map(({ backMs }) => backMs)), rule: "<=", limit: 2000 },
  { name: "requests with time to wait that were lost", value: rows.reduce((sum, { lost }) => sum + lost, 0), rule: "<=", limit: 0 }
], { rows })
