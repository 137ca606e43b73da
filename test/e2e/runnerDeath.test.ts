/** Processes of glets that die while requests come over HTTP. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { defaultPlanOptions } from "../../src/core/PlanProblem.js"
import { defaultRestartOptions } from "../../src/scheduler/RestartPolicy.js"
import type { SchedulerStatus } from "../../src/scheduler/SchedulerStatus.js"
import { call } from "../support/http.js"
import { denseModel, identityModel } from "../support/onnx.js"
import { profileOf, tempFolder } from "./support/folder.js"
import type { Outcome, Stream } from "./support/load.js"
import { hungAfterMs, startLoad, tally } from "./support/load.js"
import { cpuStack, emulatedStack, eventually } from "./support/stack.js"

/** A glet for each model, so that a plan for few models has several. */
const oneModelPerGlet = { ...defaultPlanOptions, maxModelsPerGlet: 1, whenShort: "degrade" as const }

const pidsOf = ({ glets }: SchedulerStatus): ReadonlyArray<number> => [...new Set(glets.flatMap(({ pid }) => (pid === undefined ? [] : [pid])))]
const allReady = ({ glets }: SchedulerStatus): boolean => glets.length > 0 && glets.every(({ state }) => state === "ready")

/** Each request has its one answer: its own output, or a refusal that says why. */
const assertAnswered = (outcomes: ReadonlyArray<Outcome>, sent: number): void => {
  assert.strictEqual(outcomes.length, sent)
  for (const outcome of outcomes) {
    assert.include([200, 429, 503], outcome.status, outcome.reason)
    if (outcome.status === 200) assert.isTrue(outcome.own, "an answer is to the request's own input")
    else {
      assert.include(["glet-exited", "deadline-unreachable", "expired", "queue-full"], outcome.reason)
      assert.match(outcome.retryAfter ?? "", /^[1-9]\d*$/)
    }
    assert.isBelow(outcome.latencyMs, hungAfterMs)
  }
}

describe("a runner that is killed under load", () => {
  for (const sharedMemory of ["auto", "off"] as const) {
    it.scopedLive(`answers every request once, and its glets are back within two seconds (shared memory ${sharedMemory})`, () =>
      Effect.gen(function*() {
        const directory = yield* tempFolder({ "echo.onnx": identityModel(4), "dense.onnx": denseModel(2, 512) })
        const { arena, metrics, port, status } = yield* cpuStack({
          directory, cores: 2, executor: { sharedMemory }, scheduler: { plan: oneModelPerGlet },
          models: { echo: { sloMs: 5000, rateRps: 40 }, dense: { sloMs: 5000, rateRps: 20 } }
        })
        const before = yield* status
        assert.strictEqual(before.glets.length, 2)
        const [pid] = pidsOf(before)
        const streams: ReadonlyArray<Stream> = [
          { model: "echo", rateRps: 40, width: 4, echoes: true },
          { model: "echo", rateRps: 15, width: 4, echoes: true, timeoutMs: 60 },
          { model: "dense", rateRps: 20, width: 512, echoes: false }
        ]
        const load = startLoad(port, streams)
        yield* Effect.sleep(500)
        const killedMs = performance.now()
        process.kill(pid!, "SIGKILL")
        const backMs = yield* eventually("glets are back", status, (seen) => allReady(seen) && !pidsOf(seen).includes(pid!))
        assert.isBelow(backMs, 2000)
        yield* Effect.sleep(1000)
        const outcomes = yield* Effect.promise(load.stop)
        assertAnswered(outcomes, load.sent())
        // The plan, the SLOs of seconds and the clients leave time for the successor.
        const calmMs = killedMs + backMs + 300
        const patient = outcomes.filter((outcome, i) => outcome.sentMs > calmMs || !impatient(outcomes, i))
        assert.isAbove(patient.length, 50)
        const failed = outcomes.filter(({ sentMs, status }) => status !== 200 && sentMs > calmMs)
        assert.isBelow(failed.filter(({ reason }) => reason === "glet-exited").length, 1, tally(failed))

        const after = yield* status
        for (const glet of after.glets) {
          assert.strictEqual(glet.restarts, 1)
          assert.include(glet.detail, "SIGKILL")
        }
        assert.strictEqual((yield* metrics).get("glet_process_restarts_total{gpu=\"cpu\"}"), 2)
        assert.strictEqual(arena.usedBytes(), 0)
      }), 60_000)
  }
})
