import { assert, describe, it } from "@effect/vitest"
import { ArrivalClock } from "../../../src/server/internal/arrivalClock.js"

/** An event loop of which the test says when it turns. */
const makeLoop = () => {
  let nowMs = 0
  let turns = 0
  let sleptMs = 0
  let reading: Array<() => void> = []
  const endTurn = () => {
    for (const done of reading) done()
    reading = []
    turns++
  }
  return {
    view: { nowMs: () => nowMs, turns: () => turns, sleptMs: () => sleptMs, afterReading: (done: () => void) => void reading.push(done) },
    work: (ms: number) => { nowMs += ms },
    endTurn,
    sleep: (ms: number) => { nowMs += ms; sleptMs += ms }
  }
}

describe("ArrivalClock", () => {
  it("takes bytes that woke the loop as just come, however long the turn before was", () => {
    const loop = makeLoop()
    const clock = new ArrivalClock(loop.view)
    loop.sleep(5)
    clock.read()
    loop.work(30)
    loop.endTurn()
    loop.sleep(3)
    assert.strictEqual(clock.read(), 38)
  })

  it("counts from the beginning of the turn before where the loop did not sleep, and keeps to it within a turn", () => {
    const loop = makeLoop()
    const clock = new ArrivalClock(loop.view)
    loop.sleep(5)
    clock.read()
    loop.work(30)
    loop.endTurn()
    assert.strictEqual(clock.read(), 5)
    loop.work(10)
    assert.strictEqual(clock.read(), 5)
    loop.endTurn()
    assert.strictEqual(clock.read(), 35)
  })

  it("does not charge turns that read nothing to what comes after them", () => {
    const loop = makeLoop()
    const clock = new ArrivalClock(loop.view)
    loop.sleep(5)
    clock.read()
    for (let i = 0; i < 10; i++) {
      loop.work(1)
      loop.endTurn()
    }
    assert.strictEqual(clock.read(), 14)
  })

  it("takes what it reads first as come since it was made", () => {
    const loop = makeLoop()
    loop.work(7)
    const clock = new ArrivalClock(loop.view)
    loop.work(2)
    assert.strictEqual(clock.read(), 7)
  })
})
