/** Glets of one process die together, and their scheduler learns of it one by one. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type { BatchEnd, GletHandle } from "../../src/core/Executor.js"
import { GletExited } from "../../src/core/ExecutorError.js"
import { unsafeGletId } from "../../src/core/Ids.js"
import type { RequestEnd } from "../../src/core/Request.js"
import { Dispatcher } from "../../src/scheduler/Dispatcher.js"
import { CrashWatch } from "../../src/scheduler/internal/crashWatch.js"
import { RequestPath } from "../../src/scheduler/internal/requestPath.js"
import { defaultRestartOptions } from "../../src/scheduler/RestartPolicy.js"
import { done, glet, linear, makeModel, request, route } from "./harness.js"

const model = makeModel("a", { sloMs: 5000, maxBatch: 2 })
const ids = ["gpu/0", "gpu/1", "gpu/2"].map(unsafeGletId)

/** A process with all glets, which ends nothing by itself. */
const makeProcess = () => {
  const running: Array<{ readonly id: string; readonly onEnd: (end: BatchEnd) => void }> = []
  let dead = false
  let ended = 0
  const handle = (id: (typeof ids)[number]): GletHandle => ({
    spec: { id, gpu: undefined as never, sharePct: 10, priority: 0 }, depth: 2, load: () => Effect.never, unload: () => Effect.void, exited: Effect.never, stats: Effect.never,
    start: (_, onEnd) => {
      if (dead) queueMicrotask(() => onEnd({ ok: false, error: new GletExited({ glet: id, detail: "" }), unstarted: true }))
      else running.push({ id, onEnd })
    }
  })
  return {
    handle,
    end: () => {
      for (const { onEnd } of running.splice(0)) {
        ended += 1
        onEnd(done(10))
      }
      return ended
    },
    die: () => {
      dead = true
      for (const { id, onEnd } of running.splice(0)) onEnd({ ok: false, error: new GletExited({ glet: unsafeGletId(id), detail: "" }) })
    }
  }
}

describe("RequestPath", () => {
  for (const order of ["the scheduler hears of the deaths before the ends of what it still gave them", "it hears of the deaths last"]) {
    // Few: others are idle and get them at once. Many: all are full.
    it.for([1, 3, 8, 30])(`loses none of %i requests when glets die together: ${order}`, async (count) => {
      let now = 0
      const dispatcher = new Dispatcher({ answerMs: 0, overheadMs: 0 })
      dispatcher.setModel(model)
      dispatcher.setRoutes(ids.map((id) => glet(id, [route(model, linear(10, 1, 2), { typicalRatio: 1 })])))
      const path = new RequestPath({
        dispatcher, crashes: new CrashWatch(defaultRestartOptions), nowMs: () => now, defer: undefined, onWaiting: () => {}, onGathering: () => {}, onDefect: (defect) => {
          throw defect
        }
      })
      const process = makeProcess()
      for (const id of ids) path.setHandle(id, process.handle(id))
      const ends: Array<RequestEnd> = []
      for (let i = 0; i < count; i++) path.offer(request(model), (end) => void ends.push(end))
      now = 5
      const lose = () => ids.forEach((id) => path.gletLost(id, 500))
      if (order.startsWith("the scheduler")) queueMicrotask(lose)
      process.die()
      await Promise.resolve()
      await new Promise((resolve) => setImmediate(resolve))
      if (!order.startsWith("the scheduler")) lose()
      assert.deepStrictEqual(ends, [])
      const next = makeProcess()
      now = 500
      for (const id of ids) path.setHandle(id, next.handle(id))
      path.dispatchAll()
      for (let before = -1, ended = 0; ended !== before; ended = next.end()) before = ended
      assert.strictEqual(ends.filter((end) => end.ok).length, count)
      assert.strictEqual(dispatcher.view.pending, 0)
    })
  }
})
