import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { unsafeModelName } from "../../src/core/Ids.js"
import type { LatencyModel } from "../../src/core/LatencyModel.js"
import { meanPartOf, rateToPlanFor } from "../../src/scheduler/BurstHeadroom.js"
import { makeRandom } from "../../src/core/internal/random.js"
import type { RateEstimator } from "../../src/scheduler/RateEstimator.js"
import { estimateRps, expectRate, forgetRate, makeRateEstimator, observe } from "../../src/scheduler/RateEstimator.js"
import { gpuOf } from "./problems.js"

const model = unsafeModelName("m")
const other = unsafeModelName("other")

/** Steady arrivals at a rate from one time to another, observed every stepMs; answers every estimate. */
const feed = (from: RateEstimator, startMs: number, endMs: number, rateRps: number, stepMs = 200) => {
  let estimator = from
  const estimates: Array<number> = []
  for (let now = startMs + stepMs; now <= endMs; now += stepMs) {
    estimator = observe(estimator, now, new Map([[model, (rateRps * stepMs) / 1000]]))
    estimates.push(estimateRps(estimator, model))
  }
  return { estimator, estimates }
}
const started = (rateRps: number) => observe(expectRate(makeRateEstimator(), model, rateRps), 0, new Map())

describe("RateEstimator", () => {
  it("starts with what is expected, and with nothing for a model it does not know", () => {
    const estimator = started(40)
    assert.strictEqual(estimateRps(estimator, model), 40)
    assert.strictEqual(estimateRps(estimator, other), 0)
    assert.strictEqual(estimateRps(forgetRate(estimator, model), model), 0)
  })

  it("stays at a steady rate", () => {
    for (const rate of [0.1, 1, 50, 10_000]) {
      for (const estimate of feed(started(rate), 0, 60_000, rate).estimates) assert.approximately(estimate, rate, rate * 1e-9)
    }
  })

  it("sees most of a step up within a second", () => {
    const { estimates } = feed(started(100), 0, 1_000, 300)
    assert.isAbove(estimates[estimates.length - 1]!, 240)
  })

  it("sees how high a step is in the look after the one that saw it: what is planned for it is not planned for half of it", () => {
    fc.assert(fc.property(fc.double({ min: 400, max: 50_000, noNaN: true }), fc.double({ min: 2, max: 20, noNaN: true }), (rate, factor) => {
      const { estimates } = feed(started(rate), 0, 400, factor * rate)
      assert.isAtMost(estimates[0]!, 1.1 * rate + 0.1 * (factor - 1) * rate, "after one look")
      assert.isAtLeast(estimates[1]!, 0.99 * factor * rate, "after two")
      for (const estimate of estimates) assert.isAtMost(estimate, factor * rate * (1 + 1e-12))
    }))
  })

  it("sees a doubling of Poisson arrivals after two looks, nearly whatever chance makes of it", () => {
    const random = makeRandom(9)
    const seen = Array.from({ length: 200 }, () => {
      let estimator = started(600)
      let next = 0
      let count = 0
      for (let now = -2000; now <= 0; now += 200) {
        // The last two looks are of the doubled rate.
        for (count = 0; next < 200; count++) next -= (Math.log(1 - random()) / (now >= -200 ? 1200 : 600)) * 1000
        next -= 200
        estimator = observe(estimator, now + 2200, new Map([[model, count]]))
      }
      return estimateRps(estimator, model)
    })
    assert.isAtLeast(seen.filter((estimate) => estimate >= 0.9 * 1200).length, 180)
    assert.isAtLeast(Math.min(...seen), 600)
  })

  it("does not take the scatter of looks after a step for more steps", () => {
    // Looks of 200 ms scatter by 6 % at this rate; whoever plans anew at 5 % more than ever does it for the step, and once more for what was seen of it first.
    let all = 0
    for (let seed = 1; seed <= 20; seed++) {
      const random = makeRandom(seed)
      const rate = 1400
      let estimator = feed(started(rate), 0, 20_000, 0).estimator
      let [next, planned, plans] = [1000 * random() / rate, 0, 0]
      for (let now = 200; now <= 20_000; now += 200) {
        let count = 0
        for (; next < now; count++) next -= (Math.log(1 - random()) / rate) * 1000
        estimator = observe(estimator, 20_000 + now, new Map([[model, count]]))
        const estimate = estimateRps(estimator, model)
        if (now >= 1000) assert.approximately(estimate, rate, 0.1 * rate, `seed ${seed}, ${now} ms after the step`)
        // The look that saw the step says nothing of it yet.
        if (now === 200 || estimate <= 1.05 * planned) continue
        planned = estimate
        plans += 1
      }
      assert.isAtMost(plans, 4, `seed ${seed}`)
      all += plans
    }
    assert.isAtMost(all, 2 * 20)
  })

  it("does not take what was held back, and comes at once, for a step", () => {
    // Cold connections: of a load that begins nothing comes for a while, then all of it, then what is due. Looks of 100 ms.
    fc.assert(fc.property(fc.double({ min: 500, max: 50_000, noNaN: true }), fc.integer({ min: 1, max: 3 }), (rate, heldLooks) => {
      const before = feed(started(0.01 * rate), 0, 1000, 0.01 * rate, 100).estimator
      const held = feed(before, 1000, 1000 + 100 * heldLooks, 0, 100).estimator
      const { estimates } = feed(observe(held, 1100 + 100 * heldLooks, new Map([[model, 0.1 * rate * (1 + heldLooks)]])), 1100 + 100 * heldLooks, 3000, rate, 100)
      for (const estimate of estimates) assert.isAtMost(estimate, 1.001 * rate)
      assert.isAtLeast(estimates[2]!, 0.99 * rate)
    }))
  })

  it("does not take what a pause of the host held back for a step, and goes on with what it knew", () => {
    // Looks of 100 ms: of one half comes with the next; the look after that is a little more by chance.
    fc.assert(fc.property(fc.double({ min: 2000, max: 50_000, noNaN: true }), fc.double({ min: 0.3, max: 1, noNaN: true }), fc.double({ min: 0.9, max: 1.09, noNaN: true }), (rate, held, chance) => {
      let estimator = feed(started(rate), 0, 20_000, rate, 100).estimator
      for (const [look, part] of [1 - held, 1 + held, chance, 1].entries()) {
        estimator = observe(estimator, 20_100 + 100 * look, new Map([[model, 0.1 * rate * part]]))
        assert.isAtMost(estimateRps(estimator, model), 1.045 * rate, `look ${look}`)
        assert.isAtLeast(estimateRps(estimator, model), 0.95 * rate)
      }
    }))
  })

  it("takes no pause for a step of smaller models either, whose looks are chance", () => {
    // What both had held back comes at once: of the large one alone that is more than chance explains. A look of the small one after it is of some items.
    fc.assert(fc.property(fc.double({ min: 50, max: 400, noNaN: true }), fc.double({ min: 0.3, max: 1, noNaN: true }), fc.double({ min: 0.5, max: 1.6, noNaN: true }), (rate, held, chance) => {
      const counted = (part: number, ofSmall: number) => new Map([[model, 1000 * part], [other, 0.1 * rate * ofSmall]])
      let estimator = expectRate(started(10_000), other, rate)
      for (let now = 100; now <= 20_000; now += 100) estimator = observe(estimator, now, counted(1, 1))
      for (const [look, [part, ofSmall]] of ([[1 - held, 1 - held], [1 + held, 1 + held], [1, chance], [1, 1]] as const).entries()) {
        estimator = observe(estimator, 20_100 + 100 * look, counted(part, ofSmall))
        assert.isAtMost(estimateRps(estimator, other), 1.1 * rate, `look ${look}`)
        assert.isAtLeast(estimateRps(estimator, other), 0.95 * rate, `look ${look}`)
      }
    }))
  })

  it("still doubts a step after a look of no time", () => {
    const seen = (isTwice: boolean): number => {
      let estimator = feed(started(5000), 0, 20_000, 5000, 100).estimator
      for (const [now, count] of [[20_100, 0], [20_200, 1000], ...(isTwice ? [[20_200, 0] as const] : []), [20_300, 545]] as const) {
        estimator = observe(estimator, now, new Map([[model, count]]))
      }
      return estimateRps(estimator, model)
    }
    assert.isAtMost(seen(false), 1.045 * 5000)
    assert.strictEqual(seen(true), seen(false))
  })

  it("takes what other models exceed for a step too, where one steps", () => {
    // All rates rise by 1.3 at once: too little for one look to be told from chance, but for that of the first model, which rises by 2.
    const names = [model, other]
    const counted = (factors: ReadonlyArray<number>) => new Map(names.map((name, i) => [name, 150 * factors[i]!]))
    let steady = names.reduce((estimator, name) => expectRate(estimator, name, 1500), makeRateEstimator())
    for (let now = 0; now <= 2000; now += 100) steady = observe(steady, now, counted([1, 1]))
    const seen = (first: number) => [2100, 2200, 2300].reduce((estimator, now) => observe(estimator, now, counted([first, 1.3])), steady)
    assert.isAtLeast(estimateRps(seen(2), other), 0.97 * 1950)
    assert.isAtMost(estimateRps(seen(1), other), 0.9 * 1950)
  })

  it("forgets slowly: a second of silence takes little, a minute nearly all", () => {
    const quiet = feed(started(100), 0, 1_000, 0)
    assert.isAbove(estimateRps(quiet.estimator, model), 85)
    assert.isBelow(estimateRps(feed(quiet.estimator, 1_000, 61_000, 0).estimator, model), 1)
    assert.strictEqual(estimateRps(feed(quiet.estimator, 1_000, 200_000, 0).estimator, model), 0)
  })

  it("does not take the scatter of Poisson arrivals for load", () => {
    const random = makeRandom(3)
    for (const rate of [2, 50, 1_000]) {
      let estimator = started(rate)
      let now = 0
      let next = 0
      for (let step = 0; step < 600; step++) {
        now += 200
        let count = 0
        while (next < now) {
          next += (-Math.log(1 - random()) / rate) * 1000
          count++
        }
        estimator = observe(estimator, now, new Map([[model, count]]))
        // Within what is planned for anyway.
        assert.isBelow(estimateRps(estimator, model), rateToPlanFor(rate) + 2 * Math.sqrt(rate))
      }
      assert.approximately(estimateRps(estimator, model), rate, Math.max(1.5, 3 * Math.sqrt(rate / 5)))
    }
  })

  it("takes more for chance where several items come together", () => {
    // Half a second of twice the rate, which four scatters of single items do not explain, and one of requests of 16 does.
    const burst = feed(started(100), 0, 500, 140, 50).estimator
    assert.isAbove(estimateRps(burst, model), 105)
    assert.isBelow(estimateRps(burst, model, 16), 105)
    assert.strictEqual(estimateRps(burst, model, 1), estimateRps(burst, model))
  })

  it("is the same for one long interval as for many short ones of equal rate", () => {
    const long = observe(started(10), 5_000, new Map([[model, 500]]))
    const short = feed(started(10), 0, 5_000, 100, 100).estimator
    assert.approximately(estimateRps(long, model), estimateRps(short, model), 1e-6)
  })

  it("is finite and not negative for any counts and clocks", () => {
    fc.assert(fc.property(
      fc.array(fc.tuple(fc.integer({ min: -100, max: 10_000 }), fc.integer({ min: 0, max: 1e6 })), { maxLength: 50 }),
      (steps) => {
        let estimator = makeRateEstimator()
        let now = 0
        for (const [elapsed, count] of steps) {
          now += elapsed
          estimator = observe(estimator, now, new Map([[model, count]]))
          const estimate = estimateRps(estimator, model)
          assert.isTrue(estimate >= 0 && Number.isFinite(estimate))
        }
      }
    ))
  })
})

describe("rateToPlanFor", () => {
  /** The smallest count that Poisson arrivals stay within with 99 %. */
  const exactQuantile = (rate: number): number => {
    let logTerm = -rate
    let sum = Math.exp(logTerm)
    let k = 0
    while (sum < 0.99) {
      k++
      logTerm += Math.log(rate / k)
      sum += Math.exp(logTerm)
    }
    return k
  }

  it("is the 99th percentile of a second of Poisson arrivals, to one item, where that is above a tenth more", () => {
    for (const rate of [0.1, 0.5, 1, 2, 4, 7.5, 15, 50, 125, 300, 500]) {
      assert.approximately(rateToPlanFor(rate), exactQuantile(rate), 1)
    }
  })

  it("never leaves less than a tenth, and is strictly increasing", () => {
    fc.assert(fc.property(fc.double({ min: 0, max: 20_000, noNaN: true }), fc.double({ min: 0.001, max: 100, noNaN: true }), (rate, more) => {
      assert.isAtLeast(rateToPlanFor(rate), 1.1 * rate * (1 - 1e-12))
      assert.isAbove(rateToPlanFor(rate + more), rateToPlanFor(rate))
    }))
    assert.approximately(rateToPlanFor(10_000), 11_000, 1e-6)
  })

  it("has room for the bursts that a short SLO leaves no time for, and asks less where executions are faster than planned", () => {
    // Where executions take no time what is left is a second's arrivals. Where many requests come within an SLO, half of Lundberg's exponent: ln(100) over 2 ms.
    assert.approximately(rateToPlanFor(340, 200, 0) - 340, 2.3263 * Math.sqrt(340) + 0.735, 0.01)
    assert.approximately(rateToPlanFor(20_000, 2), 22_000 + Math.log(100) / 0.002, 150)
    assert.approximately(rateToPlanFor(20_000, 2, 0.95), 0.95 * rateToPlanFor(20_000, 2), 1e-6)
    fc.assert(fc.property(
      fc.double({ min: 0, max: 20_000, noNaN: true }), fc.double({ min: 0.001, max: 100, noNaN: true }),
      fc.double({ min: 0.1, max: 10_000, noNaN: true }), fc.double({ min: 0, max: 1, noNaN: true }),
      (rate, more, sloMs, meanPart) => {
        const planned = rateToPlanFor(rate, sloMs, meanPart)
        assert.isAbove(planned, rate)
        assert.isAbove(rateToPlanFor(rate + more, sloMs, meanPart), planned)
        assert.isAtLeast(rateToPlanFor(rate, sloMs / 2, meanPart), planned)
        assert.isAtMost(planned, rateToPlanFor(rate, sloMs))
      }
    ))
  })

  it("leaves one in a hundred of a single server's requests waiting for more than half the SLO, or fewer", () => {
    // M/D/1 by Lindley's recursion: the wait of each from the wait of the one before.
    for (const [rate, sloMs] of [[1000, 5], [200, 50], [3000, 22], [50, 10]] as const) {
      const random = makeRandom(7)
      // What is asked for a tenth less has no room for an error of the rate.
      const serviceMs = 1000 / rateToPlanFor(rate / 1.1, sloMs)
      let waitMs = 0
      let late = 0
      const count = 300_000
      for (let i = 0; i < count; i++) {
        waitMs = Math.max(0, waitMs + serviceMs + (Math.log(1 - random()) * 1000) / rate)
        if (waitMs > sloMs / 2) late += 1
      }
      assert.isAtMost(late / count, 0.0105, `${rate}/s within ${sloMs} ms`)
    }
  })

  it("asks the same for single items as where nothing is said, and more the more come together", () => {
    fc.assert(fc.property(
      fc.double({ min: 0.01, max: 20_000, noNaN: true }), fc.double({ min: 0.1, max: 10_000, noNaN: true }), fc.double({ min: 0, max: 1, noNaN: true }),
      fc.double({ min: 1, max: 64, noNaN: true }), fc.double({ min: 0.01, max: 8, noNaN: true }),
      (rate, sloMs, meanPart, items, more) => {
        assert.strictEqual(rateToPlanFor(rate, sloMs, meanPart, 1), rateToPlanFor(rate, sloMs, meanPart))
        assert.isAtLeast(rateToPlanFor(rate, sloMs, meanPart, items + more), rateToPlanFor(rate, sloMs, meanPart, items))
        assert.isAbove(rateToPlanFor(rate, sloMs, 1, items + more), Math.max(rateToPlanFor(rate, Infinity, 1, items), 1.1 * rate))
        // Requests of k items are what single ones are, a k-th as often and k times as large.
        const scaled = items * rateToPlanFor(rate / items, sloMs, meanPart)
        assert.approximately(rateToPlanFor(rate, sloMs, meanPart, items) / scaled, 1, 1e-9)
      }
    ))
    assert.strictEqual(rateToPlanFor(100, 50, 1, NaN), rateToPlanFor(100, 50))
    assert.strictEqual(rateToPlanFor(100, 50, 1, 0), rateToPlanFor(100, 50))
  })

  it("leaves one in a hundred requests of several items waiting for more than half the SLO, or hardly more where sizes differ", () => {
    // Lindley's recursion with compound arrivals; the wait of a request is that of its first item.
    for (const [rate, sloMs, sizes, most] of [
      [800, 6.6, [4], 0.0105], [3000, 22, [16], 0.0105], [400, 50, [2], 0.0105], [1000, 10, [1, 2, 3, 4, 5, 6, 7, 8], 0.0105], [2000, 40, [1, 1, 1, 1, 1, 1, 1, 32], 0.0105]
    ] as const) {
      const random = makeRandom(11)
      const sum = (values: ReadonlyArray<number>): number => values.reduce((total, value) => total + value, 0)
      const together = sum(sizes.map((size) => size * size)) / sum(sizes)
      const requestsPerMs = rate / 1000 / (sum(sizes) / sizes.length)
      const itemMs = 1000 / rateToPlanFor(rate / 1.1, sloMs, 1, together)
      let [waitMs, late] = [0, 0]
      const count = 300_000
      for (let i = 0; i < count; i++) {
        const size = sizes[Math.floor(random() * sizes.length)]!
        waitMs = Math.max(0, waitMs + size * itemMs + Math.log(1 - random()) / requestsPerMs)
        if (waitMs > sloMs / 2) late += 1
      }
      assert.isAtMost(late / count, most, `${rate}/s of ${sizes.join()} within ${sloMs} ms`)
    }
  })

  it("takes the mean over the 99th percentile from the largest batch that is known, of the type where it is largest", () => {
    const gpus = [gpuOf(0, { type: "slow" }), gpuOf(1, { type: "fast" })]
    const latency: LatencyModel = {
      latencyMs: ({ batch, gpuType }) => (batch > 8 ? Infinity : gpuType === "fast" ? 10 + batch : 20),
      typicalMs: ({ batch, gpuType }) => (gpuType === "fast" ? 9 : 5 + batch),
      slowdown: () => 1, memoryBytes: () => 0, gletMemoryBytes: () => 0
    }
    const name = unsafeModelName("m")
    assert.approximately(meanPartOf(latency, gpus, { name, maxBatch: 32 }), 13 / 20, 1e-12)
    assert.approximately(meanPartOf(latency, gpus.slice(1), { name, maxBatch: 32 }), 9 / 18, 1e-12)
    assert.strictEqual(meanPartOf({ ...latency, latencyMs: () => Infinity }, gpus, { name, maxBatch: 32 }), 1)
    assert.strictEqual(meanPartOf(latency, [], { name, maxBatch: 32 }), 1)
  })

  it("plans a little for an idle model, and takes nonsense for idle", () => {
    assert.isTrue(rateToPlanFor(0) > 0 && rateToPlanFor(0) < 1)
    assert.strictEqual(rateToPlanFor(NaN), rateToPlanFor(0))
    assert.strictEqual(rateToPlanFor(-5), rateToPlanFor(0))
  })
})
