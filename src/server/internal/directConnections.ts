/** All connections that are not (yet) node:http's: takes them from its listener, watches their time, gives them over. */
import type { Server } from "node:http"
import type { Socket } from "node:net"
import type { Connection } from "./connection.js"
import { DirectConnection } from "./directConnection.js"
import type { InferContext } from "./inferContext.js"
import { ResponseHeads } from "./responseHeads.js"

export class DirectConnections {
  private readonly all = new Map<Socket, DirectConnection>()
  private readonly heads: ResponseHeads
  private readonly timer: NodeJS.Timeout
  private readonly serveHttp: (this: Server, socket: Socket) => void

  /** Sockets that `server` accepts come here from now on. */
  constructor(
    private readonly context: InferContext,
    private readonly server: Server,
    private readonly connectionOf: (socket: Socket) => Connection,
    checkMs: number
  ) {
    const { config } = context
    this.heads = new ResponseHeads(config.keepAliveTimeoutMs)
    this.serveHttp = server.listeners("connection")[0] as (this: Server, socket: Socket) => void
    server.removeAllListeners("connection")
    // Requests per connection are node:http's to count.
    server.on("connection", config.maxRequestsPerConnection > 0 ? this.acceptForHttp : this.accept)
    this.timer = setInterval(() => {
      const now = performance.now()
      for (const direct of this.all.values()) direct.expire(now)
    }, checkMs)
    this.timer.unref()
  }

  /** Closes those that ask for nothing; the others close with their answers. */
  drain(): void {
    for (const direct of this.all.values()) if (direct.isIdle) direct.socket.destroy()
  }

  close(): void {
    clearInterval(this.timer)
    for (const direct of this.all.values()) direct.socket.destroy()
  }

  private readonly accept = (socket: Socket): void => {
    this.all.set(socket, new DirectConnection(this.context, this.heads, socket, this.connectionOf(socket), this.handOver))
    socket.once("close", () => this.all.delete(socket))
  }

  private readonly acceptForHttp = (socket: Socket): void => {
    this.connectionOf(socket)
    this.serveHttp.call(this.server, socket)
  }

  private readonly handOver = (socket: Socket, bytes: Buffer): void => {
    this.all.delete(socket)
    this.serveHttp.call(this.server, socket)
    // Its listener is there now: what came first is for it, before anything else that comes.
    socket.emit("data", bytes)
  }
}
