/** What goes wrong with NVIDIA GPUs while requests come over HTTP, on a faked host: the plan comes back by itself. */
import { afterAll, assert, beforeEach, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as fs from "node:fs"
import { defaultPlanOptions } from "../../src/core/PlanProblem.js"
import type { Profile } from "../../src/core/Profile.js"
import type { SchedulerStatus } from "../../src/scheduler/SchedulerStatus.js"
import { fakeNvidia, h200, h200Line, h200Probe } from "../node-cuda/support/fakeNvidia.js"
import { identityModel } from "../support/onnx.js"
import { profileOf, tempFolder } from "./support/folder.js"
import type { Outcome } from "./support/load.js"
import { startLoad, tally } from "./support/load.js"
import { cudaStack, eventually } from "./support/stack.js"

const host = await fakeNvidia()
afterAll(() => host.close())
host.setGpus([h200Line])
host.setProbe(h200Probe)
beforeEach(() => host.set("calls.log"))

const file = identityModel(4)
const names = ["one", "two", "three"]
const allReady = ({ glets }: SchedulerStatus): boolean => glets.length > 0 && glets.every(({ state }) => state === "ready")
const pidsOf = ({ glets }: SchedulerStatus): ReadonlyArray<number> => [...new Set(glets.flatMap(({ pid }) => (pid === undefined ? [] : [pid])))]
const pidIn = (name: string): number => Number(fs.readFileSync(host.mpsFile(h200, name), "utf8"))

const stack = (isolation: "mps" | "green") =>
  Effect.gen(function*() {
    const directory = yield* tempFolder(Object.fromEntries(names.map((name) => [`${name}.onnx`, file])))
    const profile: Profile = { ...profileOf(Object.fromEntries(names.map((name) => [name, { file, itemMs: 2 }]))), gpuType: "h200", isolation, units: 132 }
    return yield* cudaStack({
      directory, isolation, profile, executor: { runnerPath: host.runnerPath, libraryFolders: [], drainTimeoutMs: 2000 },
      models: Object.fromEntries(names.map((name) => [name, { sloMs: 8000, rateRps: 20, maxBatch: 16 }])),
      scheduler: { plan: { ...defaultPlanOptions, maxModelsPerGlet: 1, whenShort: "degrade" } }
    })
  })
const streams = names.map((model) => ({ model, rateRps: 15, width: 4, echoes: true }))

/**
 * Every request has one answer, its own. Deadlines leave time for a successor: only one that loses two glets, one after the other, is refused, since
 * it may be what kills them.
 */
const assertServed = (outcomes: ReadonlyArray<Outcome>, sent: number, mayLoseTwo = false): void => {
  assert.strictEqual(outcomes.length, sent)
  const others = outcomes.filter(({ own, status }) => status !== 200 || !own)
  assert.isTrue(others.every(({ reason }) => mayLoseTwo && reason === "glet-exited"), tally(outcomes))
  assert.isAtMost(others.length, 0.05 * sent, tally(outcomes))
}

describe("an NVIDIA GPU under load", () => {
  for (const [what, strike, newDaemon] of [
    ["its MPS daemon is killed", () => process.kill(pidIn("nvidia-cuda-mps-control.pid"), "SIGKILL"), true],
    ["a client has a fatal exception", (status: SchedulerStatus) => {
      fs.writeFileSync(host.mpsFile(h200, "status"), "FAULT")
      process.kill(pidsOf(status)[1]!, "SIGKILL")
    }, false]
  ] as const) {
    it.scopedLive(`under MPS serves on after ${what}`, () =>
      Effect.gen(function*() {
        const { arena, port, status } = yield* stack("mps")
        const before = yield* status
        assert.isAtLeast(before.glets.length, 2)
        assert.strictEqual(pidsOf(before).length, before.glets.length, "a process for each glet")
        const daemon = pidIn("nvidia-cuda-mps-control.pid")
        const load = startLoad(port, streams)
        yield* Effect.sleep(300)
        strike(before)
        yield* eventually("every glet has started anew", status, (seen) => allReady(seen) && seen.glets.every(({ restarts }) => restarts >= 1), 20_000)
        const after = yield* status
        assert.isEmpty(pidsOf(after).filter((pid) => pidsOf(before).includes(pid)))
        assert.strictEqual(pidIn("nvidia-cuda-mps-control.pid") !== daemon, newDaemon)
        assert.deepStrictEqual(after.glets.map(({ id, sharePct }) => [id, sharePct]), before.glets.map(({ id, sharePct }) => [id, sharePct]), "the plan stayed")
        yield* Effect.sleep(300)
        assertServed(yield* Effect.promise(load.stop), load.sent(), true)
        assert.strictEqual(arena.usedBytes(), 0)
      }), 180_000)
  }

  it.scopedLive("under green contexts all glets die with their one process, and are back", () =>
    Effect.gen(function*() {
      const { port, status } = yield* stack("green")
      const before = yield* status
      assert.isAtLeast(before.glets.length, 2)
      const [pid, ...others] = pidsOf(before)
      assert.isEmpty(others)
      const load = startLoad(port, streams)
      yield* Effect.sleep(300)
      process.kill(pid!, "SIGKILL")
      yield* eventually("every glet has started anew", status, (seen) => allReady(seen) && seen.glets.every(({ restarts }) => restarts === 1))
      const after = pidsOf(yield* status)
      assert.strictEqual(after.length, 1)
      assert.notStrictEqual(after[0], pid)
      yield* Effect.sleep(300)
      assertServed(yield* Effect.promise(load.stop), load.sent())
      assert.isEmpty(host.calls(), "no MPS")
    }), 180_000)
})
