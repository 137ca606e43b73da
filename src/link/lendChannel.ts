/** The memory of channels is lent by the arena that has the shared memory. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { channelBytes, type ChannelPlace, clearChannel } from "./channel.js"

/** As a `TensorArena`. */
interface Lender {
  readonly capacityBytes: number
  readonly shared?: {
    readonly memory: ArrayBufferLike
    readonly lend: (byteLength: number) => { readonly offset: number; readonly release: () => void } | undefined
  }
}

/** A channel may take so much of an arena; a small one is for tensors alone. */
const mostPart = 1 / 64

/** A channel that is empty, until the scope closes: both its ends must be gone by then. Undefined where no memory is shared, or none is to spare. */
export const lendChannel = (arena: Lender): Effect.Effect<ChannelPlace | undefined, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => channelBytes > mostPart * arena.capacityBytes ? undefined : arena.shared?.lend(channelBytes)),
      (part) => Effect.sync(() => part?.release())
    ),
    (part) => {
      if (part === undefined) return undefined
      const place = { memory: arena.shared!.memory, offset: part.offset }
      clearChannel(place)
      return place
    }
  )
