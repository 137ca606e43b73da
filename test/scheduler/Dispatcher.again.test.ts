/** Asked again at the same time, a glet for which nothing was to start is not looked at until something changes: nobody can tell. */
import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { unsafeGpuId } from "../../src/core/Ids.js"
import type { DispatchedBatch } from "../../src/scheduler/DispatchedBatch.js"
import { Dispatcher } from "../../src/scheduler/Dispatcher.js"
import { failed, g0, g1, ignore } from "./exactDispatcher.js"
import { done, glet, linear, makeModel, request, route } from "./harness.js"

const models = [
  makeModel("tight", { sloMs: 40, maxBatch: 4 }), makeModel("loose", { sloMs: 120, maxBatch: 4 }),
  makeModel("fill", { serviceClass: "best-effort", maxBatch: 4 }), makeModel("other", { serviceClass: "best-effort", maxBatch: 4 })
]
const glets = [g0, g1]
const nowhere = unsafeGpuId("nowhere")

const makeDispatcher = (mask: number, preemptMs: number | undefined): Dispatcher => {
  const dispatcher = new Dispatcher({ answerMs: 0, overheadMs: 0, maxQueued: 40 })
  for (const model of models) dispatcher.setModel(model)
  dispatcher.setRoutes(glets.map((id, i) =>
    glet(id, models.flatMap((model, j) => ((mask >> (4 * i + j)) & 1
      ? [route(model, linear(3 + 2 * i + j, 1, 4), { planBatch: 3, slackMs: 6, intrudes: [{ glet: glets[1 - i]!, perMs: 0.4 }], ...(preemptMs === undefined ? {} : { preemptMs }) })] : [])))))
  for (const id of glets) dispatcher.gletReady(id, 2)
  return dispatcher
}

const action = fc.oneof(
  { weight: 8, arbitrary: fc.record({ kind: fc.constant("offer" as const), model: fc.nat(3), count: fc.integer({ min: 1, max: 8 }), timeoutMs: fc.option(fc.integer({ min: 5, max: 90 }), { nil: undefined, freq: 5 }) }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("end" as const), which: fc.nat(3), fails: fc.nat(9) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("cancel" as const), which: fc.nat(60) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom("lose" as const, "ready" as const, "unready" as const), glet: fc.nat(1) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom("hold" as const, "serial" as const), on: fc.boolean() }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("pass" as const), ms: fc.constantFrom(0, 0.5, 4, 30, 150) }) }
)
type Action = typeof action extends fc.Arbitrary<infer A> ? A : never

/** Plays it; after every step all are asked, twice. Answers what was given to whom. */
const play = (dispatcher: Dispatcher, steps: ReadonlyArray<Action>, forget: () => void): ReadonlyArray<string> => {
  const given: Array<string> = []
  const running: Array<DispatchedBatch> = []
  const offered: Array<ReturnType<Dispatcher["offer"]>> = []
  const gpu = unsafeGpuId("gpu")
  let nowMs = 0
  const take = (ask: () => DispatchedBatch | undefined): void => {
    for (;;) {
      forget()
      const batch = ask()
      if (batch === undefined) return
      running.push(batch)
      given.push(`${nowMs} ${batch.glet.id} ${batch.model.name} ${batch.tickets.map(({ seq }) => seq).join()}`)
    }
  }
  const takeAll = (): void => {
    take(() => dispatcher.pullGathered(nowMs))
    for (const id of glets) take(() => dispatcher.pull(nowMs, id))
  }
  for (const step of steps) {
    switch (step.kind) {
      case "offer":
        for (let i = 0; i < step.count; i++) {
          const { name } = models[step.model]!
          offered.push(dispatcher.offer(nowMs, request(models[step.model]!, step.timeoutMs === undefined ? {} : { timeoutMs: step.timeoutMs }), ignore))
          take(() => dispatcher.pullModel(nowMs, name))
        }
        break
      case "end": {
        const [batch] = running.splice(step.which % Math.max(1, running.length), 1)
        if (batch !== undefined) dispatcher.batchEnded(nowMs, batch, step.fails === 0 ? failed : done(step.fails))
        break
      }
      case "cancel":
        if (offered[step.which] !== undefined) dispatcher.cancel(nowMs, offered[step.which]!)
        break
      case "lose":
        dispatcher.gletLost(nowMs, glets[step.glet]!, nowMs + 20)
        break
      case "ready":
        dispatcher.gletReady(glets[step.glet]!, 2)
        break
      case "unready":
        dispatcher.gletUnready(glets[step.glet]!, nowMs + 5)
        break
      case "hold":
        dispatcher.hold(gpu, step.on)
        break
      case "serial":
        dispatcher.setSerial(gpu, step.on)
        break
      case "pass":
        nowMs += step.ms
        dispatcher.sweep(nowMs)
    }
    takeAll()
    takeAll()
    given.push(String(dispatcher.nextGatheredMs))
  }
  return given
}

describe("a glet that is asked again", () => {
  it("is given what it would be given if it were looked at every time", () => {
    let batches = 0
    fc.assert(fc.property(fc.integer({ min: 1, max: 255 }), fc.constantFrom(undefined, 0.1), fc.array(action, { minLength: 20, maxLength: 100 }), (mask, preemptMs, steps) => {
      const lookingOnce = makeDispatcher(mask, preemptMs)
      const lookingAgain = makeDispatcher(mask, preemptMs)
      const given = play(lookingOnce, steps, ignore)
      // Whatever is said of another GPU makes it look again.
      assert.deepStrictEqual(given, play(lookingAgain, steps, () => lookingAgain.setSerial(nowhere, false)))
      batches += given.length - steps.length
    }), { numRuns: 150 })
    assert.isAbove(batches, 500)
  })
})
