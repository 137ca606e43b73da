/**
 * Connections to one server, made as they are needed, and what waits for one of them.
 *
 * @since 0.1.0
 */
import type { Exchange, Target } from "./HttpConnection.js"
import { HttpConnection } from "./HttpConnection.js"

/** A server that answered nothing any more. @since 0.1.0 @category load */
export interface Silence {
  readonly target: Target
  /** When the first exchange failed after which nothing that was sent was answered, ms after the start. */
  readonly sinceMs: number
  /** Exchanges that failed since then. */
  readonly exchanges: number
}

/** How a request ended, sent or not. @since 0.1.0 @category load */
export type SendEnd = Exchange | { readonly ok: false; readonly reason: "aborted" }

/** A request to send once. @since 0.1.0 @category load */
export interface Sending {
  readonly request: Buffer
  readonly scheduledMs: number
  /** Not called where `send` refused it. Whatever waited for the connection has it by then. */
  readonly onEnd: (end: SendEnd, endedMs: number) => void
}

/** What a connection is tried out with before it is needed: it costs the server nothing and says nothing of it. */
const tryOut = Buffer.from("GET /v2/health/live HTTP/1.1\r\nHost: glet\r\n\r\n")

/** So often on each: code that never ran is compiled meanwhile, on both sides. */
const tryOuts = 10

/** A server that has not answered by then is left to the load. */
const mostTryOutMs = 2000

interface Slot {
  readonly connection: HttpConnection
  /** Scheduled time of the request in flight; undefined while idle. */
  scheduledMs: number | undefined
}

// Requests that wait for a connection; beyond it they are refused, so that a dead server does not fill memory.
const maxWaiting = 20_000

/** @since 0.1.0 @category load */
export class ServerPool {
  /** Requests that found no free connection. */
  waited = 0
  silence: Silence | undefined
  private readonly slots: Array<Slot> = []
  private readonly idle: Array<Slot> = []
  private waiting: Array<Sending> = []
  private head = 0
  private aborted = false

  constructor(readonly target: Target, private readonly connections: number, private readonly nowMs: () => number) {}

  /** Makes so many connections and tries them out; complete when all have answered, or failed. A load that begins otherwise waits for them, and then comes at once. */
  async open(connections: number): Promise<void> {
    const trying = new Set(Array.from({ length: Math.min(connections, this.connections) }, () => this.connect()!))
    const enough = setTimeout(() => {
      for (const { connection } of trying) connection.abort("timeout")
    }, mostTryOutMs)
    await Promise.all([...trying].map((slot) => new Promise<void>((resolve) => {
      const again = (left: number): void => {
        if (left > 0) return slot.connection.send(tryOut, ({ ok }) => again(ok ? left - 1 : 0))
        trying.delete(slot)
        this.idle.push(slot)
        resolve()
      }
      again(tryOuts)
    })))
    clearTimeout(enough)
  }

  /** Sends it now, or when a connection is free. False: too many wait. */
  send(sending: Sending): boolean {
    const slot = this.idle.pop() ?? this.connect()
    if (slot !== undefined) {
      this.start(slot, sending)
      return true
    }
    this.waited++
    if (this.waiting.length - this.head >= maxWaiting) return false
    this.waiting.push(sending)
    return true
  }

  /** Gives up what was scheduled before. */
  expire(beforeMs: number): void {
    while (this.head < this.waiting.length && this.waiting[this.head]!.scheduledMs < beforeMs) this.giveUpFirst("timeout")
    for (const slot of this.slots) if (slot.scheduledMs !== undefined && slot.scheduledMs < beforeMs) slot.connection.abort("timeout")
  }

  /** Gives up everything, which says nothing of the server. */
  abort(): void {
    this.aborted = true
    while (this.head < this.waiting.length) this.giveUpFirst("aborted")
    for (const slot of this.slots) if (slot.scheduledMs !== undefined) slot.connection.abort("connection-lost")
  }

  close(): void {
    for (const { connection } of this.slots) connection.close()
  }

  private connect(): Slot | undefined {
    if (this.slots.length >= this.connections) return undefined
    const made: Slot = { connection: new HttpConnection(this.target), scheduledMs: undefined }
    this.slots.push(made)
    return made
  }

  private start(slot: Slot, { onEnd, request, scheduledMs }: Sending): void {
    const sentMs = this.nowMs()
    slot.scheduledMs = scheduledMs
    slot.connection.send(request, (exchange) => {
      const endedMs = this.nowMs()
      slot.scheduledMs = undefined
      this.note(exchange.ok, sentMs, endedMs)
      this.release(slot)
      onEnd(exchange, endedMs)
    })
  }

  /** Of connections that end together any may be heard of first: only what was sent after a failure and answered says that the server lives on. */
  private note(answered: boolean, sentMs: number, endedMs: number): void {
    const { silence } = this
    if (!answered) {
      if (!this.aborted) this.silence = { target: this.target, sinceMs: silence?.sinceMs ?? endedMs, exchanges: 1 + (silence?.exchanges ?? 0) }
    } else if (silence !== undefined && sentMs >= silence.sinceMs) this.silence = undefined
  }

  private release(slot: Slot): void {
    if (this.head === this.waiting.length) return void this.idle.push(slot)
    this.start(slot, this.takeFirst())
  }

  private takeFirst(): Sending {
    const first = this.waiting[this.head++]!
    if (this.head > 1024 && this.head * 2 > this.waiting.length) {
      this.waiting = this.waiting.slice(this.head)
      this.head = 0
    }
    return first
  }

  private giveUpFirst(reason: "timeout" | "aborted"): void {
    this.takeFirst().onEnd({ ok: false, reason }, this.nowMs())
  }
}
