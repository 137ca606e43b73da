/**
 * All connections of a server, or of a front of it: plain infer requests are read from the socket, the others by node:http, infer requests
 * among them; what is no infer request goes to `route`.
 */
import { createServer } from "node:http"
import type { IncomingMessage, Server, ServerResponse } from "node:http"
import type { Socket } from "node:net"
import { RequestRefused } from "../ServerError.js"
import type { ServerConfig } from "../ServerConfig.js"
import { Connection } from "./connection.js"
import { DirectConnections } from "./directConnections.js"
import type { InferContext } from "./inferContext.js"
import { startInfer } from "./inferRoute.js"
import { inferTarget, type InferTarget } from "./inferTarget.js"
import { NodeReply } from "./nodeReply.js"
import { sendError } from "./send.js"
import type { Upgrades } from "../Upgrades.js"

/** How often connections are looked at for what takes too long. */
const checkMs = (config: ServerConfig): number => Math.max(50, Math.min(1000, config.headersTimeoutMs / 4, config.requestTimeoutMs / 4))

const makeNodeServer = (config: ServerConfig): Server => {
  const server = createServer({
    maxHeaderSize: config.maxHeaderBytes,
    headersTimeout: Math.min(config.headersTimeoutMs, config.requestTimeoutMs),
    requestTimeout: config.requestTimeoutMs,
    keepAliveTimeout: config.keepAliveTimeoutMs,
    connectionsCheckingInterval: checkMs(config),
    requireHostHeader: false,
    noDelay: true
  })
  server.maxConnections = config.maxConnections
  server.maxRequestsPerSocket = config.maxRequestsPerConnection
  return server
}

/** Answers a request that came over node:http. */
export type Route = (req: IncomingMessage, res: ServerResponse) => void

export class Listener {
  /** Accepts where it listens; its time limits run only then. */
  readonly server: Server
  private readonly connections = new Map<Socket, Connection>()
  private readonly direct: DirectConnections

  /** `takes`: infer requests to answer here; the others are `route`'s. By default all are. */
  constructor(
    private readonly context: InferContext,
    private readonly route: Route,
    private readonly takes: (target: InferTarget | RequestRefused) => boolean = () => true
  ) {
    this.server = makeNodeServer(context.config)
    this.direct = new DirectConnections(context, this.server, this.connectionOf, checkMs(context.config))
    this.server.on("request", (req: IncomingMessage, res: ServerResponse) => this.handle(req, res, false))
    this.server.on("checkContinue", (req: IncomingMessage, res: ServerResponse) => this.handle(req, res, true))
    this.server.on("checkExpectation", (req: IncomingMessage, res: ServerResponse) => {
      const refused = new RequestRefused({ reason: "malformed", subject: "Expect", detail: "only 100-continue is known" })
      sendError(context, new NodeReply(context, req, res), refused)
    })
    this.server.on("clientError", (error: NodeJS.ErrnoException, socket: Socket) => {
      const status = this.connectionOf(socket).refuse(error)
      if (status !== undefined) context.metrics.responded(status)
    })
  }

  /** Connections that are open. */
  get size(): number {
    return this.connections.size
  }

  /** Takes a connection that something else accepted. */
  accept(socket: Socket): void {
    this.server.emit("connection", socket)
  }

  /** Hands connections that ask for another protocol to who takes them; they are none of its own any more. */
  takeUpgrades(upgrades: typeof Upgrades.Service): void {
    this.server.on("upgrade", (request: IncomingMessage, socket: Socket, head: Buffer) => {
      this.connections.delete(socket)
      // From here on nobody else listens for the socket's errors.
      socket.on("error", () => socket.destroy())
      if (this.context.draining || !upgrades.handle(request, socket, head)) {
        socket.end(`HTTP/1.1 ${this.context.draining ? "503 Service Unavailable" : "404 Not Found"}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
      }
    })
  }

  /** Takes no more requests: connections that ask for nothing close, the others with their answers. */
  drain(): void {
    this.context.draining = true
    this.direct.drain()
    this.server.closeIdleConnections()
  }

  /** Cuts whoever has not sent his request as a whole. */
  cutLate(): void {
    for (const [socket, connection] of this.connections) if (!connection.isAnswering) socket.destroy()
  }

  /** Cuts all. */
  close(): void {
    this.server.closeAllConnections()
    this.direct.close()
  }

  private readonly connectionOf = (socket: Socket): Connection => {
    let connection = this.connections.get(socket)
    if (connection === undefined) {
      connection = new Connection(socket)
      this.connections.set(socket, connection)
      socket.once("close", () => this.connections.delete(socket))
    }
    return connection
  }

  private handle(req: IncomingMessage, res: ServerResponse, continues: boolean): void {
    const { context } = this
    const connection = this.connectionOf(req.socket)
    const target = req.method === "POST" ? inferTarget(req.url!) : undefined
    if (target !== undefined && this.takes(target)) return startInfer(context, connection, req, res, target, continues)
    const call = { get isReading() { return !req.complete }, abandon: () => {} }
    connection.add(call)
    res.once("close", () => connection.remove(call))
    if (context.draining) res.shouldKeepAlive = false
    if (continues) res.writeContinue()
    this.route(req, res)
  }
}
