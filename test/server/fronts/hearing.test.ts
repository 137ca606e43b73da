import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as TestClock from "effect/TestClock"
import { Hearing } from "../../../src/server/fronts/hearing.js"

/** A front that answers when it is told to. */
class Peer {
  readonly acks: Array<() => void> = []
  readonly ask = (_: unknown, onAck: () => void): void => void this.acks.push(onAck)
  /** Once it was asked. */
  get answer(): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (this.acks.length === 0) return Effect.zipRight(Effect.yieldNow(), this.answer)
      return Effect.sync(() => this.acks.splice(0).forEach((ack) => ack()))
    })
  }
}

/** Whatever is to run before the clock moves has run. */
const isOver = (fiber: Fiber.RuntimeFiber<void>) => Effect.map(Effect.zipRight(TestClock.adjust(0), Fiber.poll(fiber)), Option.isSome)

describe("Hearing", () => {
  it.effect("waits for all", () =>
    Effect.gen(function*() {
      const peers = [new Peer(), new Peer()]
      const waiting = yield* Effect.fork(new Hearing().all(peers))
      yield* peers[0]!.answer
      assert.isFalse(yield* isOver(waiting))
      yield* peers[1]!.answer
      yield* Fiber.join(waiting)
    }))

  it.effect("waits a second for one that says nothing, and not again until it has", () =>
    Effect.gen(function*() {
      const hearing = new Hearing()
      const [well, hung] = [new Peer(), new Peer()] as const
      const first = yield* Effect.fork(hearing.all([well, hung]))
      yield* well.answer
      yield* TestClock.adjust(999)
      assert.isFalse(yield* isOver(first))
      yield* TestClock.adjust(1)
      yield* Fiber.join(first)

      const second = yield* Effect.fork(hearing.all([well, hung]))
      assert.isFalse(yield* isOver(second), "the other is waited for as ever")
      yield* well.answer
      yield* Fiber.join(second)

      yield* hung.answer
      const third = yield* Effect.fork(hearing.all([well, hung]))
      yield* well.answer
      assert.isFalse(yield* isOver(third))
      yield* hung.answer
      yield* Fiber.join(third)
    }))
})
