/** Processes of glets that die while requests come over HTTP. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { Agent } from "node:http"
import { defaultPlanOptions } from "../../src/core/PlanProblem.js"
import { defaultRestartOptions } from "../../src/scheduler/RestartPolicy.js"
import type { SchedulerStatus } from "../../src/scheduler/SchedulerStatus.js"
import { call } from "../support/http.js"
import { denseModel, identityModel } from "../support/onnx.js"
import { profileOf, tempFolder } from "./support/folder.js"
import type { Outcome, Stream } from "./support/load.js"
import { ask, startLoad, tally } from "./support/load.js"
import { cpuStack, emulatedStack, eventually } from "./support/stack.js"

/** A glet for each model, so that a plan for few models has several. */
const oneModelPerGlet = { ...defaultPlanOptions, maxModelsPerGlet: 1, whenShort: "degrade" as const }

const pidsOf = ({ glets }: SchedulerStatus): ReadonlyArray<number> => [...new Set(glets.flatMap(({ pid }) => (pid === undefined ? [] : [pid])))]
const allReady = ({ glets }: SchedulerStatus): boolean => glets.length > 0 && glets.every(({ state }) => state === "ready")

/** Each request has its one answer: its own output, or a refusal that says why and when to come again. */
const assertAnswered = (outcomes: ReadonlyArray<Outcome>, sent: number): void => {
  assert.strictEqual(outcomes.length, sent)
  for (const { own, reason, retryAfter, status } of outcomes) {
    assert.include([200, 429, 503], status, reason)
    if (status === 200) assert.isTrue(own, "an answer is to the request's own input")
    else {
      assert.include(["glet-exited", "deadline-unreachable", "expired"], reason)
      assert.match(retryAfter ?? "", /^[1-9]\d*$/)
    }
  }
}

describe("a runner that is killed under load", () => {
  it.scopedLive.each(["auto", "off"] as const)("answers every request once, and its glets come back (shared memory %s)", (sharedMemory) =>
    Effect.gen(function*() {
      const directory = yield* tempFolder({ "echo.onnx": identityModel(4), "dense.onnx": denseModel(2, 512) })
      const { arena, metrics, port, status } = yield* cpuStack({
        directory, cores: 2, executor: { sharedMemory }, scheduler: { plan: oneModelPerGlet },
        models: { echo: { sloMs: 20_000, rateRps: 60 }, dense: { sloMs: 20_000, rateRps: 20 } }
      })
      const before = yield* status
      assert.strictEqual(before.glets.length, 2)
      const [pid] = pidsOf(before)
      const impatient: Stream = { model: "echo", rateRps: 20, width: 4, echoes: true, timeoutMs: 60 }
      const load = startLoad(port, [
        { model: "echo", rateRps: 40, width: 4, echoes: true }, impatient, { model: "dense", rateRps: 20, width: 512, echoes: false }
      ])
      yield* Effect.sleep(500)
      const killedMs = performance.now()
      process.kill(pid!, "SIGKILL")
      // How soon is for `node bench/run.mjs recovery` to say: this machine may be busy.
      const backMs = yield* eventually("glets are back", status, (seen) => allReady(seen) && seen.glets.every(({ restarts }) => restarts === 1))
      yield* Effect.sleep(500)
      yield* eventually("an impatient request is answered again", Effect.promise(() => ask(port, impatient, 7, new Agent())), ({ status }) => status === 200)
      const outcomes = yield* Effect.promise(load.stop)
      assertAnswered(outcomes, load.sent())
      // Where the deadline leaves time for the successor, nobody notices.
      const patient = outcomes.filter(({ stream }) => stream !== impatient)
      assert.isTrue(patient.every(({ status }) => status === 200), tally(patient))
      // Where it does not, the refusal comes soon.
      const refused = outcomes.filter(({ sentMs, status, stream }) => stream === impatient && status === 503 && sentMs < killedMs + backMs)
      assert.isNotEmpty(refused, tally(outcomes))
      const late = outcomes.filter(({ sentMs }) => sentMs > killedMs + backMs)
      assert.isTrue(late.every(({ reason }) => reason !== "glet-exited"), tally(late))

      for (const glet of (yield* status).glets) {
        assert.strictEqual(glet.restarts, 1)
        assert.include(glet.detail, "SIGKILL")
      }
      assert.strictEqual((yield* metrics).get("glet_process_restarts_total{gpu=\"cpu\"}"), 2)
      assert.strictEqual(arena.usedBytes(), 0)
    }), 180_000)

  it.scopedLive("again and again is a crash loop: seen, not spun on, and over when it stops", () =>
    Effect.gen(function*() {
      const directory = yield* tempFolder({ "echo.onnx": identityModel(4) })
      // It is killed from without, and no model is to blame.
      const restart = { ...defaultRestartOptions, crashLoopExits: 3, backoffMs: 50, crashLoopDelayMs: 1500, culpritExits: Infinity }
      const { logs, metrics, port, status } = yield* cpuStack({
        directory, cores: 2, models: { echo: { sloMs: 500, rateRps: 50 } }, scheduler: { restart }
      })
      const load = startLoad(port, [{ model: "echo", rateRps: 50, width: 4, echoes: true }])
      const killed = new Set<number>()
      for (let death = 1; death <= restart.crashLoopExits; death++) {
        yield* eventually("a new runner", status, (seen) => allReady(seen) && pidsOf(seen).some((pid) => !killed.has(pid)))
        for (const pid of pidsOf(yield* status)) {
          killed.add(pid)
          process.kill(pid, "SIGKILL")
        }
      }
      yield* eventually("the crash loop is seen", status, ({ glets }) => glets[0]!.state === "crash-loop")
      const looping = yield* status
      assert.strictEqual(looping.glets[0]!.restarts, restart.crashLoopExits)
      const ready = yield* Effect.promise(() => call(port, { path: "/v2/models/echo/ready" }))
      assert.strictEqual(ready.status, 503)
      // Longer than any backoff: nothing is started meanwhile.
      yield* Effect.sleep(800)
      assert.strictEqual((yield* status).glets[0]!.state, "crash-loop")
      assert.strictEqual((yield* metrics).get("glet_process_restarts_total{gpu=\"cpu\"}"), restart.crashLoopExits)
      assert.strictEqual(logs.filter((line) => line.includes("crash loop")).length, 1, logs.join("\n"))
      yield* eventually("it is tried again", status, allReady)
      const backMs = performance.now()
      yield* Effect.sleep(500)
      const outcomes = yield* Effect.promise(load.stop)
      assertAnswered(outcomes, load.sent())
      const after = outcomes.filter(({ sentMs }) => sentMs > backMs)
      assert.isNotEmpty(after)
      assert.isTrue(after.every(({ status }) => status === 200), tally(after))
      assert.strictEqual((yield* Effect.promise(() => call(port, { path: "/v2/models/echo/ready" }))).status, 200)
    }), 180_000)

  it.scopedLive("harms no model on another GPU", () =>
    Effect.gen(function*() {
      const file = identityModel(4)
      const directory = yield* tempFolder({ "one.onnx": file, "two.onnx": file })
      // 30 items/s of 20 ms each keep more than half a GPU busy: one GPU for each model.
      const { kill, port, status } = yield* emulatedStack({
        directory, profile: profileOf({ one: { file, itemMs: 20 }, two: { file, itemMs: 20 } }), gpus: 2,
        models: { one: { sloMs: 400, rateRps: 30, maxBatch: 1 }, two: { sloMs: 400, rateRps: 30, maxBatch: 1 } },
        scheduler: { restart: { ...defaultRestartOptions, crashLoopExits: 3, backoffMs: 50 } }
      })
      const gletsOf = (seen: SchedulerStatus, model: string) => seen.glets.filter(({ assignments }) => assignments.some((work) => work.model === model))
      const victims = gletsOf(yield* status, "one")
      assert.isEmpty(victims.filter(({ assignments }) => assignments.some(({ model }) => model === "two")), "a glet for each model")
      const load = startLoad(port, [
        { model: "one", rateRps: 20, width: 4, echoes: false }, { model: "two", rateRps: 20, width: 4, echoes: false }
      ])
      yield* Effect.sleep(300)
      for (const { id } of victims) {
        for (let death = 1; death <= 3; death++) {
          yield* eventually("it is open", kill(id), (killed) => killed)
          yield* eventually("its death is seen", status, ({ glets }) => glets.some((glet) => glet.id === id && glet.restarts === death))
        }
      }
      const looping = gletsOf(yield* status, "one")
      assert.deepStrictEqual(looping.map(({ state }) => state), looping.map(() => "crash-loop"))
      const loopMs = performance.now()
      yield* Effect.sleep(500)
      const outcomes = yield* Effect.promise(load.stop)
      assertAnswered(outcomes, load.sent())
      const two = outcomes.filter(({ stream }) => stream.model === "two")
      assert.isTrue(two.every(({ status }) => status === 200), tally(two))
      const one = outcomes.filter(({ sentMs, stream }) => stream.model === "one" && sentMs > loopMs)
      assert.isNotEmpty(one)
      assert.isTrue(one.every(({ latencyMs, reason }) => reason === "glet-exited" && latencyMs < 400), tally(one))
    }), 180_000)
})
