/**
 * The edge nodes of a server, and the executor that reaches both them and what the host has itself.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import type { EdgeStatus } from "../core/EdgeStatus.js"
import { EdgeReport } from "../core/EdgeStatus.js"
import { Executor } from "../core/Executor.js"
import { GletOpenFailed } from "../core/ExecutorError.js"
import type { EdgeLinkOptions } from "./EdgeLink.js"
import { defaultLinkOptions, EdgeLink } from "./EdgeLink.js"
import { closeCodes, decodeFromNode, maxHeaderBytes } from "./EdgeProtocol.js"
import type { EdgeSocket } from "./EdgeSocket.js"
import { EdgeHistory } from "./internal/edgeHistory.js"

/** @since 0.1.0 @category options */
export interface EdgeNodesOptions extends Partial<Omit<EdgeLinkOptions, "read">>, Pick<EdgeLinkOptions, "read"> {
  /** Nodes at one time; 16 by default. */
  readonly maxNodes?: number
  /** For a node to say who it is, ms; 5000 by default. */
  readonly helloTimeoutMs?: number
}

/**
 * The nodes that are connected.
 * @since 0.1.0
 * @category services
 */
export class EdgeNodes extends Context.Tag("glet/edge/EdgeNodes")<EdgeNodes, {
  /** Takes a socket whose token was right. */
  readonly accept: (socket: EdgeSocket) => void
  /** In the order of their names. */
  readonly links: () => ReadonlyArray<EdgeLink>
  /** Those that are connected, and what became of the others. */
  readonly status: () => EdgeStatus
  /** Calls back when a node joins or leaves, until the answer is called. */
  readonly onChange: (listener: () => void) => () => void
  /** Ends all connections; none is taken afterwards. */
  readonly close: Effect.Effect<void>
}>() {}

/** Whether a GPU is a node's. @since 0.1.0 @category nodes */
export const isEdgeGpu = (id: string): boolean => id.startsWith("edge:")

/** @since 0.1.0 @category constructors */
export const make = (options: EdgeNodesOptions): typeof EdgeNodes.Service => {
  const { helloTimeoutMs = 5000, maxNodes = 16, ...rest } = options
  const linkOptions: EdgeLinkOptions = { ...defaultLinkOptions, ...rest }
  const links = new Map<string, EdgeLink>()
  const strangers = new Set<EdgeSocket>()
  const listeners = new Set<() => void>()
  const history = new EdgeHistory()
  let closed = false
  const changed = (): void => {
    for (const listener of listeners) listener()
  }

  const sorted = (): ReadonlyArray<EdgeLink> => [...links.values()].sort((a, b) => (a.name < b.name ? -1 : 1))

  const accept = (socket: EdgeSocket): void => {
    let link: EdgeLink | undefined
    let ended = false
    const timer = setTimeout(() => socket.close(closeCodes.tooSlow, "no hello came"), helloTimeoutMs)
    const end = (): void => {
      ended = true
      clearTimeout(timer)
      strangers.delete(socket)
    }
    const greet = (frame: Uint8Array): void => {
      const hello = decodeFromNode(frame, maxHeaderBytes)
      const problem = Either.isLeft(hello) ? hello.left : hello.right.header.t === "hello" ? undefined : `"${hello.right.header.t}" before a hello`
      if (problem !== undefined || Either.isLeft(hello) || hello.right.header.t !== "hello") {
        end()
        return socket.close(closeCodes.badFrame, problem ?? "")
      }
      end()
      ended = false
      const { header } = hello.right
      // Whoever comes back under its name is the same machine: the old connection is one that nobody has noticed to be gone.
      links.get(header.name)?.die("replaced", "it joined again")
      if (links.size >= maxNodes) {
        ended = true
        return socket.close(closeCodes.full, `${links.size} nodes have joined already`)
      }
      const made = new EdgeLink(socket, header, linkOptions, (gone, reason) => {
        if (links.get(gone.name) === gone) links.delete(gone.name)
        history.ended(gone, reason)
        changed()
      })
      link = made
      history.joined += 1
      links.set(made.name, made)
      changed()
    }
    socket.listen(
      (frame) => {
        if (link !== undefined) link.receive(frame)
        else if (!ended) greet(frame)
      },
      (code, reason) => {
        end()
        link?.die("disconnected", reason === "" ? `its connection ended (${code})` : `its connection ended (${code}): ${reason.slice(0, 200)}`)
      }
    )
    if (closed || links.size >= maxNodes || strangers.size >= maxNodes) {
      end()
      return socket.close(closed ? closeCodes.closing : closeCodes.full, closed ? "the server stops" : `${links.size} nodes have joined already`)
    }
    strangers.add(socket)
  }
  return {
    accept,
    links: sorted,
    status: () => history.status(sorted()),
    onChange: (listener) => {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
    close: Effect.sync(() => {
      closed = true
      for (const socket of strangers) socket.close(closeCodes.closing, "the server stops")
      for (const link of [...links.values()]) link.die("server-stops", "the server stops")
    })
  }
}

/**
 * The nodes, and the executor in the place of the one below: glets on edge GPUs are opened on their node, all others as before.
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: EdgeNodesOptions): Layer.Layer<EdgeNodes | EdgeReport | Executor, never, Executor> =>
  Layer.scopedContext(Effect.gen(function*() {
    const local = yield* Executor
    const nodes = yield* Effect.acquireRelease(Effect.sync(() => make(options)), (made) => made.close)
    // Memory of clients on this host is nothing that a node could reach.
    const { clientMemory: _, ...rest } = local
    const executor = Executor.of({
      ...rest,
      open: (spec) => {
        if (!isEdgeGpu(spec.gpu.id)) return local.open(spec)
        const link = nodes.links().find(({ gpu }) => gpu.id === spec.gpu.id)
        return link === undefined
          ? Effect.fail(new GletOpenFailed({ glet: spec.id, gpu: spec.gpu.id, reason: "device-missing", detail: "its edge node has left" }))
          : link.open(spec)
      }
    })
    return Context.make(EdgeNodes, nodes).pipe(Context.add(EdgeReport, { now: Effect.sync(nodes.status) }), Context.add(Executor, executor))
  }))
