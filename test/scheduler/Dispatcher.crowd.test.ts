/** Many models of short executions and a lax one on one glet: they follow each other without a gap, and none of them misses because the lax one went first. */
import { assert, describe, it } from "@effect/vitest"
import * as Either from "effect/Either"
import * as fc from "fast-check"
import * as fs from "node:fs"
import { unsafeGletId } from "../../src/core/Ids.js"
import type { HardwareDescription } from "../../src/simulator/Hardware.js"
import { profileHardware } from "../../src/simulator/Hardware.js"
import { parseScenario } from "../../src/simulator/ScenarioFile.js"
import { scenarioInput } from "../../src/simulator/ScenarioInput.js"
import { simulate } from "../../src/simulator/Simulation.js"
import { worstViolation } from "../../src/simulator/SimulationReport.js"
import { Dispatcher } from "../../src/scheduler/Dispatcher.js"
import { findPlanner } from "../../src/scheduler/PlannerRegistry.js"
import { done, glet, linear, makeModel, request, route } from "./harness.js"

const g0 = unsafeGletId("gpu/0")
const wayMs = 0.2
const small = (i: number) => makeModel(`small${i}`, { sloMs: 5 })
const lax = makeModel("lax", { sloMs: 100 })

const dispatcherOf = (models: ReadonlyArray<readonly [ReturnType<typeof makeModel>, Float64Array]>, depth: number): Dispatcher => {
  const dispatcher = new Dispatcher({ answerMs: 0, overheadMs: wayMs, maxQueued: 100 })
  for (const [model] of models) dispatcher.setModel(model)
  dispatcher.setRoutes([glet(g0, models.map(([model, latency]) => route(model, latency, { typicalRatio: 1 })))])
  dispatcher.gletReady(g0, depth)
  return dispatcher
}
const offer = (dispatcher: Dispatcher, nowMs: number, model: ReturnType<typeof makeModel>) => void dispatcher.offer(nowMs, request(model), () => {})

describe("a glet that many models share", () => {
  it("is given a batch that is not full behind one that ends soon, unless it has one model or the execution is long", () => {
    const follows = (executionMs: number, models: number): boolean => {
      const all = Array.from({ length: models }, (_, i) => [small(i), linear(executionMs, 0, 16)] as const)
      const dispatcher = dispatcherOf(all, 2)
      offer(dispatcher, 0, all[0]![0])
      assert.isDefined(dispatcher.pullModel(0, all[0]![0].name))
      const last = all.at(-1)![0]
      offer(dispatcher, 0, last)
      return dispatcher.pullModel(0, last.name) !== undefined
    }
    assert.isTrue(follows(wayMs / 2, 2))
    assert.isTrue(follows(wayMs, 6))
    assert.isFalse(follows(wayMs / 2, 1))
    assert.isFalse(follows(10 * wayMs, 2))
  })

  it("lets a lax model neither follow nor go first nor grow where that would use up what the plan spares a short objective", () => {
    /** Whether the lax one is given behind a batch that runs; which goes first of two that wait; and how large the lax batch is then. */
    const forms = (sparedMs: number, shortSloMs = 10) => {
      const short = makeModel("short", { sloMs: shortSloMs, maxBatch: 8 })
      const make = () => {
        const dispatcher = new Dispatcher({ answerMs: 0, overheadMs: 0, maxQueued: 100 })
        for (const model of [short, lax]) dispatcher.setModel(model)
        dispatcher.setRoutes([glet(g0, [
          route(short, linear(1, 0, 8), { typicalRatio: 1, ...(sparedMs > 0 ? { sparedMs } : {}) }), route(lax, linear(2, 0.25, 8), { typicalRatio: 1, planBatch: 1 })
        ])])
        dispatcher.gletReady(g0, 3)
        return dispatcher
      }
      const busy = make()
      offer(busy, 0, lax)
      busy.pull(0, g0)
      offer(busy, 0, lax)
      const follows = busy.pull(0, g0) !== undefined
      const waiting = make()
      for (let i = 0; i < 8; i++) offer(waiting, 0, lax)
      offer(waiting, 0, short)
      const first = waiting.pull(0, g0)!
      return { follows, first: first.model.name as string, items: first.items }
    }
    // What has not come yet would end 5.5 ms after it did, and what waits behind eight 5 ms.
    assert.deepStrictEqual(forms(0), { follows: true, first: "lax", items: 8 })
    assert.deepStrictEqual(forms(4), { follows: true, first: "lax", items: 8 })
    assert.deepStrictEqual(forms(5), { follows: false, first: "lax", items: 8 })
    assert.deepStrictEqual(forms(6), { follows: false, first: "short", items: 1 })
    assert.isTrue(forms(40, 60).follows, "objectives that are alike spare each other nothing")
  })

  it("lets those go first of whom one would miss behind a lax batch that can wait for all of them, and not otherwise", () => {
    let laxFirst = 0
    let laxLater = 0
    fc.assert(fc.property(
      fc.integer({ min: 1, max: 8 }), fc.double({ min: 0.1, max: 1, noNaN: true }), fc.double({ min: 0.5, max: 4, noNaN: true }), fc.double({ min: 1, max: 99, noNaN: true }),
      (count, smallMs, laxMs, waitedMs) => {
        const smalls = Array.from({ length: count }, (_, i) => small(i))
        const dispatcher = dispatcherOf([[lax, linear(laxMs, 0, 16)] as const, ...smalls.map((each) => [each, linear(smallMs, 0, 16)] as const)], 1)
        offer(dispatcher, 0, lax)
        for (const each of smalls) offer(dispatcher, waitedMs, each)
        const batch = dispatcher.pull(waitedMs, g0)
        if (batch === undefined) return
        const safeMs = 2 * wayMs
        const together = count * smallMs
        const fits = together + safeMs <= 4.99 && waitedMs + together + laxMs + safeMs <= 99.99
        // Behind it, the last of them would end after its deadline.
        if (fits && together + laxMs + safeMs > 5.01) assert.notStrictEqual(batch.model, lax)
        if (batch.model === lax) laxFirst += 1
        else laxLater += 1
        dispatcher.batchEnded(waitedMs + 1, batch, done(1))
      }
    ))
    assert.isAbove(laxFirst, 0)
    assert.isAbove(laxLater, 0)
  })

  it("keeps the objectives of six models of 5 ms beside one of 108 ms at every load up to the peak, simulated", () => {
    const read = (file: string) => fs.readFileSync(new URL(`../../resource/${file}`, import.meta.url), "utf8")
    const hardware = profileHardware(JSON.parse(read("profiles/h200/mps.json")), JSON.parse(read("profiles/h200/hardware.json")) as HardwareDescription)
    const scenario = Either.getOrThrow(parseScenario({ file: "game.json", text: read("scenarios/game.json") }, () => assert.fail("it names no files")))
    const planner = Either.getOrThrow(findPlanner("orion"))
    for (const loadFactor of [7, 8, 12, 25, 40]) {
      const input = Either.getOrThrow(scenarioInput(scenario, hardware, { planner, seed: 1, gpus: 1, durationMs: 3000, warmUpMs: 500, replans: false, loadFactor }))
      assert.isAtMost(worstViolation(simulate(input).streams), 0.01, `${loadFactor} times the load`)
    }
  })
})
