/** Goodput and fairness of whole runs, over loads from light to four times too much. */
import { assert, describe, it } from "@effect/vitest"
import type { DispatchedBatch } from "../../src/scheduler/DispatchedBatch.js"
import { Dispatcher } from "../../src/scheduler/Dispatcher.js"
import { exited, g0, g1, ignore } from "./exactDispatcher.js"
import { done, glet, linear, makeModel, random, request, route, simulate } from "./harness.js"

describe("Dispatcher under load", () => {
  const lognormal = (spread: number, rng: () => number): number =>
    Math.exp(spread * Math.sqrt(-2 * Math.log(1 - rng())) * Math.cos(2 * Math.PI * rng()) - (spread * spread) / 2)
  const model = makeModel("m", { sloMs: 25, maxBatch: 16 })
  const profile = linear(2, 0.5, 16)

  /** Goodput in requests per second at a multiple of what a glet can do with batches of 16. */
  const run = (multiple: number, machine: { readonly factor: number; readonly spread: number; readonly glets: number; readonly seed: number }) => {
    const glets = Array.from({ length: machine.glets }, (_, i) => `gpu/${i}`)
    const dispatcher = new Dispatcher({ answerMs: 0 })
    dispatcher.setModel(model)
    dispatcher.setRoutes(glets.map((id) => glet(id, [route(model, profile, { planBatch: 16 })])))
    const capacityRps = (machine.glets * 16_000) / (profile[16]! * 0.9 * machine.factor)
    const { total } = simulate(dispatcher, {
      loads: [{ model, rateRps: multiple * capacityRps }], glets, durationMs: 4000, seed: machine.seed,
      truthMs: (batch, rng) => profile[batch.items]! * 0.9 * machine.factor * lognormal(machine.spread, rng)
    })
    return { ...total, goodRps: total.good / 4 }
  }

  for (const [name, machine] of [
    ["as profiled", { factor: 1, spread: 0.1, glets: 1, seed: 1 }],
    ["noisy", { factor: 1, spread: 0.3, glets: 1, seed: 2 }],
    ["slower than profiled", { factor: 1.4, spread: 0.1, glets: 1, seed: 3 }],
    ["faster than profiled", { factor: 0.5, spread: 0.1, glets: 1, seed: 4 }],
    ["three glets", { factor: 1, spread: 0.1, glets: 3, seed: 5 }]
  ] as const) {
    it(`keeps its goodput at any overload: ${name}`, () => {
      const runs = [0.5, 0.8, 1, 1.5, 2, 4].map((multiple) => ({ multiple, ...run(multiple, machine) }))
      const peak = Math.max(...runs.map(({ goodRps }) => goodRps))
      for (const { expired, failed: wrong, good, goodRps, late, multiple, offered, refused } of runs) {
        const told = JSON.stringify({ multiple, offered, good, late, expired, refused })
        assert.strictEqual(good + late + expired + refused, offered, told)
        assert.strictEqual(wrong, 0, told)
        // What is accepted is answered in time; what is not is refused at once.
        assert.isAtMost(late + expired, 0.04 * offered, told)
        if (multiple === 0.5) assert.isAtLeast(good, 0.995 * offered, told)
        if (multiple >= 1.5) assert.isAtLeast(goodRps, 0.9 * peak, told)
      }
    })
  }

  it("is deterministic", () => {
    const machine = { factor: 1, spread: 0.2, glets: 2, seed: 6 }
    assert.deepStrictEqual(run(1.5, machine), run(1.5, machine))
  })

  it("keeps one model's SLO while another is overloaded", () => {
    const calm = makeModel("calm", { sloMs: 60, maxBatch: 8 })
    const wild = makeModel("wild", { sloMs: 60, maxBatch: 8 })
    const table = linear(3, 0.5, 8)
    const dispatcher = new Dispatcher({ answerMs: 0 })
    dispatcher.setModel(calm)
    dispatcher.setModel(wild)
    dispatcher.setRoutes([glet("gpu/0", [route(calm, table, { fraction: 0.5 }), route(wild, table, { fraction: 0.5 })])])
    const { byModel } = simulate(dispatcher, {
      loads: [{ model: calm, rateRps: 200 }, { model: wild, rateRps: 4000 }], glets: ["gpu/0"], durationMs: 4000, seed: 8,
      truthMs: (batch, rng) => table[batch.items]! * 0.9 * lognormal(0.1, rng)
    })
    const quiet = byModel.get("calm")!
    assert.isAtLeast(quiet.good, 0.95 * quiet.offered, JSON.stringify(quiet))
    assert.isAtLeast(byModel.get("wild")!.good / 4, 500)
  })

  it("survives a seed of random deaths without losing a request", () => {
    const rng = random(9)
    const dispatcher = new Dispatcher({ answerMs: 0 })
    dispatcher.setModel(model)
    const glets = [g0, g1]
    dispatcher.setRoutes(glets.map((id) => glet(id, [route(model, profile, { planBatch: 16 })])))
    for (const id of glets) dispatcher.gletReady(id, 2)
    const running: Array<{ readonly batch: DispatchedBatch; readonly endMs: number }> = []
    const back = new Map<string, number>()
    let offered = 0
    for (let now = 0; now < 5000 || dispatcher.view.pending > 0; now++) {
      for (const id of glets) {
        if (now < 5000 && rng() < 0.002) {
          dispatcher.gletLost(now, id, now + 20)
          back.set(id, now + 20)
          for (let i = running.length - 1; i >= 0; i--) {
            if (running[i]!.batch.glet.id === id) dispatcher.batchEnded(now, running.splice(i, 1)[0]!.batch, exited(id))
          }
        } else if (back.get(id) === now) {
          dispatcher.gletReady(id, 2)
        }
      }
      if (now < 5000 && rng() < 0.8) {
        offered += 1
        dispatcher.offer(now, request(model), ignore)
      }
      for (let i = running.length - 1; i >= 0; i--) {
        if (running[i]!.endMs > now) continue
        const [ended] = running.splice(i, 1)
        dispatcher.batchEnded(now, ended!.batch, done(profile[ended!.batch.items]!))
      }
      dispatcher.sweep(now)
      for (const id of glets) {
        for (let batch = dispatcher.pull(now, id); batch !== undefined; batch = dispatcher.pull(now, id)) {
          const after = Math.max(now, ...running.filter((other) => other.batch.glet.id === id).map((other) => other.endMs))
          running.push({ batch, endMs: after + profile[batch.items]! })
        }
      }
      assert.isBelow(now, 10_000)
    }
    assert.strictEqual(dispatcher.ended.length, offered)
    const answered = dispatcher.ended.filter((ticket) => ticket.end?.ok === true).length
    assert.isAtLeast(answered, 0.9 * offered)
  })
})
