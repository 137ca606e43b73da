/**
 * A load as the server carries it when it has settled. A server that plans anew while a load is played opens glets beside the old ones, and loads models
 * on the GPU that it serves from: what is missed meanwhile says nothing of the plan that the load brought about. Nor does what a client missed that was
 * itself late.
 */
import * as Effect from "effect/Effect"
import type { Played } from "../load/playScenario.js"
import { lateMs } from "../load/playScenario.js"
import type { GletStatus } from "../../scheduler/SchedulerStatus.js"

/** Glets of the servers now: which, with which models, and whether all of them serve. */
export interface Layout {
  readonly glets: ReadonlyArray<string>
  readonly isSettled: boolean
}

export const layoutOf = (glets: ReadonlyArray<Pick<GletStatus, "assignments" | "id" | "state">>): Layout => ({
  // A model that was loaded on a glet that serves held up what it serves, as a glet that opens does.
  glets: glets.map(({ assignments, id }) => `${id} ${assignments.map(({ model }) => model).sort().join()}`).sort(),
  isSettled: glets.every(({ state }) => state === "ready")
})

export interface SteadyOptions<E> {
  readonly play: Effect.Effect<Played, E>
  readonly layout: Effect.Effect<Layout, E>
  /** Part of requests that may miss. */
  readonly limit: number
  /** Plays at most. */
  readonly most: number
  /** Longest wait for glets that open or close, and between two looks at them, ms. */
  readonly settleMs: number
  readonly lookMs: number
}

const settle = <E>({ layout, lookMs, settleMs }: SteadyOptions<E>): Effect.Effect<Layout, E> =>
  Effect.iterate({ now: undefined as Layout | undefined, looks: 0 }, {
    while: ({ looks, now }) => now?.isSettled !== true && looks * lookMs <= settleMs,
    body: ({ looks }) => Effect.map(looks === 0 ? layout : Effect.delay(layout, lookMs), (now) => ({ now, looks: looks + 1 }))
  }).pipe(Effect.map(({ now }) => now!))

/** Every play of one load; the last one counts. */
export const playSteadily = <E>(options: SteadyOptions<E>): Effect.Effect<readonly [Played, ...Array<Played>], E> =>
  Effect.gen(function*() {
    const { layout, limit, most, play } = options
    let before = yield* layout
    const plays: [Played, ...Array<Played>] = [yield* play]
    while (plays.length < most) {
      const last = plays.at(-1)!
      if (last.missed <= limit) break
      const after = yield* layout
      const isSame = after.isSettled && before.glets.join(";") === after.glets.join(";")
      if (isSame && last.sendLagP99Ms <= lateMs) break
      before = yield* settle(options)
      plays.push(yield* play)
    }
    return plays
  })
