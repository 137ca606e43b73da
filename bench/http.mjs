// command: node bench/run.mjs http [--only lenet,dense,image,shared] [--fronts N] [--quick] [--json] [--check]
/**
 * Requests over HTTP through server, scheduler and runner, against "bare" (lib/bare.mjs) on the same cores. Both servers stay up, slices of
 * them are measured in turn, and the figure is the median over rounds of the ratio within a round: noise of the machine hits both sides.
 *
 * - lenet: one-item JSON requests; latency of one connection, throughput of 64 connections.
 * - dense: four 2048x2048 layers, one item a request; throughput of 64 connections. Bound by memory bandwidth, so batching must pay.
 * - image: 602,112 bytes (1x3x224x224) as binary tensor data; median latency above that of a server that only reads the body.
 * - shared: the same image in memory that the client shares with the server, against binary tensor data, both with this server.
 *
 * With `--fronts N` ours reads requests in N processes; N cores more are then needed for figures that mean something.
 *
 * bare runs twice, with one thread and with onnxruntime's default; the better of the two, figure by figure, is the baseline.
 */
import { parseArgs } from "node:util"
import { alternate, openClient } from "./lib/load.mjs"
import { denseModel, imageModel, lenetModel } from "./lib/models.mjs"
import { cpuMs, processTree } from "./lib/proc.mjs"
import { binaryRequest, digitImages, jsonRequest, outputsOf, randomFloats, sharedRequests } from "./lib/requests.mjs"
import { modelReady, postJson, startBare, startGlet, startReader } from "./lib/servers.mjs"
import { conclude, median, printTable, sorted, quantile } from "./lib/stats.mjs"

const { values: options } = parseArgs({
  options: { only: { type: "string" }, fronts: { type: "string", default: "0" }, quick: { type: "boolean" }, json: { type: "boolean" }, check: { type: "boolean" } }
})
const rounds = options.quick ? 3 : 11
const sliceMs = options.quick ? 500 : 1500
/** Flags of `glet serve`. */
const fronts = options.fronts === "0" ? [] : ["--fronts", options.fronts]
const wanted = new Set((options.only ?? "lenet,dense,image,shared").split(","))

/** The answer's numbers; fails where the server did not answer 200. */
const askFor = async (client, bytes) => {
  const answer = await client.ask(bytes)
  if (answer.status !== 200) throw new Error(`the server answered ${answer.status}: ${answer.body}`)
  return outputsOf(answer)
}

/** Both sides must compute the same before their speed means anything. */
const compareAnswers = async (bare, ours, requests, oursRequests = requests) => {
  for (const [i, bytes] of requests.entries()) {
    const [expected, actual] = [await askFor(bare, bytes), await askFor(ours, oursRequests[i])]
    expected.forEach((data, output) =>
      data.forEach((value, i) => {
        if (!(Math.abs(actual[output][i] - value) <= 1e-3 * (1 + Math.abs(value)))) {
          throw new Error(`output ${output}[${i}] is ${actual[output][i]}, bare says ${value}`)
        }
      })
    )
  }
}

const allOk = (slice, server) => {
  if (slice.refusal !== undefined) throw new Error(`a request was not answered: ${slice.refusal}\n${server.errors()}`)
  return slice
}

const medianMs = (slice) => median(slice.latenciesMs)
const rateRps = (slice) => slice.rateRps

const bars = []
const rows = []

/** CPU time of a server and its processes, in ms. */
const cpuOf = ({ pid }) => processTree(pid).reduce((sum, one) => sum + cpuMs(one), 0)

/**
 * Slices of all sides in turn. `clients` holds "ours" and one or more baselines; the baseline is the one whose median is best. Notes and returns
 * the medians of both, the ratio ours/bare (median over rounds, with 10th and 90th percentile), and the CPU time per request of both.
 */
const compare = async (name, unit, { clients, servers }, requests, figure, best, slice) => {
  const spent = new Map()
  const measured = async (side, client) => {
    const before = cpuOf(servers[side])
    const result = allOk(await client.closedLoop(requests, slice), servers[side])
    const { cpu, count } = spent.get(side) ?? { cpu: 0, count: 0 }
    spent.set(side, { cpu: cpu + cpuOf(servers[side]) - before, count: count + result.latenciesMs.length })
    return figure(result)
  }
  const { ours, ...baselines } = await alternate(
    rounds,
    Object.fromEntries(Object.entries(clients).map(([side, client]) => [side, () => measured(side, client)]))
  )
  const [[baseline, base]] = Object.entries(baselines).sort(([, a], [, b]) => (best === "low" ? 1 : -1) * (median(a) - median(b)))
  const ratios = sorted(ours.map((value, i) => value / base[i]))
  const cpuUs = (side) => Math.round((spent.get(side).cpu / spent.get(side).count) * 1000)
  const result = {
    baseline,
    bare: median(base),
    ours: median(ours),
    ratio: median(ratios),
    ratioP10: quantile(ratios, 0.1),
    ratioP90: quantile(ratios, 0.9),
    bareCpuUs: cpuUs(baseline),
    oursCpuUs: cpuUs("ours")
  }
  rows.push({ figure: name, unit, ...result })
  return result
}

/** Runs `measure(open)` with `glet serve` and the given baselines up; `open(n)` connects n times to each and compares some answers first. */
const against = async (model, requests, baselines, measure, answersAgree = true) => {
  const servers = { ...baselines, ours: await startGlet(model.folder, [...fronts, "--slo", `${model.name}=${model.sloMs}`]) }
  await modelReady(servers.ours.port, model.name)
  const withClients = async (connections, use) => {
    const clients = {}
    for (const [side, server] of Object.entries(servers)) clients[side] = await openClient(server.port, connections)
    if (answersAgree) await compareAnswers(Object.values(clients)[0], clients.ours, requests.slice(0, 8))
    else await askFor(clients.ours, requests[0])
    await use({ clients, servers })
    for (const client of Object.values(clients)) client.close()
  }
  await measure(withClients)
  for (const [side, server] of Object.entries(servers)) {
    const end = await server.stop()
    if (side === "ours" && end.code !== 0) throw new Error(`glet serve ended with ${end.signal ?? end.code}: ${server.errors()}`)
  }
}

/** onnxruntime with one thread, and with its default: a spinning thread per core. */
const bothBare = async (model) => ({ "bare 1 thread": await startBare(model.file, 1), "bare default": await startBare(model.file, 0) })

if (wanted.has("lenet")) {
  const model = lenetModel()
  const requests = digitImages(64).map((image) => jsonRequest(model.name, model.input, [1, 1, 28, 28], image))
  await against(model, requests, await bothBare(model), async (withClients) => {
    await withClients(1, async (sides) => {
      const latency = await compare("lenet, JSON, 1 connection: median latency", "ms", sides, requests, medianMs, "low", { durationMs: sliceMs })
      bars.push({ name: "lenet: median latency ours/bare", value: latency.ratio, rule: "<=", limit: 1 })
    })
    await withClients(64, async (sides) => {
      const rate = await compare("lenet, JSON, 64 connections: throughput", "1/s", sides, requests, rateRps, "high", { durationMs: sliceMs })
      bars.push({ name: "lenet: throughput ours/bare", value: rate.ratio, rule: ">=", limit: 1 })
    })
  })
}

if (wanted.has("dense")) {
  const model = await denseModel()
  const requests = Array.from({ length: 16 }, (_, i) => binaryRequest(model.name, model.input, [1, 2048], randomFloats(2048, i)))
  await against(model, requests, await bothBare(model), (withClients) =>
    withClients(64, async (sides) => {
      const rate = await compare("dense, binary, 64 connections: throughput", "1/s", sides, requests, rateRps, "high", { durationMs: 2 * sliceMs })
      bars.push({ name: "dense: throughput ours/bare", value: rate.ratio, rule: ">=", limit: 3 })
    })
  )
}

if (wanted.has("image")) {
  const model = await imageModel()
  const requests = [1, 2, 3, 4].map((seed) => binaryRequest(model.name, model.input, [1, 3, 224, 224], randomFloats(3 * 224 * 224, seed)))
  await against(model, requests, { "bare, reads only": await startReader() }, (withClients) =>
    withClients(1, async (sides) => {
      const latency = await compare("image, 602,112 bytes, 1 connection: median latency", "ms", sides, requests, medianMs, "low", { durationMs: sliceMs })
      // The model picks four numbers of the image: its own run (some 10 µs) stays in the figure instead of being estimated away.
      bars.push({ name: "image: median added over reading, ms", value: latency.ours - latency.bare, rule: "<=", limit: 1 })
    }), false)
}

if (wanted.has("shared")) {
  const model = await imageModel()
  const shape = [1, 3, 224, 224]
  const images = [1, 2, 3, 4].map((seed) => randomFloats(3 * 224 * 224, seed))
  const { register, requests } = sharedRequests(model.name, model.input, shape, images)
  const server = await startGlet(model.folder, [...fronts, "--shared-memory", "--slo", `${model.name}=${model.sloMs}`])
  await modelReady(server.port, model.name)
  await postJson(server.port, register.path, register.body)
  const kinds = { binary: images.map((image) => binaryRequest(model.name, model.input, shape, image)), shared: requests }
  for (const [connections, figure, unit, what, best] of [[1, medianMs, "ms", "median latency", "low"], [8, rateRps, "1/s", "throughput", "high"]]) {
    const client = await openClient(server.port, connections)
    await compareAnswers(client, client, kinds.binary, kinds.shared)
    const cpu = { binary: 0, shared: 0 }
    const answered = { binary: 0, shared: 0 }
    const slice = (kind) => async () => {
      const before = cpuOf(server)
      const result = allOk(await client.closedLoop(kinds[kind], { durationMs: sliceMs }), server)
      cpu[kind] += cpuOf(server) - before
      answered[kind] += result.latenciesMs.length
      return figure(result)
    }
    const { binary, shared } = await alternate(rounds, { binary: slice("binary"), shared: slice("shared") })
    client.close()
    const ratios = sorted(shared.map((value, i) => value / binary[i]))
    const ratio = median(ratios)
    const cpuUs = (kind) => Math.round((cpu[kind] / answered[kind]) * 1000)
    rows.push({
      figure: `image in shared memory, ${connections} connection${connections === 1 ? "" : "s"}: ${what}`, unit, baseline: "binary over HTTP",
      bare: median(binary), ours: median(shared), ratio, ratioP10: quantile(ratios, 0.1), ratioP90: quantile(ratios, 0.9),
      bareCpuUs: cpuUs("binary"), oursCpuUs: cpuUs("shared")
    })
    bars.push({ name: `image: ${what}, shared memory/binary`, value: ratio, rule: best === "low" ? "<=" : ">=", limit: 1 })
  }
  await server.stop()
}

printTable("http: medians over slices measured in turn; ratio = ours/bare within a round: median, 10th and 90th percentile; CPU time per request", rows)
conclude("http", bars, rows)
