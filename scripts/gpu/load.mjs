// Open-loop load over HTTP for scripts/gpu-check.mjs: every request ends as one record, also the one that nobody answers.
import { Agent, request } from "node:http"

/** A v2 request body with one binary tensor of noise per input. */
export const bodyFor = (metadata, seed) => {
  const sizes = { FP32: 4, INT64: 8 }
  const inputs = metadata.inputs.map(({ datatype, name, shape }) => {
    const dims = shape.map((size, i) => (size > 0 ? size : i === 0 ? 1 : 32))
    const count = dims.reduce((product, size) => product * size, 1)
    const bytes = Buffer.alloc(count * sizes[datatype])
    for (let i = 0; i < count; i++) {
      if (datatype === "FP32") bytes.writeFloatLE((((i + seed) * 2654435761) % 1000) / 1000, 4 * i)
      else bytes.writeBigInt64LE(BigInt((i * 7 + seed) % 1000), 8 * i)
    }
    return { head: { name, datatype, shape: dims, parameters: { binary_data_size: bytes.length } }, bytes }
  })
  const head = Buffer.from(JSON.stringify({ parameters: { binary_data_output: true }, inputs: inputs.map((input) => input.head) }))
  return { headers: { "inference-header-content-length": head.length }, body: Buffer.concat([head, ...inputs.map((input) => input.bytes)]) }
}

/** Sends to a model at a rate, which may change, until stopped. */
export const startStream = (port, model, rateRps, body) => {
  const agent = new Agent({ keepAlive: true, maxSockets: 256 })
  const records = []
  const open = new Set()
  let rate = rateRps
  let stopped = false
  let due = performance.now()
  const once = (dueMs) => {
    const record = { model, dueMs, status: 0, latencyMs: 0, reason: "" }
    let done
    open.add(new Promise((resolve) => { done = resolve }).then(() => undefined))
    const end = (status, reason) => {
      if (record.latencyMs > 0) return
      Object.assign(record, { status, reason, latencyMs: performance.now() - dueMs })
      records.push(record)
      done()
    }
    const outgoing = request({
      agent, host: "127.0.0.1", port, method: "POST", path: `/v2/models/${model}/infer`,
      headers: { ...body.headers, "content-length": body.body.length, "content-type": "application/octet-stream" }
    }, (response) => {
      const parts = []
      response.on("data", (part) => response.statusCode === 200 || parts.push(part))
      response.on("error", (error) => end(0, error.message))
      response.on("end", () => end(response.statusCode, response.statusCode === 200 ? "" : `${response.headers["x-glet-drop-reason"] ?? response.headers["x-glet-unavailable-reason"] ?? Buffer.concat(parts).toString().slice(0, 200)}`))
    })
    outgoing.setTimeout(15_000, () => outgoing.destroy(new Error("not answered within 15 s")))
    outgoing.on("error", (error) => end(0, error.message))
    outgoing.end(body.body)
  }
  const tick = () => {
    if (stopped) return
    for (const now = performance.now(); due <= now; due += 1000 / rate) once(due)
    setTimeout(tick, Math.max(0, due - performance.now()))
  }
  tick()
  return {
    model, records,
    setRate: (rps) => { rate = rps },
    stop: async () => {
      stopped = true
      await Promise.all(open)
      agent.destroy()
    }
  }
}

const percentile = (sorted, part) => (sorted.length === 0 ? 0 : sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))])

/** What became of the requests that were due in a span of time. */
export const summary = (streams, fromMs, toMs, only) => {
  const all = streams.filter(({ model }) => only === undefined || only.includes(model)).flatMap(({ records }) => records).filter(({ dueMs }) => dueMs >= fromMs && dueMs < toMs)
  const ok = all.filter(({ status }) => status === 200).map(({ latencyMs }) => latencyMs).sort((a, b) => a - b)
  const reasons = {}
  for (const { reason, status } of all) if (status !== 200) reasons[`${status} ${reason}`] = (reasons[`${status} ${reason}`] ?? 0) + 1
  return { sent: all.length, ok: ok.length, p50Ms: +percentile(ok, 0.5).toFixed(2), p99Ms: +percentile(ok, 0.99).toFixed(2), maxMs: +(ok.at(-1) ?? 0).toFixed(1), refused: reasons }
}
