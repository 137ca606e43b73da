import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { PreemptibleGpu, waitSteps } from "../../../src/core/internal/preemption.js"
import { makeRandom } from "../../../src/core/internal/random.js"

const stepMs = 0.5

/** What others claim, from when on, and for how long: at most one thing at a time. */
const scene = fc.record({
  gaps: fc.array(fc.record({ idleMs: fc.double({ min: 0.01, max: 40, noNaN: true }), busyMs: fc.double({ min: 0.01, max: 200, noNaN: true }), pct: fc.integer({ min: 1, max: 100 }) }), { maxLength: 8 }),
  beginMs: fc.double({ min: 0, max: 100, noNaN: true }),
  workMs: fc.double({ min: 0.01, max: 120, noNaN: true }),
  sharePct: fc.integer({ min: 1, max: 100 }),
  slowdown: fc.constantFrom(1, 1.25, 3),
  seed: fc.integer({ min: 0, max: 1e6 })
})
type Scene = typeof scene extends fc.Arbitrary<infer A> ? A : never

/** Plays it event by event, as a simulator does. */
const play = ({ beginMs, gaps, seed, sharePct, slowdown, workMs }: Scene) => {
  const random = makeRandom(seed)
  const steps: Array<number> = []
  const gpu = new PreemptibleGpu(stepMs, (_, ms) => steps.push(ms))
  const held: Array<number> = []
  const seen: Array<boolean> = []
  const batch = gpu.join({ sharePct, random, slowdown: () => slowdown, onChange: () => seen.push(batch.isSeen) })
  const events: Array<{ readonly atMs: number; readonly run: (atMs: number) => void }> = [{ atMs: beginMs, run: (atMs) => batch.begin(atMs, workMs) }]
  let atMs = 0
  for (const { busyMs, idleMs, pct } of gaps) {
    events.push({ atMs: atMs += idleMs, run: (now) => {
      gpu.claim(now, pct)
      held.push(gpu.heldMs(now))
    } })
    events.push({ atMs: atMs += busyMs, run: (now) => gpu.release(now, pct) })
  }
  events.sort((a, b) => a.atMs - b.atMs)
  for (const { atMs: nextMs, run } of events) {
    while (batch.nextMs <= nextMs) batch.advance(batch.nextMs)
    run(nextMs)
  }
  while (batch.nextMs < Infinity) batch.advance(batch.nextMs)
  return { endedMs: batch.endedMs!, computedMs: batch.busyMs(Infinity), held, steps }
}

/** When it ends, reckoned from the rule in one go over the times in which there is room for it and in which there is not. */
const expectedEnd = ({ beginMs, gaps, seed, sharePct, slowdown, workMs }: Scene): number => {
  const random = makeRandom(seed)
  let leftMs = workMs * slowdown
  let nowMs = beginMs
  let atMs = 0
  for (const { busyMs, idleMs, pct } of gaps) {
    const fromMs = atMs + idleMs
    atMs = fromMs + busyMs
    if (pct + sharePct <= 100 || atMs <= nowMs) continue
    if (fromMs > nowMs) {
      // It computes until the claim, and on to the end of its step.
      if (nowMs + leftMs <= fromMs) return nowMs + leftMs
      leftMs -= fromMs - nowMs
      nowMs = fromMs
      const restMs = Math.min(random() * stepMs, atMs - fromMs)
      if (leftMs <= restMs) return nowMs + leftMs
      leftMs -= restMs
      nowMs += restMs
    }
    // Then it has a step in so many, as long as there is no room.
    while (nowMs + waitSteps * stepMs < atMs) {
      nowMs += waitSteps * stepMs
      const partMs = Math.min(stepMs, atMs - nowMs)
      if (leftMs <= partMs) return nowMs + leftMs
      leftMs -= partMs
      nowMs += partMs
    }
    nowMs = atMs
  }
  return nowMs + leftMs
}

describe("PreemptibleGpu", () => {
  it("a batch ends when the rule says, having computed what it is to compute", () => {
    fc.assert(fc.property(scene, (given) => {
      const { computedMs, endedMs, held, steps } = play(given)
      assert.closeTo(endedMs, expectedEnd(given), 1e-6)
      assert.closeTo(computedMs, given.workMs * given.slowdown, 1e-6)
      // Nobody is held up for longer than a step.
      for (const ms of [...held, ...steps]) {
        assert.isAtLeast(ms, 0)
        assert.isAtMost(ms, stepMs + 1e-9)
      }
    }), { numRuns: 300 })
  })

  it("a batch that waits for ever ends by the steps it gets", () => {
    const held: Array<number> = []
    const gpu = new PreemptibleGpu(stepMs, (nowMs) => held.push(nowMs))
    const batch = gpu.join({ sharePct: 60, random: () => 0.5, slowdown: () => 1, onChange: () => {} })
    gpu.claim(0, 50)
    batch.begin(0, 4 * stepMs - 0.1)
    while (batch.nextMs < Infinity) batch.advance(batch.nextMs)
    assert.closeTo(batch.endedMs!, (4 * waitSteps + 4) * stepMs - 0.1, 1e-9)
    // Each holds up what the others compute.
    assert.deepStrictEqual(held.map((ms) => Math.round(ms / stepMs)), [100, 201, 302, 403])
  })

  it("batches that give way claim nothing: two of them compute side by side, and both pause", () => {
    const gpu = new PreemptibleGpu(stepMs, () => {})
    const join = (sharePct: number, random: number) => gpu.join({ sharePct, random: () => random, slowdown: () => 1, onChange: () => {} })
    const [small, large] = [join(40, 0.25), join(100, 0.5)]
    small.begin(0, 10)
    large.begin(0, 10)
    assert.deepStrictEqual([small.isSeen, large.isSeen], [true, true])
    gpu.claim(2, 60)
    assert.deepStrictEqual([small.isSeen, large.isSeen], [true, false])
    assert.closeTo(gpu.heldMs(2), 0.5 * stepMs, 1e-12)
    gpu.claim(2.1, 10)
    assert.closeTo(gpu.heldMs(2.1), Math.max(0.25 * stepMs, 0.5 * stepMs - 0.1), 1e-12)
    gpu.release(4, 60)
    assert.deepStrictEqual([small.isSeen, large.isSeen], [true, false])
    gpu.release(5, 10)
    for (const batch of [small, large]) batch.advance(100)
    assert.closeTo(small.endedMs!, 10 + 4 - 2.1 - 0.25 * stepMs, 1e-9)
    assert.closeTo(large.endedMs!, 10 + 5 - 2 - 0.5 * stepMs, 1e-9)
  })
})
