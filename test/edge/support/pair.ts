/** Two ends of a WebSocket in memory: messages in order, a little later, as copies; and a way to break it. */
import type { EdgeSocket } from "../../../src/edge/EdgeSocket.js"

interface End extends EdgeSocket {
  readonly arrive: (frame: Uint8Array) => void
  readonly ended: (code: number, reason: string) => void
}

export interface Pair {
  readonly server: EdgeSocket
  readonly node: EdgeSocket
  /** Both ends see it broken. */
  readonly cut: () => void
  /** Nothing arrives any more, and nobody is told. */
  readonly freeze: () => void
}

export const socketPair = (): Pair => {
  let open = true
  let frozen = false
  const make = (other: () => End): End => {
    let onMessage: ((frame: Uint8Array) => void) | undefined
    let onClose: ((code: number, reason: string) => void) | undefined
    const early: Array<Uint8Array> = []
    return {
      send: (frame) => {
        if (!open) return
        const copy = frame.slice()
        setImmediate(() => {
          if (!frozen) other().arrive(copy)
        })
      },
      bufferedBytes: () => 0,
      close: (code, reason) => end(code, reason),
      listen: (message, close) => {
        onMessage = message
        onClose = close
        for (const frame of early.splice(0)) message(frame)
      },
      arrive: (frame) => {
        if (onMessage === undefined) early.push(frame)
        else if (open) onMessage(frame)
      },
      ended: (code, reason) => onClose?.(code, reason)
    }
  }
  const end = (code: number, reason: string): void => {
    if (!open) return
    open = false
    setImmediate(() => {
      server.ended(code, reason)
      node.ended(code, reason)
    })
  }
  const server: End = make(() => node)
  const node: End = make(() => server)
  return { server, node, cut: () => end(1006, ""), freeze: () => void (frozen = true) }
}
