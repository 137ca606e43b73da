import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { isAlive } from "../../../src/node-cuda/internal/isAlive.js"
import { runCommand } from "../../../src/node-cuda/internal/runCommand.js"

const sh = (script: string, options: Partial<Parameters<typeof runCommand>[2]> = {}) => runCommand("sh", ["-c", script], { timeoutMs: 10_000, ...options })

describe("runCommand", () => {
  it.live("takes code, stdout and stderr, with input and environment", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* sh("cat; echo $X >&2; exit 3", { input: "hello", env: { X: "there" } }), { code: 3, stdout: "hello", stderr: "there\n" })
    }))

  it.live("fails typed where there is no such program, it takes too long, says too much, or is killed", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* Effect.flip(runCommand("/nowhere/at-all", [], { timeoutMs: 1000 }))).reason, "missing")
      // A grandchild holds the pipe beyond its parent's end.
      assert.strictEqual((yield* Effect.flip(sh("sleep 60 & sleep 60", { timeoutMs: 200 }))).reason, "timeout")
      assert.strictEqual((yield* Effect.flip(sh("while :; do echo 0123456789; done", { maxBytes: 5000 }))).reason, "too-much-output")
      const killed = yield* Effect.flip(sh("kill -9 $$"))
      assert.strictEqual(killed.reason, "failed")
      assert.include(killed.detail, "SIGKILL")
    }))

  it.live("ends the program when it is interrupted", () =>
    Effect.gen(function*() {
      const file = path.join(fs.mkdtempSync(path.join(os.tmpdir(), "glet-run-")), "pid")
      const fiber = yield* Effect.fork(sh(`echo $$ > ${file}; exec sleep 60`))
      while (!fs.existsSync(file) || fs.readFileSync(file, "utf8") === "") yield* Effect.sleep(5)
      const pid = Number(fs.readFileSync(file, "utf8"))
      assert.isTrue(isAlive(pid))
      yield* Fiber.interrupt(fiber)
      while (isAlive(pid)) yield* Effect.sleep(5)
      fs.rmSync(path.dirname(file), { recursive: true })
    }))
})
