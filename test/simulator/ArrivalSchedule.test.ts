import { assert, describe, it } from "@effect/vitest"
import { makeSchedule, makeTrace, parseRates, parseTrace } from "../../src/simulator/ArrivalSchedule.js"

const until = (next: () => number, endMs: number): Array<number> => {
  const times: Array<number> = []
  for (let time = next(); time < endMs; time = next()) times.push(time)
  return times
}
const gaps = (times: ReadonlyArray<number>): Array<number> => times.map((time, i) => time - (i === 0 ? 0 : times[i - 1]!))

describe("ArrivalSchedule", () => {
  it("uniform gaps are equal", () => {
    const times = until(makeSchedule({ ratesRps: [250], periodMs: 1000, distribution: "uniform", seed: 1 }), 1000)
    assert.strictEqual(times.length, 249)
    for (const gap of gaps(times)) assert.closeTo(gap, 4, 1e-6)
  })

  it("exponential gaps have the mean, the deviation and the distribution of a Poisson process", () => {
    const times = until(makeSchedule({ ratesRps: [1000], periodMs: 1000, distribution: "exp", seed: 7 }), 100_000)
    const all = gaps(times)
    const mean = all.reduce((sum, gap) => sum + gap, 0) / all.length
    const deviation = Math.sqrt(all.reduce((sum, gap) => sum + (gap - mean) ** 2, 0) / all.length)
    assert.closeTo(mean, 1, 0.02)
    assert.closeTo(deviation / mean, 1, 0.02)
    // Kolmogorov-Smirnov against 1 - e^-x; 1.63 / sqrt(n) is the 1 % point.
    const sorted = [...all].sort((a, b) => a - b)
    const distance = Math.max(...sorted.map((gap, i) => Math.abs((i + 0.5) / sorted.length - (1 - Math.exp(-gap)))))
    assert.isBelow(distance, 1.63 / Math.sqrt(sorted.length))
    // Counts per 10 ms window: the variance of a Poisson count is its mean.
    const counts = new Array<number>(10_000).fill(0)
    for (const time of times) counts[Math.floor(time / 10)]!++
    const perWindow = times.length / counts.length
    const variance = counts.reduce((sum, count) => sum + (count - perWindow) ** 2, 0) / counts.length
    assert.closeTo(variance / perWindow, 1, 0.05)
  })

  it("gamma gaps have the mean and the deviation asked for, in bursts and evenly", () => {
    for (const cv of [0.3, 1, 3]) {
      const all = gaps(until(makeSchedule({ ratesRps: [1000], periodMs: 1000, distribution: "gamma", cv, seed: 11 }), 200_000))
      const mean = all.reduce((sum, gap) => sum + gap, 0) / all.length
      const deviation = Math.sqrt(all.reduce((sum, gap) => sum + (gap - mean) ** 2, 0) / all.length)
      assert.closeTo(mean, 1, 0.03, `cv ${cv}`)
      assert.closeTo(deviation / mean / cv, 1, 0.05, `cv ${cv}`)
    }
  })

  it("a trace gives its times, faster and again from the start where asked", () => {
    const take = (next: () => number, count: number) => Array.from({ length: count }, next)
    assert.deepStrictEqual(take(makeTrace([1, 5, 5]), 4), [1, 5, 5, Infinity])
    assert.deepStrictEqual(take(makeTrace([1, 5], { repeatMs: 10, speed: 2 }), 5), [0.5, 2.5, 5.5, 7.5, 10.5])
    assert.strictEqual(makeTrace([], { repeatMs: 10 })(), Infinity)
    assert.deepStrictEqual(parseTrace("0\n1.5 # late\n\n3\n"), { timesMs: [0, 1.5, 3] })
    assert.deepInclude(parseTrace("2\n1\n"), { line: 2 })
    assert.deepInclude(parseTrace("2\nx\n"), { line: 2 })
    assert.property(parseTrace("# nothing\n"), "problem")
  })

  it("the same seed gives the same times, another seed others", () => {
    const make = (seed: number) => until(makeSchedule({ ratesRps: [50], periodMs: 1000, distribution: "exp", seed }), 5000)
    assert.deepStrictEqual(make(3), make(3))
    assert.notDeepEqual(make(3), make(4))
  })

  it("follows a cycle of rates, pauses included", () => {
    const times = until(makeSchedule({ ratesRps: [100, 0, 400], periodMs: 1000, distribution: "uniform", seed: 1 }), 6000)
    const perSecond = new Array<number>(6).fill(0)
    for (const time of times) perSecond[Math.floor(time / 1000)]!++
    // An arrival that falls on a boundary may count for either side.
    const expected = [100, 0, 400, 100, 0, 400]
    perSecond.forEach((count, i) => assert.closeTo(count, expected[i]!, 1, `second ${i}`))
  })

  it("a rate of 0 for ever never sends", () => {
    assert.strictEqual(makeSchedule({ ratesRps: [0], periodMs: 1000, distribution: "exp", seed: 1 })(), Infinity)
  })

  it("reads rate files and names the wrong line", () => {
    assert.deepStrictEqual(parseRates("10\n# pause\n0\n\n2.5 # slow\r\n"), { rates: [10, 0, 2.5] })
    assert.deepInclude(parseRates("10\nfast\n"), { line: 2 })
    assert.deepInclude(parseRates("10\n-1\n"), { line: 2 })
    assert.property(parseRates("0\n"), "problem")
    assert.property(parseRates(""), "problem")
  })
})
