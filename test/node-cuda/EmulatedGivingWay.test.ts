import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import type { BatchEnd, GletSpec } from "../../src/core/Executor.js"
import { GletExited } from "../../src/core/ExecutorError.js"
import { unsafeGletId, unsafeModelName } from "../../src/core/Ids.js"
import { PreemptibleGpu, waitSteps } from "../../src/core/internal/preemption.js"
import { makeRandom } from "../../src/core/internal/random.js"
import type { Model } from "../../src/core/Model.js"
import type { ModelProfile } from "../../src/core/Profile.js"
import type { EmulatedGlet } from "../../src/node-cuda/internal/emulatedGlet.js"
import { makeEmulatedGlet } from "../../src/node-cuda/internal/emulatedGlet.js"
import type { PreciseTimer } from "../../src/node-cuda/internal/preciseTimer.js"
import * as ProfileLatencyModel from "../../src/scheduler/ProfileLatencyModel.js"
import type { DispatchedBatch } from "../../src/scheduler/DispatchedBatch.js"
import { distributionOf } from "../../src/scheduler/LatencyDistribution.js"
import { EventKind, EventQueue } from "../../src/simulator/internal/eventQueue.js"
import { ClaimingGlet, YieldingGlet } from "../../src/simulator/internal/preemptibleGlets.js"
import type { GletHost, SimulatedGlet } from "../../src/simulator/internal/simulatedGlet.js"
import { gpusOf } from "../scheduler/problems.js"
import { lenetModel } from "../contract/lenet.js"
import { inputOf } from "../simulator/scenes.js"

/** A clock that stands still until it is told to go on. */
const makeManualTimer = () => {
  const queue = new EventQueue()
  const fires: Array<(() => void) | undefined> = []
  let nowMs = 0
  const timer: PreciseTimer = {
    nowMs: () => nowMs,
    at: (dueMs, fire) => {
      const at = fires.push(fire) - 1
      queue.add(Math.max(dueMs, nowMs), EventKind.arrival, at)
      return () => {
        fires[at] = undefined
      }
    },
    close: () => {}
  }
  /** Goes on to `untilMs`, and does all that is due on the way. */
  const goOn = (untilMs: number): void => {
    const end = fires.push(undefined) - 1
    queue.add(untilMs, EventKind.arrival, end)
    while (queue.next()) {
      nowMs = Math.max(nowMs, queue.timeMs)
      if (queue.subject === end) return
      fires[queue.subject]?.()
    }
  }
  return { timer, goOn }
}

const preemptMs = 0.5
const fastMs = 4
const slowMs = 40
const point = (sharePct: number, ms: number) => ({ sharePct, batch: 1, p50Ms: ms, meanMs: ms, p90Ms: ms, p99Ms: ms, count: 100 })
const exactly = (name: string, ms: number): ModelProfile => ({
  model: unsafeModelName(name), memoryBytes: 0, loadMs: 0,
  // Interpolated, it is the same on every share.
  points: [point(40, ms), point(100, ms)]
})
const modelNamed = (name: string): Model => ({ ...lenetModel, name: unsafeModelName(name) })
const [fast, slow] = [modelNamed("fast"), modelNamed("slow")]
const profiles = [exactly("fast", fastMs), exactly("slow", slowMs)] as const
const [gpu] = gpusOf(1, { type: "tiny", preemptMs, sharesPct: [40, 60, 100] })
const latency = ProfileLatencyModel.make(new Map([["tiny", new Map(profiles.map((profile) => [profile.model, profile]))]]))

/** Glets of one GPU; the shares of those that give way are negative. */
const openGlets = (shares: ReadonlyArray<number>, randomOf: (glet: number) => () => number = () => () => 0.5) => {
  const clock = makeManualTimer()
  const glets: Array<EmulatedGlet> = []
  const preemptible = new PreemptibleGpu(preemptMs, (_, ms) => glets.forEach((glet) => glet.holdUp(ms)))
  shares.forEach((share, i) => {
    const spec: GletSpec = { id: unsafeGletId(`tiny:0/${i}`), gpu: gpu!, sharePct: Math.abs(share), priority: 0, ...(share < 0 ? { givesWay: true } : {}) }
    const glet = makeEmulatedGlet({ spec, latency, timer: clock.timer, random: randomOf(i), neighbours: undefined, preemptible })
    glet.add(fast, profiles[0])
    glet.add(slow, profiles[1])
    glets.push(glet)
  })
  return { ...clock, glets }
}
const run = ({ timer }: { readonly timer: PreciseTimer }, glet: EmulatedGlet, model: Model) => {
  const result: { end?: BatchEnd; atMs?: number } = {}
  glet.start({ model, entries: [], items: 1 }, (end) => {
    result.end = end
    result.atMs = timer.nowMs()
  })
  return result
}
const tookMs = ({ end }: { readonly end?: BatchEnd }): number => {
  assert(end?.ok === true)
  return end.inferMs + end.outputMs
}

/** When batches of simulated glets end, and how long they take. */
const simulatedEnds = (
  shares: ReadonlyArray<number>, batches: ReadonlyArray<{ readonly inMs: number; readonly glet: number; readonly model: Model }>, randomOf: (glet: number) => () => number
): ReadonlyArray<ReadonlyArray<readonly [number, number]>> => {
  const queue = new EventQueue()
  const preemptible = new PreemptibleGpu(preemptMs, (nowMs, ms) => glets.forEach((glet) => glet instanceof ClaimingGlet && glet.holdUp(nowMs, ms)))
  const input = inputOf([fast, slow], [], {
    gpuCount: 1, gpu: gpu!, latency, slowdown: () => 1, costs: { overheadMs: 0, openMs: 0, loadMs: () => 0, planningMs: 0 },
    distribution: (execution) => distributionOf(latency, profiles.find(({ model }) => model === execution.model), execution)
  })
  const host: GletHost = {
    neighboursOf: () => glets,
    schedule: (glet, atMs, kind) => queue.add(atMs, kind, glets.indexOf(glet))
  }
  const glets: ReadonlyArray<SimulatedGlet> = shares.map((share, i) => {
    const place = { id: unsafeGletId(`tiny:0/${i}`), gpu: 0, sharePct: Math.abs(share), seed: 0, givesWay: share < 0 }
    return new (share < 0 ? YieldingGlet : ClaimingGlet)(place, input, host, randomOf(i), preemptible)
  })
  let atMs = 0
  batches.forEach(({ inMs }, i) => queue.add(atMs += inMs, EventKind.arrival, i))
  const ends = shares.map((): Array<readonly [number, number]> => [])
  while (queue.next()) {
    const { kind, subject, timeMs } = queue
    if (kind === EventKind.arrival) {
      const { glet, model } = batches[subject]!
      glets[glet]!.give(timeMs, { model, items: 1 } as DispatchedBatch)
    } else if (kind === EventKind.gletTurn) {
      glets[subject]!.turn(timeMs)
    } else {
      ends[subject]!.push([timeMs, glets[subject]!.heard().durationMs])
    }
  }
  return ends
}

describe("emulated batches that give way", () => {
  it("pause while another glet is busy, go on where they were, and hold it up by the rest of a step", () => {
    const scene = openGlets([100, -60])
    const [critical, giving] = scene.glets as [EmulatedGlet, EmulatedGlet]
    const batch = run(scene, giving, slow)
    scene.goOn(10)
    assert.isDefined(giving.running())
    const first = run(scene, critical, fast)
    assert.isUndefined(giving.running(), "it is to stop")
    const second = run(scene, critical, fast)
    scene.goOn(100)
    assert.closeTo(first.atMs!, 10 + preemptMs / 2 + fastMs, 1e-9)
    assert.closeTo(tookMs(first), preemptMs / 2 + fastMs, 1e-9)
    // It paused already: the one that follows is not held up.
    assert.closeTo(second.atMs!, first.atMs! + fastMs, 1e-9)
    assert.closeTo(batch.atMs!, slowMs + 2 * fastMs, 1e-9)
    assert.closeTo(tookMs(batch), batch.atMs!, 1e-9)
    // Neither the time held up nor the pauses are computing.
    assert.closeTo(critical.stats().busyMs, 2 * fastMs, 1e-9)
    assert.closeTo(giving.stats().busyMs, slowMs, 1e-9)
  })

  it("compute on beside what leaves them their share", () => {
    const scene = openGlets([40, -60])
    const [critical, giving] = scene.glets as [EmulatedGlet, EmulatedGlet]
    const batch = run(scene, giving, slow)
    scene.goOn(10)
    const beside = run(scene, critical, fast)
    scene.goOn(100)
    assert.closeTo(beside.atMs!, 10 + fastMs, 1e-9)
    assert.closeTo(batch.atMs!, slowMs, 1e-9)
  })

  it("get a step in so many where there is never room, which holds up what computes", () => {
    const scene = openGlets([100, -100])
    const [critical, giving] = scene.glets as [EmulatedGlet, EmulatedGlet]
    const untilMs = 10 * (waitSteps + 1) * preemptMs + 1
    const ends = Array.from({ length: 200 }, () => run(scene, critical, fast))
    const batch = run(scene, giving, slow)
    scene.goOn(untilMs)
    const ended = ends.filter(({ end }) => end !== undefined)
    // Ten steps went to the other.
    assert.strictEqual(ended.length, Math.floor((untilMs - 10 * preemptMs) / fastMs))
    assert.isUndefined(batch.end)
    assert.closeTo(critical.stats().busyMs, ended.length * fastMs, 1e-6)
    scene.goOn(1e6)
    // All that was left when the others were done.
    assert.closeTo(batch.atMs!, 200 * fastMs + slowMs, 1e-6)
  })

  it("every batch ends once, also of glets that die or close; claims of the dead are forgotten", () => {
    const events = fc.array(fc.record({
      inMs: fc.double({ min: 0, max: 12, noNaN: true }), glet: fc.integer({ min: 0, max: 3 }), what: fc.constantFrom("fast", "fast", "slow", "slow", "die", "close")
    }), { maxLength: 60 })
    fc.assert(fc.property(events, fc.integer({ min: 0, max: 1e6 }), (given, seed) => {
      const scene = openGlets([40, 60, -60, -100], (glet) => makeRandom(seed + glet))
      let started = 0
      let ended = 0
      let failed = 0
      let nowMs = 0
      const gone = new Set<number>()
      for (const { glet: at, inMs, what } of given) {
        scene.goOn(nowMs += inMs)
        const glet = scene.glets[at]!
        if (gone.has(at)) continue
        if (what === "die") {
          gone.add(at)
          glet.die(new GletExited({ glet: glet.spec.id, detail: "killed" }))
          glet.leave()
        } else if (what === "close") {
          gone.add(at)
          glet.close()
          glet.whenIdle(undefined, glet.leave)
        } else {
          started += 1
          glet.start({ model: what === "fast" ? fast : slow, entries: [], items: 1 }, (end) => {
            ended += 1
            if (!end.ok) failed += 1
          })
        }
      }
      scene.goOn(nowMs + 1e5)
      assert.strictEqual(ended, started)
      if (!given.some(({ what }) => what === "die")) assert.strictEqual(failed, 0)
      for (const glet of scene.glets) assert.isUndefined(glet.running())
      // Nobody claims anything any more.
      const [last] = scene.glets.filter((glet, at) => glet.spec.givesWay === true && !gone.has(at))
      if (last === undefined) return
      const alone = run(scene, last, slow)
      scene.goOn(nowMs + 2e5)
      assert.closeTo(tookMs(alone), slowMs, 1e-6)
    }), { numRuns: 100 })
  })

  it("end when simulated ones do", () => {
    const shares = [40, 100, -60, -100]
    const batches = fc.array(fc.record({
      inMs: fc.double({ min: 0, max: 15, noNaN: true }), glet: fc.integer({ min: 0, max: 3 }), model: fc.constantFrom(fast, slow)
    }), { maxLength: 60 })
    fc.assert(fc.property(batches, fc.integer({ min: 0, max: 1e6 }), (given, seed) => {
      const randomOf = (glet: number) => makeRandom(seed + glet)
      const scene = openGlets(shares, randomOf)
      const emulated = shares.map((): Array<readonly [number, number]> => [])
      let nowMs = 0
      for (const { glet, inMs, model } of given) {
        scene.goOn(nowMs += inMs)
        scene.glets[glet]!.start({ model, entries: [], items: 1 }, (end) => {
          assert(end.ok)
          emulated[glet]!.push([scene.timer.nowMs(), end.inferMs + end.outputMs])
        })
      }
      scene.goOn(nowMs + 1e5)
      const simulated = simulatedEnds(shares, given, randomOf)
      for (const [glet, ends] of emulated.entries()) {
        assert.strictEqual(ends.length, simulated[glet]!.length)
        for (const [i, [endMs, tookMs]] of ends.entries()) {
          assert.closeTo(endMs, simulated[glet]![i]![0], 1e-6)
          assert.closeTo(tookMs, simulated[glet]![i]![1], 1e-6)
        }
      }
    }), { numRuns: 100 })
  })
})
