import { afterAll, assert, beforeAll, beforeEach, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import { spawn } from "node:child_process"
import * as fs from "node:fs"
import { isAlive } from "../../../src/node-cuda/internal/isAlive.js"
import { clientList, daemonAt, ownPipeDirectory, pipeDirectoryProblem, runningDaemon, serverList, serverStatus } from "../../../src/node-cuda/internal/mpsControl.js"
import { openMpsDaemon } from "../../../src/node-cuda/internal/mpsDaemon.js"
import type { FakeNvidia } from "../support/fakeNvidia.js"
import { fakeNvidia, h200 } from "../support/fakeNvidia.js"

let host: FakeNvidia
beforeAll(async () => {
  host = await fakeNvidia()
})
afterAll(() => host.close())
beforeEach(() => {
  host.set("mps-broken")
  host.set("calls.log")
})

const opened = Effect.gen(function*() {
  const scope = yield* Scope.make()
  return { scope, daemon: yield* Scope.extend(openMpsDaemon(h200), scope) }
})

describe("the MPS daemon", () => {
  it.live("is started for one GPU, answers, and is stopped with the scope", () =>
    Effect.gen(function*() {
      assert.isTrue(Option.isNone(yield* runningDaemon(h200)))
      const { daemon, scope } = yield* opened
      assert.isFalse(daemon.adopted)
      assert.strictEqual(daemon.pipeDirectory, ownPipeDirectory(h200))
      assert.deepStrictEqual(host.calls(), [`start ${h200}`])
      const [server] = yield* serverList(daemon.pipeDirectory)
      assert.isTrue(isAlive(server!))
      assert.strictEqual(yield* serverStatus(daemon.pipeDirectory, server!), "ACTIVE")
      assert.deepStrictEqual(yield* clientList(daemon.pipeDirectory, server!), [])
      yield* Scope.close(scope, Exit.void)
      assert.isFalse(isAlive(daemon.pid!))
      assert.isTrue(Option.isNone(yield* daemonAt(daemon.pipeDirectory)))
      assert.include(host.calls(), "quit")
    }))

  it.live("is adopted where one runs, and then left alone", () =>
    Effect.gen(function*() {
      const first = yield* opened
      const second = yield* opened
      assert.isTrue(second.daemon.adopted)
      assert.strictEqual(second.daemon.pid, first.daemon.pid)
      yield* Scope.close(second.scope, Exit.void)
      assert.isTrue(isAlive(first.daemon.pid!))
      yield* Scope.close(first.scope, Exit.void)
      assert.isFalse(isAlive(first.daemon.pid!))
    }))

  it.live("is not adopted where it serves other GPUs only", () =>
    Effect.gen(function*() {
      const { daemon, scope } = yield* opened
      const env = { ...process.env, CUDA_MPS_PIPE_DIRECTORY: daemon.pipeDirectory }
      assert.isTrue(Option.isSome(yield* runningDaemon(h200, env)))
      assert.isTrue(Option.isNone(yield* runningDaemon(h200.replace("GPU-1", "GPU-2"), env)))
      yield* Scope.close(scope, Exit.void)
    }))

  it.live("is started once by two that want it at the same moment", () =>
    Effect.gen(function*() {
      const [a, b] = yield* Effect.all([opened, opened], { concurrency: 2 })
      assert.strictEqual(a.daemon.pid, b.daemon.pid)
      assert.strictEqual(host.calls().filter((call) => call.startsWith("start")).length, 1)
      yield* Effect.forEach([a, b], ({ scope }) => Scope.close(scope, Exit.void))
    }))

  it.live("goes on while a process that is not ours uses it", () =>
    Effect.gen(function*() {
      const { daemon, scope } = yield* opened
      const other = spawn("sleep", ["60"])
      fs.writeFileSync(host.mpsFile(h200, `clients/${other.pid}`), "")
      yield* Scope.close(scope, Exit.void)
      assert.isTrue(isAlive(daemon.pid!))
      other.kill("SIGKILL")
      const again = yield* opened
      assert.isTrue(again.daemon.adopted)
      process.kill(daemon.pid!, "SIGKILL")
      yield* Scope.close(again.scope, Exit.void)
    }))

  it.live("is started anew over what a killed one left behind", () =>
    Effect.gen(function*() {
      const first = yield* opened
      process.kill(first.daemon.pid!, "SIGKILL")
      while (isAlive(first.daemon.pid!)) yield* Effect.sleep(5)
      assert.isTrue(fs.existsSync(host.mpsFile(h200, "control")))
      const second = yield* opened
      assert.isFalse(second.daemon.adopted)
      assert.notStrictEqual(second.daemon.pid, first.daemon.pid)
      yield* Scope.close(second.scope, Exit.void)
      yield* Scope.close(first.scope, Exit.void)
    }))

  it.live("says why it does not start", () =>
    Effect.gen(function*() {
      host.set("mps-broken", "[Control 7] Failed to start: unsupported device")
      const broken = yield* Effect.flip(Effect.scoped(openMpsDaemon(h200)))
      assert.strictEqual(broken.reason, "mps-failed")
      assert.include(broken.message, "unsupported device")
      const before = process.env["GLET_MPS_DIRECTORY"]
      process.env["GLET_MPS_DIRECTORY"] = `/tmp/${"long".repeat(30)}`
      const long = yield* Effect.ensuring(Effect.flip(Effect.scoped(openMpsDaemon(h200))), Effect.sync(() => process.env["GLET_MPS_DIRECTORY"] = before))
      assert.include(long.message, "GLET_MPS_DIRECTORY")
      assert.isUndefined(pipeDirectoryProblem(ownPipeDirectory(h200, {})))
    }))
})
