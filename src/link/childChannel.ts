/** The child's end of a channel: a stream that it inherited, and memory that it shares with the agent where there is a place for it. */
import { Socket } from "node:net"
import { bell, type ByteSink, type ChannelPlace, RingChannel } from "./channel.js"
import { ringWatch } from "./RingWatch.js"

const chunkBytes = 64 << 10

/** What a child has of a channel. */
export interface ChildChannel {
  readonly sink: ByteSink
  /** Calls back when the agent can read all that was written, whatever becomes of this process. */
  readonly end: (done: () => void) => void
}

/** Opens the inherited stream `fd`. `onGone`: the agent is gone, and this process has nothing to live for. */
export const childChannel = (fd: number, place: ChannelPlace | undefined, read: (bytes: Buffer) => void, onGone: () => void): ChildChannel => {
  const chunk = Buffer.alloc(chunkBytes)
  const heard = place === undefined ? read : () => ringWatch.rang()
  const socket = new Socket({
    fd,
    // One buffer for all that is read: nothing is allocated per message.
    onread: {
      buffer: chunk,
      callback: (length: number) => {
        heard(chunk.subarray(0, length))
        return true
      }
    }
  } as ConstructorParameters<typeof Socket>[0])
  socket.on("error", onGone).on("end", onGone).on("close", onGone)
  const endSocket = (done: () => void): void => {
    socket.removeAllListeners("close")
    socket.end(done)
  }
  if (place === undefined) return { sink: socket, end: endSocket }
  const ring = new RingChannel(place, "child", read, () => {
    if (!socket.destroyed) socket.write(bell)
  })
  ring.open()
  return { sink: ring, end: (done) => ring.whenWritten(() => endSocket(done)) }
}
