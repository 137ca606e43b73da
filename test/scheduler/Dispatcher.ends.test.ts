/** What becomes of requests whose batch, glet, model or client is gone. */
import { assert, describe, it } from "@effect/vitest"
import type { BatchEnd } from "../../src/core/Executor.js"
import { a, exact, exited, failed, g0, g1, ids, ignore, latency, one, outcome } from "./exactDispatcher.js"
import { done, glet, request, route } from "./harness.js"

describe("what is lost", () => {
  it("queues the requests of a dead glet again, gives up after the second death", () => {
    const dispatcher = exact([a], one)
    const ticket = dispatcher.offer(0, request(a), ignore)
    const first = dispatcher.pull(0, g0)!
    dispatcher.gletLost(5, g0, 20)
    // The executor's own notice comes too: it must not count twice.
    dispatcher.batchEnded(5, first, exited())
    assert.isUndefined(ticket.end)
    assert.isUndefined(dispatcher.pull(5, g0), "it is not back")
    dispatcher.gletReady(g0, 2)
    const second = dispatcher.pull(20, g0)!
    assert.deepStrictEqual(second.tickets, [ticket])
    dispatcher.batchEnded(25, second, exited())
    dispatcher.gletLost(25, g0, 40)
    assert.strictEqual(outcome(ticket.end), "glet-exited")
    assert.strictEqual(dispatcher.view.pending, 0)
  })

  it("counts no death against a request that was given to a glet which was dead already", () => {
    // All glets of one process, of which each is found dead only when it is given something.
    const names = ["gpu/0", "gpu/1", "gpu/2", "gpu/3"]
    const dispatcher = exact([a], names.map((name) => glet(name, [route(a, latency, { typicalRatio: 1 })])))
    const ticket = dispatcher.offer(0, request(a), ignore)
    let started = true
    for (let batch = dispatcher.pullModel(0, a.name); batch !== undefined; batch = dispatcher.pullModel(5, a.name)) {
      assert.deepStrictEqual(batch.tickets, [ticket])
      dispatcher.batchEnded(5, batch, { ...exited(batch.glet.id), unstarted: !started } as BatchEnd)
      dispatcher.gletUnready(batch.glet.id, 20)
      started = false
    }
    assert.isUndefined(ticket.end, "it waits for the process to come back")
    dispatcher.gletReady(g0, 2)
    const last = dispatcher.pullModel(20, a.name)!
    dispatcher.batchEnded(25, last, exited())
    assert.strictEqual(outcome(ticket.end), "glet-exited", "the second death that it may have caused")
  })

  it("moves the requests of a dead glet to another, or ends them where the successor comes too late", () => {
    const two = [...one, glet("gpu/1", [route(a, latency, { typicalRatio: 1 })])]
    const dispatcher = exact([a], two)
    const ticket = dispatcher.offer(0, request(a), ignore)
    dispatcher.pull(0, g0)
    dispatcher.gletLost(5, g0, 1000)
    assert.deepStrictEqual(dispatcher.pull(5, g1)?.tickets, [ticket])
    const alone = exact([a], one)
    const lost = alone.offer(0, request(a), ignore)
    const waiting = alone.offer(0, request(a, { id: "waiting" }), ignore)
    alone.pull(0, g0)
    alone.gletLost(5, g0, 1000)
    assert.strictEqual(outcome(lost.end), "glet-exited")
    assert.strictEqual(outcome(waiting.end), "glet-exited")
    assert.strictEqual(outcome(alone.offer(6, request(a), ignore).end), "glet-exited")
    const patient = alone.offer(6, request(a, { timeoutMs: 5000 }), ignore)
    assert.isUndefined(patient.end)
    alone.gletReady(g0, 2)
    assert.deepStrictEqual(alone.pull(1000, g0)?.tickets, [patient])
  })

  it("runs the requests of a failed batch one by one, so that only the culprit fails", () => {
    const dispatcher = exact([a], one)
    const tickets = ["1", "bad", "3"].map((id) => dispatcher.offer(0, request(a, { id }), ignore))
    let now = 0
    for (let batch = dispatcher.pull(now, g0); batch !== undefined; batch = dispatcher.pull(now, g0)) {
      now += 10
      dispatcher.batchEnded(now, batch, ids(batch)!.includes("bad") ? failed : done(10))
    }
    assert.deepStrictEqual(tickets.map((ticket) => outcome(ticket.end)), ["ok", "ExecutionFailed", "ok"])
  })

  it("cancels in the queue at once, in flight when the batch ends", () => {
    const dispatcher = exact([a], one)
    const running = dispatcher.offer(0, request(a), ignore)
    const batch = dispatcher.pull(0, g0)!
    const queued = dispatcher.offer(0, request(a), ignore)
    dispatcher.cancel(1, queued)
    dispatcher.cancel(1, running)
    dispatcher.cancel(1, running)
    assert.strictEqual(outcome(queued.end), "RequestCanceled")
    assert.isUndefined(running.end)
    dispatcher.batchEnded(11, batch, done(11))
    assert.strictEqual(outcome(running.end), "RequestCanceled")
    dispatcher.cancel(12, running)
    assert.strictEqual(dispatcher.ended.length, 2)
    assert.strictEqual(dispatcher.view.countersOf(a.name)?.canceled, 2)
  })

  it("replaces a model: queued requests of the old one are answered by the old one", () => {
    const dispatcher = exact([a], one)
    const old = dispatcher.offer(0, request(a), ignore)
    const next = { ...a, version: 2 }
    dispatcher.setModel(next)
    dispatcher.setRoutes([...one, glet("gpu/1", [route(next, latency, { typicalRatio: 1 })])])
    dispatcher.gletReady(g1, 2)
    const fresh = dispatcher.offer(1, request(next), ignore)
    assert.isTrue(dispatcher.view.isBusy(a))
    const [byOld, byNew] = [dispatcher.pull(1, g0)!, dispatcher.pull(1, g1)!]
    assert.deepStrictEqual([byOld.tickets, byOld.model], [[old], a])
    assert.deepStrictEqual([byNew.tickets, byNew.model], [[fresh], next])
    dispatcher.batchEnded(12, byOld, done(11))
    assert.isFalse(dispatcher.view.isBusy(a))
    assert.strictEqual(outcome(old.end), "ok")
  })

  it("lets what runs on a glet end that left the plan", () => {
    const dispatcher = exact([a], one)
    const ticket = dispatcher.offer(0, request(a), ignore)
    const batch = dispatcher.pull(0, g0)!
    const waiting = dispatcher.offer(0, request(a), ignore)
    dispatcher.setRoutes([glet("gpu/1", [route(a, latency, { typicalRatio: 1 })])])
    dispatcher.gletReady(g1, 2)
    assert.isUndefined(dispatcher.pull(1, g0))
    assert.deepStrictEqual(dispatcher.pull(1, g1)?.tickets, [waiting])
    dispatcher.batchEnded(11, batch, done(11))
    assert.strictEqual(outcome(ticket.end), "ok")
    dispatcher.setRoutes([])
    const nowhere = dispatcher.offer(12, request(a), ignore)
    assert.strictEqual(outcome(nowhere.end), "no-glet")
  })

  it("forgets a model: what waits ends with its reason", () => {
    const dispatcher = exact([a], one)
    const ticket = dispatcher.offer(0, request(a), ignore)
    dispatcher.removeModel(1, a.name)
    assert.strictEqual(outcome(ticket.end), "model-not-ready")
    assert.strictEqual(outcome(dispatcher.offer(2, request(a), ignore).end), "ModelNotFound")
  })
})

describe("what a batch took", () => {
  const overlapMs = Float64Array.from(latency, () => 2)
  /** Mean of measured over predicted, of batches that come to the idle glet and of those that follow. */
  const ratioOf = (options: Parameters<typeof route>[2], isFollowing: boolean, tookMs: number): number => {
    const dispatcher = exact([a], [glet("gpu/0", [route(a, latency, { typicalRatio: 1, planBatch: 1, batchLimit: 1, ...options })])])
    dispatcher.gletReady(g0, 2)
    let now = 0
    const next = () => {
      dispatcher.offer(now, request(a, { timeoutMs: 1e6 }), ignore)
      return dispatcher.pull(now, g0)!
    }
    let running = next()
    dispatcher.view.takeMeasured()
    for (let i = 0; i < 20; i++) {
      const behind = isFollowing ? next() : undefined
      assert.strictEqual(behind !== undefined, isFollowing)
      now += tookMs
      // The first followed none.
      dispatcher.batchEnded(now, running, done(tookMs))
      if (i === 0) dispatcher.view.takeMeasured()
      running = behind ?? next()
    }
    return dispatcher.view.takeMeasured()[0]!.works[0]!.ratio
  }

  it("is held against the prediction without the copies of one that came to the idle glet", () => {
    const ms = latency[1]!
    assert.approximately(ratioOf({ overlapMs }, false, ms + 2), 1, 1e-9)
    assert.approximately(ratioOf({ overlapMs }, true, ms), 1, 1e-9)
    assert.approximately(ratioOf({ overlapMs }, true, ms + 2), (ms + 2) / ms, 1e-9)
    assert.approximately(ratioOf({}, false, ms + 2), (ms + 2) / ms, 1e-9)
  })
})
