/**
 * A cheap HTTP client for load: raw sockets, requests built once as bytes, answers counted and not parsed. It shares the cores with the server
 * under test, so every microsecond it saves is one that it does not disturb.
 */
import * as net from "node:net"
import { performance } from "node:perf_hooks"
import { random } from "./stats.mjs"

const headerEnd = Buffer.from("\r\n\r\n")
const lengthField = Buffer.from("\nContent-Length: ")

/** One keep-alive connection with at most one request under way. */
class Connection {
  constructor(socket) {
    this.socket = socket
    this.held = undefined
    this.status = 0
    this.missing = 0
    this.done = undefined
    this.keepBody = undefined
    this.head = ""
    socket.setNoDelay(true)
    socket.on("data", (chunk) => this.#read(chunk))
    socket.on("close", () => this.#fail("connection closed by the server"))
    socket.on("error", (error) => this.#fail(error.message))
  }

  /** Sends; `done(status, error)` is called when the whole answer has been read. */
  send(bytes, done) {
    if (this.done !== undefined) throw new Error("a request is under way already")
    if (this.socket.destroyed) {
      setImmediate(done, 0, "connection closed by the server")
      return
    }
    this.done = done
    this.socket.write(bytes)
  }

  /** The body of the last answer, where it was kept: asked for, or of another status than 200. */
  takeBody() {
    const body = Buffer.concat(this.keepBody ?? [])
    this.keepBody = undefined
    return body
  }

  #fail(message) {
    const done = this.done
    this.done = undefined
    if (done !== undefined) done(0, message)
  }

  #read(chunk) {
    // What a server says before it closes a connection that was not used for long.
    if (this.done === undefined) return void this.socket.destroy()
    if (this.missing === 0) {
      if (this.held !== undefined) chunk = Buffer.concat([this.held, chunk])
      const end = chunk.indexOf(headerEnd)
      if (end < 0) {
        this.held = chunk
        return
      }
      this.held = undefined
      // All servers here write it so. Looked for as bytes: a string of every head would cost the client more than all else it does with it.
      const at = chunk.indexOf(lengthField)
      if (at < 0 || at > end) throw new Error(`the answer has no Content-Length: ${chunk.latin1Slice(0, end)}`)
      this.status = (chunk[9] - 48) * 100 + (chunk[10] - 48) * 10 + (chunk[11] - 48)
      if (this.keepBody !== undefined) this.head = chunk.latin1Slice(0, end + 2).toLowerCase()
      else if (this.status !== 200) this.keepBody = []
      this.missing = 0
      for (let i = at + lengthField.length; chunk[i] >= 48 && chunk[i] <= 57; i++) this.missing = this.missing * 10 + chunk[i] - 48
      if (this.missing === 0) return this.#end()
      chunk = chunk.subarray(end + 4)
      if (chunk.length === 0) return
    }
    this.keepBody?.push(chunk)
    if (chunk.length > this.missing) throw new Error(`bytes that belong to no answer: ${chunk.latin1Slice(this.missing)}`)
    this.missing -= chunk.length
    if (this.missing === 0) this.#end()
  }

  #end() {
    const done = this.done
    this.done = undefined
    done(this.status)
  }
}

const connect = (port) =>
  new Promise((resolve, reject) => {
    const socket = net.connect({ port, host: "127.0.0.1" }, () => {
      socket.off("error", reject)
      resolve(new Connection(socket))
    })
    socket.once("error", reject)
  })

/** A set of open connections to one port. */
export const openClient = async (port, connections) => {
  const all = []
  for (let i = 0; i < connections; i++) all.push(await connect(port))

  /** One request; status, header fields as text in lower case, and body of its answer. */
  const ask = (bytes) =>
    new Promise((resolve, reject) => {
      const connection = all[0]
      connection.keepBody = []
      connection.send(bytes, (status, error) => {
        const body = connection.takeBody()
        if (error === undefined) resolve({ status, head: connection.head, body })
        else reject(new Error(error))
      })
    })

  /**
   * Every connection sends its next request when the last one is answered. Ends after `durationMs` or `requests`, whichever is first; answers
   * under way at the end are waited for and counted. `refusal` is the first answer whose status is not 200.
   */
  const closedLoop = (requests, { durationMs = Infinity, count = Infinity }) =>
    new Promise((resolve, reject) => {
      const latenciesMs = []
      const statuses = new Map()
      let refusal
      const began = performance.now()
      let sent = 0
      let underWay = 0
      const next = (connection) => {
        const sentAt = performance.now()
        if (sent >= count || sentAt - began >= durationMs) {
          if (underWay === 0) resolve({ latenciesMs, statuses, refusal, elapsedMs: sentAt - began, rateRps: (latenciesMs.length / (sentAt - began)) * 1000 })
          return
        }
        underWay++
        connection.send(requests[sent++ % requests.length], (status, error) => {
          underWay--
          if (error !== undefined) return reject(new Error(error))
          latenciesMs.push(performance.now() - sentAt)
          statuses.set(status, (statuses.get(status) ?? 0) + 1)
          if (status !== 200) {
            const text = connection.takeBody()
            refusal ??= `${status} ${text}`
          }
          next(connection)
        })
      }
      for (const connection of all) next(connection)
    })

  /**
   * Poisson arrivals at `rateRps`. Latency counts from the time a request was due, also where it had to wait here for a free connection, so a
   * slow server cannot slow the load down. Answers are waited for after the last arrival, for `graceMs` at most; what is missing then is counted
   * in `unanswered`, and the client cannot be used again.
   */
  const openLoop = (requests, { rateRps, durationMs, seed, graceMs = 10_000 }) =>
    new Promise((resolve) => {
      const uniform = random(seed)
      const free = [...all]
      const waiting = []
      let waitingHead = 0
      const ends = []
      let dueMs = performance.now()
      const began = dueMs
      let arrived = 0
      let maxWaiting = 0
      let over = false
      let timer
      const gap = () => (-Math.log(1 - uniform()) / rateRps) * 1000
      const finish = () => {
        over = true
        clearTimeout(timer)
        resolve({ ends, arrived, unanswered: arrived - ends.length, maxWaiting })
      }
      const start = (connection, dueAtMs) =>
        connection.send(requests[arrived % requests.length], (status) => {
          if (over) return
          connection.keepBody = undefined
          ends.push({ status, latencyMs: performance.now() - dueAtMs, atMs: dueAtMs - began })
          if (waitingHead < waiting.length) start(connection, waiting[waitingHead++])
          else free.push(connection)
          if (dueMs === Infinity && ends.length === arrived) finish()
        })
      const pump = () => {
        const now = performance.now()
        while (dueMs <= now) {
          // The one that rests longest: a server may close connections that are not used.
          const connection = free.shift()
          arrived++
          if (connection === undefined) waiting.push(dueMs)
          else start(connection, dueMs)
          dueMs += gap()
          if (dueMs - began > durationMs) dueMs = Infinity
        }
        maxWaiting = Math.max(maxWaiting, waiting.length - waitingHead)
        if (dueMs === Infinity) {
          timer = setTimeout(finish, graceMs)
          if (ends.length === arrived) finish()
        } else timer = setTimeout(pump, Math.max(0, dueMs - performance.now()))
      }
      dueMs += gap()
      pump()
    })

  const close = () => {
    for (const connection of all) connection.socket.destroy()
  }
  return { ask, closedLoop, openLoop, close, size: all.length }
}

/**
 * Measures sides in turn, so that whatever else the machine does hits all alike: `sides` is a record of functions, each measuring one slice.
 * The first round warms up and is not counted. The order is turned around every round.
 */
export const alternate = async (rounds, sides) => {
  const results = Object.fromEntries(Object.keys(sides).map((name) => [name, []]))
  const names = Object.keys(sides)
  for (let round = 0; round <= rounds; round++) {
    for (const name of round % 2 === 0 ? names : [...names].reverse()) {
      const result = await sides[name]()
      if (round > 0) results[name].push(result)
    }
  }
  return results
}
