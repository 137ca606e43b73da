/**
 * A WebSocket as both sides see it: binary messages in order, a way to see what waits to be sent, one end.
 *
 * @since 0.1.0
 */

/** @since 0.1.0 @category sockets */
export interface EdgeSocket {
  readonly send: (frame: Uint8Array<ArrayBuffer>) => void
  /** Bytes given to `send` that have not left. */
  readonly bufferedBytes: () => number
  readonly close: (code: number, reason: string) => void
  /** Called once, before anything arrives. `onClose` is called once; nothing arrives after it. */
  readonly listen: (onMessage: (frame: Uint8Array) => void, onClose: (code: number, reason: string) => void) => void
}

/** What a `WebSocket` of browsers, Deno and Node has. @since 0.1.0 @category sockets */
export interface WebSocketLike {
  binaryType: string
  readonly bufferedAmount: number
  send: (data: Uint8Array<ArrayBuffer>) => void
  close: (code?: number, reason?: string) => void
  addEventListener: (type: string, listener: (event: { readonly data?: unknown; readonly code?: number; readonly reason?: string }) => void) => void
}

/** Code 1006: the connection broke. */
const broken = 1006

/** A WebSocket of the platform, which may still be connecting: what is sent must wait for `open`. @since 0.1.0 @category sockets */
export const webSocket = (socket: WebSocketLike): EdgeSocket => {
  socket.binaryType = "arraybuffer"
  return {
    send: (frame) => socket.send(frame),
    bufferedBytes: () => socket.bufferedAmount,
    close: (code, reason) => socket.close(code, reason.slice(0, 120)),
    listen: (onMessage, onClose) => {
      let closed = false
      const end = (code: number, reason: string): void => {
        if (closed) return
        closed = true
        onClose(code, reason)
      }
      socket.addEventListener("message", ({ data }) => {
        if (closed) return
        // Text is no frame: it is refused as one without a header.
        onMessage(data instanceof ArrayBuffer ? new Uint8Array(data) : new Uint8Array(0))
      })
      socket.addEventListener("close", ({ code, reason }) => end(code ?? broken, reason ?? ""))
      socket.addEventListener("error", () => {})
    }
  }
}
