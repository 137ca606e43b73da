import { assert, describe, it } from "@effect/vitest"
import { PollChoice } from "../../../src/node-cuda/internal/pollChoice.js"

/** The part of the batches that polled in the second half of a run. */
const share = (batches: number, wayMs: (polled: boolean, i: number) => number): number => {
  const choice = new PollChoice()
  let polled = 0
  for (let i = 0; i < batches; i++) {
    const polls = choice.next()
    choice.observe(polls, wayMs(polls, i))
    if (polls && i >= batches / 2) polled++
  }
  return polled / (batches / 2)
}

describe("PollChoice", () => {
  it("polls where that shortens the way, and tries the other now and then", () => {
    const polled = share(4096, (polls) => (polls ? 0.1 : 0.2))
    assert.isAbove(polled, 0.9)
    assert.isBelow(polled, 1)
  })

  it("sleeps where polling gains nothing or costs", () => {
    for (const polling of [0.19, 0.2, 0.4]) {
      const polled = share(4096, (polls) => (polls ? polling : 0.2))
      assert.isBelow(polled, 0.1)
      assert.isAbove(polled, 0)
    }
  })

  it("changes its mind when the machine does, stalls or not", () => {
    const polled = share(8192, (polls, i) => (i % 97 === 0 ? 30 : polls === i < 2048 ? 0.1 : 0.2))
    assert.isBelow(polled, 0.1)
  })
})
