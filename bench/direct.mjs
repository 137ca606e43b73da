// command: node bench/run.mjs direct [--executor cuda] [--isolation stream] [--fronts N] [--only image,painted,shrink] [--quick] [--json] [--check]
/**
 * Images in memory that the client shares with the server: glets that read and write them there (`--shared-memory-direct on`) against fronts that
 * copy them (`off`), two servers of one build on the same device, measured in turn; the figure is the median over rounds of the ratio within a round.
 *
 * - image: 602,112 bytes in, four numbers out.
 * - painted: 602,112 bytes in, as many out, both in the client's memory.
 * - shrink: a client that shrinks its memory while its requests run, again and again; no process of the server may end, nobody else's answer be wrong.
 *
 * Before anything is timed, all answers are compared with those to binary tensors over the socket.
 */
import * as fs from "node:fs"
import { setTimeout as sleep } from "node:timers/promises"
import { parseArgs } from "node:util"
import { alternate, openClient } from "./lib/load.mjs"
import { imageModel, paintedModel } from "./lib/models.mjs"
import { cpuMs, processTree } from "./lib/proc.mjs"
import { binaryRequest, outputsOf, randomFloats, sharedRequests } from "./lib/requests.mjs"
import { getJson, modelReady, postJson, startGlet } from "./lib/servers.mjs"
import { conclude, median, printTable, quantile, sorted } from "./lib/stats.mjs"

const { values: options } = parseArgs({
  options: {
    executor: { type: "string", default: "cpu" }, isolation: { type: "string" }, fronts: { type: "string", default: "0" },
    only: { type: "string", default: "image,painted,shrink" }, quick: { type: "boolean" }, json: { type: "boolean" }, check: { type: "boolean" }
  }
})
const rounds = options.quick ? 3 : 11
const sliceMs = options.quick ? 500 : 1500
const wanted = new Set(options.only.split(","))
const flags = ["--shared-memory", "--executor", options.executor, "--fronts", options.fronts, ...(options.isolation === undefined ? [] : ["--isolation", options.isolation])]
const shape = [1, 3, 224, 224]
const pixels = 3 * 224 * 224
/** No request is to be dropped: what is compared is how tensors travel. */
const sloMs = 1000
const rows = []
const bars = []

const started = async (model, direct) => {
  const server = await startGlet(model.folder, [...flags, "--shared-memory-direct", direct, "--slo", `${model.name}=${sloMs}`])
  await modelReady(server.port, model.name, 180_000)
  return server
}
const share = async (server, shared) => {
  await postJson(server.port, shared.register.path, shared.register.body)
  return shared
}
/** Waits until glets have said that they reach a region. */
const reached = async (server, { region }) => {
  for (let i = 0; i < 500; i++) {
    const [status] = await getJson(server.port, `/v2/systemsharedmemory/region/${region}/status`)
    if (status.direct === true) return
    await sleep(10)
  }
  throw new Error(`no glet reaches the memory itself: ${server.errors()}`)
}
const unregister = (server, { region }) => postJson(server.port, `/v2/systemsharedmemory/region/${region}/unregister`, {})

const same = (actual, expected, what) => {
  if (actual.length !== expected.length || expected.some((value, i) => Math.fround(actual[i]) !== Math.fround(value))) throw new Error(`${what} differs from the answer over the socket`)
}
/** Every image's answer over the socket, and in shared memory. */
const compareAnswers = async (server, model, images, shared) => {
  const client = await openClient(server.port, 1)
  for (const [i, image] of images.entries()) {
    const plain = await client.ask(binaryRequest(model.name, model.input, shape, image))
    const answer = await client.ask(shared.requests[i])
    if (plain.status !== 200 || answer.status !== 200) throw new Error(`the server answered ${plain.status} and ${answer.status}: ${answer.body}\n${server.errors()}`)
    const [expected] = outputsOf(plain)
    same(model.name === "painted" ? shared.outputOf(i) : outputsOf(answer)[0], expected, `image ${i} of ${model.name}`)
  }
  client.close()
}

const cpuOf = ({ pid }) => processTree(pid).reduce((sum, one) => sum + cpuMs(one), 0)

const compare = async (name, unit, figure, best, connections, servers, requests) => {
  const spent = { direct: { cpu: 0, count: 0 }, copied: { cpu: 0, count: 0 } }
  const clients = {}
  for (const side of ["direct", "copied"]) clients[side] = await openClient(servers[side].port, connections)
  const slice = (side) => async () => {
    const before = cpuOf(servers[side])
    const result = await clients[side].closedLoop(requests[side], { durationMs: sliceMs })
    if (result.refusal !== undefined) throw new Error(`a request was not answered: ${result.refusal}\n${servers[side].errors()}`)
    spent[side].cpu += cpuOf(servers[side]) - before
    spent[side].count += result.latenciesMs.length
    return figure(result)
  }
  const { copied, direct } = await alternate(rounds, { copied: slice("copied"), direct: slice("direct") })
  for (const client of Object.values(clients)) client.close()
  const ratios = sorted(direct.map((value, i) => value / copied[i]))
  const ratio = median(ratios)
  const cpuUs = ({ count, cpu }) => Math.round((cpu / count) * 1000)
  rows.push({
    figure: name, unit, baseline: "copied", bare: median(copied), ours: median(direct), ratio, ratioP10: quantile(ratios, 0.1), ratioP90: quantile(ratios, 0.9),
    bareCpuUs: cpuUs(spent.copied), oursCpuUs: cpuUs(spent.direct)
  })
  bars.push({ name: `${name}: direct/copied`, value: ratio, rule: best === "low" ? "<=" : ">=", limit: 1 })
}

const measure = async (model, output) => {
  const servers = { direct: await started(model, "on"), copied: await started(model, "off") }
  const images = [1, 2, 3, 4, 5, 6, 7, 8].map((seed) => randomFloats(pixels, seed))
  const shared = {}
  for (const [side, server] of Object.entries(servers)) {
    shared[side] = await share(server, sharedRequests(model.name, model.input, shape, images, output))
    if (side === "direct") await reached(server, shared[side])
    await compareAnswers(server, model, images, shared[side])
  }
  const requests = { direct: shared.direct.requests, copied: shared.copied.requests }
  const rate = ({ rateRps }) => rateRps
  await compare(`${model.name}, 1 connection: median latency`, "ms", ({ latenciesMs }) => median(latenciesMs), "low", 1, servers, requests)
  await compare(`${model.name}, 8 connections: throughput`, "1/s", rate, "high", 8, servers, requests)
  await compare(`${model.name}, 64 connections: throughput`, "1/s", rate, "high", 64, servers, requests)
  for (const server of Object.values(servers)) await server.stop()
}

/** Glets whose process died: another plan ends processes too, in order. */
const deathsOf = async ({ port }) => {
  const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
  const samples = text.split("\n").filter((line) => line.startsWith("glet_process_restarts_total"))
  if (!text.includes("glet_process_restarts_total")) throw new Error("the server does not say how many processes died")
  return samples.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" ") + 1)), 0)
}

/** A client shrinks its memory while its requests run, and lets it grow again or not. */
const shrink = async (model) => {
  const server = await started(model, "on")
  const images = [1, 2, 3, 4].map((seed) => randomFloats(pixels, seed))
  const steady = await share(server, sharedRequests(model.name, model.input, shape, images, "painted"))
  await reached(server, steady)
  const client = await openClient(server.port, 4)
  const bystander = await openClient(server.port, 1)
  const statuses = new Map()
  for (let round = 0; round < (options.quick ? 20 : 100); round++) {
    const shared = await share(server, sharedRequests(model.name, model.input, shape, images, "painted"))
    await reached(server, shared)
    const size = fs.statSync(shared.file).size
    const running = client.closedLoop(shared.requests, { count: 40 })
    await sleep(round % 7)
    fs.truncateSync(shared.file, round % 3 === 0 ? 0 : Math.floor(size / 3))
    if (round % 2 === 1) fs.truncateSync(shared.file, size)
    const seen = (await running).statuses
    for (const [status, count] of seen) statuses.set(status, (statuses.get(status) ?? 0) + count)
    for (const status of seen.keys()) if (status !== 200 && status !== 400) throw new Error(`a request ended with ${status}\n${server.errors()}`)
    // Somebody else's answer, at the same time and after.
    const answer = await bystander.ask(steady.requests[round % images.length])
    if (answer.status !== 200) throw new Error(`somebody else was answered ${answer.status}: ${answer.body}`)
    same(steady.outputOf(round % images.length), images[round % images.length], "somebody else's answer")
    await unregister(server, shared)
    fs.rmSync(shared.file)
  }
  const deaths = await deathsOf(server)
  if (deaths !== 0) throw new Error(`${deaths} glets died with their process\n${server.errors()}`)
  client.close()
  bystander.close()
  const { code, signal } = await server.stop()
  if (code !== 0) throw new Error(`glet serve ended with ${signal ?? code}: ${server.errors()}`)
  console.log(`shrink: ${JSON.stringify(Object.fromEntries(statuses))} answers by status while memory was shrunk; no process ended`)
  bars.push({ name: "shrink: answers refused since memory was shrunk", value: statuses.get(400) ?? 0, rule: ">=", limit: 1 })
}

if (wanted.has("image")) await measure(await imageModel())
if (wanted.has("painted")) await measure(await paintedModel(), "painted")
if (wanted.has("shrink")) await shrink(await paintedModel())
if (rows.length > 0) {
  printTable(`direct, ${options.executor}: medians over slices measured in turn; ours = read and written by glets, bare = copied by fronts; ratio within a round: median, 10th and 90th percentile; CPU time per request`, rows)
}
conclude("direct", bars, rows)
