/** Sends the page's traffic and its pictures; all of it sleeps while nothing is sent. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { HostContext } from "./hostContext.js"

/** Of real time. */
const frameMs = 100
/** Frames go on for so long after the last request, until numbers have settled. */
const settleMs = 600

export interface TrafficLoop {
  /** As people wish. */
  readonly set: (on: boolean) => void
  /** Sends nothing while something is measured: traffic would be part of it. Then as people wish. */
  readonly heldDuring: <A, E, R>(measuring: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  /** A request was sent, by whomever: there will be something to see. */
  readonly active: () => void
}

export const startTraffic = (context: HostContext): Effect.Effect<TrafficLoop, never, Scope.Scope> =>
  Effect.gen(function*() {
    const { models, options, publish, real, scheduler, sender, statistics, traffic, view } = context
    const realMs = (): number => real.unsafeCurrentTimeMillis()
    const sending = yield* Effect.makeLatch(false)
    const framing = yield* Effect.makeLatch(false)
    let activeMs = 0
    const active = (): void => {
      activeMs = realMs()
      framing.unsafeOpen()
    }
    const send = Effect.gen(function*() {
      yield* sending.await
      const nextMs = traffic.due(scheduler.nowMs(), (name) => {
        const one = models.get(name)
        if (one !== undefined && scheduler.readiness(one.model.name)?.state === "ready") sender.send(one)
      })
      active()
      yield* Effect.sleep(Math.min(50, Math.max(0, nextMs - scheduler.nowMs())))
    })
    const frame = Effect.gen(function*() {
      yield* framing.await
      yield* Effect.withClock(Effect.sleep(frameMs), real)
      options.post(statistics.frame())
      if (realMs() - activeMs > settleMs) framing.unsafeClose()
    })
    /** How busy glets are changes without an event. */
    const look = Effect.gen(function*() {
      yield* sending.await
      yield* Effect.withClock(Effect.sleep(1000), real)
      publish()
    })
    for (const loop of [send, frame, look]) yield* Effect.forkScoped(Effect.forever(loop))
    let holds = 0
    const follow = (): void => {
      const on = view.trafficWanted && holds === 0
      if (on !== view.trafficOn) {
        view.trafficOn = on
        if (on) {
          statistics.reset()
          traffic.restart(scheduler.nowMs())
          sending.unsafeOpen()
        } else sending.unsafeClose()
      }
      publish()
    }
    const hold = (by: number) => Effect.sync(() => {
      holds += by
      follow()
    })
    return {
      active,
      set: (on) => {
        view.trafficWanted = on
        follow()
      },
      heldDuring: (measuring) => Effect.acquireUseRelease(hold(1), () => measuring, () => hold(-1))
    }
  })
