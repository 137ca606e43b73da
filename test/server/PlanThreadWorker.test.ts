import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as TestClock from "effect/TestClock"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { pathToFileURL } from "node:url"
import { unsafeModelName } from "../../src/core/Ids.js"
import { emptyPlan, encodePlan, gpusUsed } from "../../src/core/Plan.js"
import { defaultPlanOptions } from "../../src/core/PlanProblem.js"
import type { ModelProfile } from "../../src/core/Profile.js"
import type { PlanQuestion } from "../../src/scheduler/PlanThread.js"
import { answerQuestion, PlanThread } from "../../src/scheduler/PlanThread.js"
import type { PlanThreadOptions } from "../../src/server/PlanThreadWorker.js"
import * as PlanThreadWorker from "../../src/server/PlanThreadWorker.js"
import { gpuOf } from "../scheduler/problems.js"

const profile = (name: string, itemMs: number): ModelProfile => ({
  model: unsafeModelName(name),
  memoryBytes: 1e8,
  loadMs: 1,
  points: [20, 50, 100].flatMap((sharePct) => [1, 2, 4, 8].map((batch) => {
    const ms = 1 + (itemMs * batch * 100) / sharePct
    return { sharePct, batch, meanMs: ms, p50Ms: ms, p90Ms: ms, p99Ms: ms, count: 100 }
  })) as unknown as ModelProfile["points"]
})

const question = (rateRps: number, planner = "orion"): PlanQuestion => {
  const names = ["a", "b", "c"]
  return {
    planner,
    gpus: [gpuOf(0), gpuOf(1)],
    demands: names.map((name) => ({ model: unsafeModelName(name), serviceClass: "latency-critical", rateRps, sloMs: 100, maxBatch: 8 })),
    options: { ...defaultPlanOptions, whenShort: "degrade" },
    profiles: new Map([["test", new Map(names.map((name, i) => [unsafeModelName(name), profile(name, 1 + i)]))]]),
    current: emptyPlan
  }
}

/** A thread that does what the code says instead of planning. */
const pretender = (code: string) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => fs.mkdtempSync(path.join(os.tmpdir(), "glet-thread-"))),
      (folder) => Effect.sync(() => fs.rmSync(folder, { recursive: true }))
    ),
    (folder) => {
      const file = path.join(folder, "thread.mjs")
      fs.writeFileSync(file, `import { parentPort } from "node:worker_threads"\n${code}`)
      return pathToFileURL(file)
    }
  )

const withThread = <A, E>(options: Partial<PlanThreadOptions>, use: (thread: PlanThread["Type"]) => Effect.Effect<A, E>) =>
  Effect.provide(Effect.flatMap(PlanThread, use), PlanThreadWorker.layer(options))

describe("PlanThreadWorker", () => {
  it.live("answers as the planner does here, byte by byte, questions that come together one after the other", () =>
    withThread({}, (thread) =>
      Effect.gen(function*() {
        const questions = [question(20), question(60), question(60, "elastic-int")]
        const answers = yield* Effect.forEach(questions, thread.answer, { concurrency: "unbounded" })
        answers.forEach((answer, i) => {
          const here = answerQuestion(questions[i]!)
          assert.isTrue(answer.ok && here.ok)
          if (!answer.ok || !here.ok) return
          assert.strictEqual(encodePlan(answer.plan), encodePlan(here.plan))
          assert.isAtLeast(gpusUsed(answer.plan), 1)
        })
      })))

  it.live("answers by the profiles of the question, changed or not", () =>
    withThread({}, (thread) =>
      Effect.gen(function*() {
        const first = question(60)
        const slower: PlanQuestion = { ...first, profiles: new Map([["test", new Map([...first.profiles.get("test")!].map(([name]) => [name, profile(name, 6)]))]]) }
        const texts: Array<string> = []
        for (const asked of [first, first, slower, slower, first]) {
          const answer = yield* thread.answer(asked)
          const here = answerQuestion(asked)
          assert.isTrue(answer.ok && here.ok)
          if (!answer.ok || !here.ok) return
          assert.strictEqual(encodePlan(answer.plan), encodePlan(here.plan))
          texts.push(encodePlan(answer.plan))
        }
        assert.notStrictEqual(texts[0], texts[2])
      })))

  it.scopedLive("sends profiles to a thread that does not know them yet, and no others", () =>
    Effect.gen(function*() {
      const entry = yield* pretender(`parentPort.on("message", ({ planner, profiles }) => {
        if (planner === "die") process.exit(3)
        parentPort.postMessage({ ok: false, detail: String(profiles?.get("test").size), culprits: [] })
      })`)
      yield* withThread({ entry }, (thread) =>
        Effect.gen(function*() {
          const same = question(1)
          const one: PlanQuestion = { ...same, profiles: new Map([["test", new Map([...same.profiles.get("test")!].slice(0, 1))]]) }
          const equal: PlanQuestion = { ...same, profiles: new Map([["test", new Map(same.profiles.get("test"))]]) }
          const seen: Array<string> = []
          for (const asked of [same, same, equal, one, one, same, { ...same, planner: "die" }, same]) {
            const answer = yield* Effect.either(thread.answer(asked))
            seen.push(Either.isRight(answer) && !answer.right.ok ? answer.right.detail : "failed")
          }
          assert.deepStrictEqual(seen, ["3", "undefined", "undefined", "1", "undefined", "3", "failed", "3"])
        }))
    }))

  it.live("what cannot be placed, and who cannot be asked, comes back as an answer with its culprits", () =>
    withThread({}, (thread) =>
      Effect.gen(function*() {
        const hopeless = question(20)
        const [first, ...others] = hopeless.demands
        const answer = yield* thread.answer({
          ...hopeless, options: { ...hopeless.options, whenShort: "fail" }, demands: [{ ...first!, sloMs: 0.1 }, ...others]
        })
        assert.isFalse(answer.ok)
        if (!answer.ok) assert.deepStrictEqual(answer.culprits.map(({ model, reason }) => [model, reason]), [["a", "slo-too-short"]])
        const unknown = yield* thread.answer(question(20, "nobody"))
        assert.include(unknown.ok ? "" : unknown.detail, "nobody")
      })))

  it.scoped("a thread that dies or takes too long fails its question only; the next one has another thread", () =>
    Effect.gen(function*() {
      const entry = yield* pretender(`parentPort.on("message", ({ planner }) => {
        if (planner === "die") process.exit(3)
        if (planner === "hang") for (;;);
        if (planner === "throw") throw new Error("boom")
        parentPort.postMessage({ ok: false, detail: planner, culprits: [] })
      })`)
      yield* withThread({ entry, timeout: 500 }, (thread) =>
        Effect.gen(function*() {
          for (const [planner, reason] of [["die", "died"], ["hang", "timed-out"], ["throw", "died"]] as const) {
            const asked = yield* Effect.fork(Effect.either(thread.answer(question(1, planner))))
            // Time passes for the one that hangs only: how long the others take is the machine's affair.
            while (planner === "hang" && Option.isNone(yield* Fiber.poll(asked))) yield* TestClock.adjust(500)
            const failed = yield* Fiber.join(asked)
            assert.strictEqual(Either.isLeft(failed) ? failed.left.reason : undefined, reason)
            const next = yield* thread.answer(question(1, "well"))
            assert.isTrue(!next.ok && next.detail === "well")
          }
        }))
    }))

  it.scopedLive("the thread ends when nothing was asked for a while, and comes back with the next question", () =>
    Effect.gen(function*() {
      const entry = yield* pretender(`let asked = 0
        parentPort.on("message", () => parentPort.postMessage({ ok: false, detail: String(++asked), culprits: [] }))`)
      yield* withThread({ entry, idle: 200 }, (thread) =>
        Effect.gen(function*() {
          const asked = Effect.map(thread.answer(question(1)), (answer) => (answer.ok ? "" : answer.detail))
          assert.deepStrictEqual([yield* asked, yield* asked], ["1", "2"])
          yield* Effect.sleep(1000)
          assert.strictEqual(yield* asked, "1")
        }))
    }))

  it.live("says that it could not be started where its code is missing", () =>
    withThread({ entry: new URL("file:///nowhere/planner.js") }, (thread) =>
      Effect.gen(function*() {
        const failed = yield* Effect.either(thread.answer(question(1)))
        assert.strictEqual(Either.isLeft(failed) ? failed.left.reason : undefined, "not-started")
      })))
})
