/** Waiting until fronts have heard of what they were told: as long as one that is well can take, and not for one that hangs. */
import * as Effect from "effect/Effect"
import type { FrontPeer } from "./frontPeer.js"

/** One that takes longer is who watches for hung fronts to deal with. */
const patience = "1 second"

export class Hearing {
  /** Those that were waited for in vain, and have said nothing since. */
  private readonly late = new Set<Pick<FrontPeer, "ask">>()

  /** Completes when all have heard of what they were told before. */
  all(peers: Iterable<Pick<FrontPeer, "ask">>): Effect.Effect<void> {
    return Effect.forEach([...peers].filter((peer) => !this.late.has(peer)), (peer) => this.one(peer), { concurrency: "unbounded", discard: true })
  }

  private one(peer: Pick<FrontPeer, "ask">): Effect.Effect<void> {
    return Effect.suspend(() => {
      let hasHeard = false
      const heard = Effect.async<void>((resume) =>
        peer.ask({ type: "ping" }, () => {
          hasHeard = true
          this.late.delete(peer)
          resume(Effect.void)
        }))
      return Effect.timeoutTo(heard, {
        duration: patience,
        onSuccess: () => {},
        onTimeout: () => {
          if (!hasHeard) this.late.add(peer)
        }
      })
    })
  }
}
