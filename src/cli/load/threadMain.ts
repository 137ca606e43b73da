/** A thread of the client: plays its part of a scenario's load and tells what it counted. */
import { parentPort, workerData } from "node:worker_threads"
import { runLoad } from "./LoadGenerator.js"
import type { ThreadLoad, ThreadMessage } from "./LoadThreads.js"
import { scenarioStreams } from "./ScenarioLoad.js"

const load = workerData as ThreadLoad
const tell = (message: ThreadMessage): void => parentPort!.postMessage(message)

// Buffers arrive as plain bytes.
const requests = new Map([...load.requests].map(([model, { requests, ...route }]) => [
  model, { ...route, requests: requests.map((bytes) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)) }
]))
const stop = new AbortController()
parentPort!.on("message", () => stop.abort())

void runLoad({
  ...load.options, precise: true, windowMs: Infinity, signal: stop.signal, startAtMs: load.startAtMs,
  onTick: (elapsedMs, stats) => tell({ kind: "progress", elapsedMs, requests: stats.reduce((sum, stream) => sum + stream.requests, 0) })
}, scenarioStreams(load.scenario, { ...load, requestsFor: (model) => requests.get(model)! })).then(({ elapsedMs, sendLag, silent, streams, waited }) => {
  tell({ kind: "result", streams: streams.map(({ stats }) => stats), sendLag, elapsedMs, waited, silent })
  parentPort!.close()
})
