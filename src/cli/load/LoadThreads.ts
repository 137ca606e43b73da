/**
 * A scenario's load sent by several threads, each a part of the requests: answers of a batch come all at once, and while one thread reads the last
 * of them the next request of all others is late. Who asks real servers is many.
 *
 * @since 0.1.0
 */
import * as fs from "node:fs"
import * as os from "node:os"
import { fileURLToPath } from "node:url"
import { Worker } from "node:worker_threads"
import type { LatencyCounts } from "../../core/LatencyHistogram.js"
import { LatencyHistogram } from "../../core/LatencyHistogram.js"
import type { Scenario } from "../../simulator/Scenario.js"
import type { Target } from "./HttpConnection.js"
import type { LoadOptions, LoadResult } from "./LoadGenerator.js"
import type { Share } from "./ScenarioLoad.js"
import type { Silence } from "./ServerPool.js"
import type { StreamCounts } from "./StreamStats.js"
import { StreamStats } from "./StreamStats.js"

/** What a thread plays. @since 0.1.0 @category threads */
export interface ThreadLoad {
  readonly scenario: Scenario
  readonly share: Share
  readonly factor: number
  readonly seed: number
  readonly warmUpMs: number
  readonly durationMs: number
  /** Whole HTTP requests by model, and where it is served if not with the others. */
  readonly requests: ReadonlyMap<string, { readonly requests: ReadonlyArray<Uint8Array>; readonly target?: Target }>
  readonly options: Pick<LoadOptions, "target" | "connections" | "timeoutMs">
  /** When all begin, ms of the epoch. */
  readonly startAtMs: number
}

/** What a thread counted: its result, or how many requests ended so far. @since 0.1.0 @category threads */
export type ThreadMessage =
  | { readonly kind: "progress"; readonly elapsedMs: number; readonly requests: number }
  | {
    readonly kind: "result"
    readonly streams: ReadonlyArray<StreamCounts>
    readonly sendLag: LatencyCounts
    readonly elapsedMs: number
    readonly waited: number
    readonly silent: ReadonlyArray<Silence>
  }

/** Time for threads to start, and for their connections to be open and tried out, ms. */
const startMs = 500

const entry = (): URL => {
  const found = ["./load-thread.js", "../../../dist/bin/load-thread.js"].map((place) => new URL(place, import.meta.url)).find((url) => fs.existsSync(fileURLToPath(url)))
  if (found === undefined) throw new Error("load-thread.js was not built: npm run build")
  return found
}

/** Threads for the processors of this host: most of them are the server's. @since 0.1.0 @category threads */
export const usualThreads = (): number => Math.max(1, Math.min(4, Math.floor(os.availableParallelism() / 4)))

type ThreadResult = Extract<ThreadMessage, { readonly kind: "result" }>

/** What the thread counted. Rejects where it ends before. */
const resultOf = (worker: Worker, onProgress: (elapsedMs: number, requests: number) => void): Promise<ThreadResult> =>
  new Promise((resolve, reject) => {
    worker.on("message", (message: ThreadMessage) => {
      if (message.kind === "progress") return onProgress(message.elapsedMs, message.requests)
      resolve(message)
    })
    worker.once("error", reject)
    worker.once("exit", (code) => reject(new Error(`a thread of the client ended with ${code}`)))
  })

/** Only a server that no thread heard of any more is silent. */
const silentForAll = ([first, ...others]: ReadonlyArray<ThreadResult>): ReadonlyArray<Silence> =>
  first!.silent.flatMap((silence) => {
    const same = others.map(({ silent }) => silent.find(({ target: { host, port } }) => host === silence.target.host && port === silence.target.port))
    if (same.includes(undefined)) return []
    const all = [silence, ...same.map((each) => each!)]
    return [{ ...silence, sinceMs: Math.min(...all.map(({ sinceMs }) => sinceMs)), exchanges: all.reduce((sum, { exchanges }) => sum + exchanges, 0) }]
  })

const merged = (results: ReadonlyArray<ThreadResult>): LoadResult => {
  const sendLag = new LatencyHistogram()
  for (const result of results) sendLag.merge(result.sendLag)
  return {
    streams: results[0]!.streams.map(({ sloMs }, i) => {
      const stats = new StreamStats(sloMs)
      for (const { streams } of results) stats.merge(streams[i]!)
      return { stats, windows: [stats] }
    }),
    elapsedMs: Math.max(...results.map(({ elapsedMs }) => elapsedMs)),
    sendLag,
    waited: results.reduce((sum, { waited }) => sum + waited, 0),
    silent: silentForAll(results)
  }
}

/** @since 0.1.0 @category threads */
export interface ThreadsOptions extends Omit<ThreadLoad, "share" | "startAtMs"> {
  readonly threads: number
  readonly signal: AbortSignal
  readonly onProgress: (elapsedMs: number, requests: number) => void
}

/** Plays a scenario by several threads. Connections are divided among them. @since 0.1.0 @category threads */
export const runThreads = async ({ onProgress, signal, threads, ...load }: ThreadsOptions): Promise<LoadResult> => {
  const startAtMs = Date.now() + startMs
  const file = entry()
  const requests = new Array<number>(threads).fill(0)
  const options = { ...load.options, connections: Math.max(1, Math.ceil(load.options.connections / threads)) }
  const workers = requests.map((_, index) => {
    const workerData: ThreadLoad = { ...load, options, share: { index, of: threads }, startAtMs }
    return new Worker(file, { workerData })
  })
  const stop = (): void => {
    for (const worker of workers) worker.postMessage("stop")
  }
  signal.addEventListener("abort", stop)
  try {
    return merged(await Promise.all(workers.map((worker, index) =>
      resultOf(worker, (elapsedMs, ended) => {
        requests[index] = ended
        onProgress(elapsedMs, requests.reduce((sum, each) => sum + each, 0))
      }))))
  } finally {
    signal.removeEventListener("abort", stop)
    // Where one has failed the others still send.
    await Promise.all(workers.map((worker) => worker.terminate()))
  }
}
