/** The CPU executor: the contract over every way it can work, and what only a real one can be asked. */
import { afterAll, assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type * as Scope from "effect/Scope"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import type { BatchEnd } from "../../src/core/Executor.js"
import { Executor, runBatch } from "../../src/core/Executor.js"
import { unsafeGletId, unsafeModelName } from "../../src/core/Ids.js"
import type { Model } from "../../src/core/Model.js"
import * as CpuExecutor from "../../src/node-cuda/CpuExecutor.js"
import { cpuGpu } from "../../src/node-cuda/CpuInventory.js"
import { executorContract } from "../contract/Executor.js"
import { lenet, lenetDigits, lenetModel } from "../contract/lenet.js"
import { prepare, verify } from "../contract/requests.js"
import { contractModels, contractVersions, everyType, modelFile, wrongShape } from "../contract/models.js"
import { killGlet } from "./support/killGlet.js"
import { putIn } from "./support/putFile.js"

const folder = fs.mkdtempSync(path.join(os.tmpdir(), "glet-test-"))
afterAll(() => fs.rmSync(folder, { recursive: true, force: true }))

const gpu = cpuGpu({ cores: 2 })
const badModel: Model = { ...lenetModel, name: unsafeModelName("bad"), path: fileURLToPath(import.meta.url) }

const ways: ReadonlyArray<readonly [string, CpuExecutor.CpuExecutorOptions]> = [
  ["ort-c, shared memory", { engine: "ort-c" }],
  ["ort-js, shared memory", { engine: "ort-js" }],
  ["ort-c, socket", { engine: "ort-c", sharedMemory: "off" }],
  ["ort-js, socket", { engine: "ort-js", sharedMemory: "off" }]
]
const models = [lenet, ...contractModels(putIn(folder)), everyType(putIn(folder))] as const
const versions = contractVersions(putIn(folder))
/** What the last way has of its own is how two others come together: it shows with what is large, and with what a request sizes. */
const few = [lenet, ...models.filter(({ model }) => model.name === "large" || model.name === "sequence")] as const
for (const [name, options] of ways) {
  executorContract(`cpu, ${name}`, CpuExecutor.layer(options), { gpu, models: name === "ort-js, socket" ? few : models, versions, badModel, kill: killGlet })
}

let glets = 0
const openGlet = (sharePct = 50) =>
  Effect.flatMap(Executor, (executor) => executor.open({ id: unsafeGletId(`cpu/${glets++}`), gpu, sharePct, priority: 0 }))

/** Runs a program with an executor of its own. */
const withExecutor = <A, E>(options: CpuExecutor.CpuExecutorOptions, body: Effect.Effect<A, E, Executor | Scope.Scope>) =>
  Effect.gen(function*() {
    const executor = yield* CpuExecutor.make(options)
    return yield* Effect.provideService(body, Executor, executor)
  })

const loadError = (model: Model, options: CpuExecutor.CpuExecutorOptions) =>
  withExecutor(options, Effect.gen(function*() {
    const glet = yield* openGlet()
    const loaded = yield* Effect.either(glet.load(model, [1]))
    assert(Either.isLeft(loaded), "it was loaded")
    assert(loaded.left._tag === "ModelLoadFailed", loaded.left.message)
    return loaded.left
  }))

const openError = (options: CpuExecutor.CpuExecutorOptions, sharePct = 50) =>
  withExecutor(options, Effect.gen(function*() {
    const opened = yield* Effect.either(openGlet(sharePct))
    assert(Either.isLeft(opened), "it was opened")
    return opened.left
  }))

/** What processes that are started from here on find in their environment, until the scope closes; undefined: nothing. */
const withEnvironment = (variables: Readonly<Record<string, string | undefined>>) => {
  const put = (all: Readonly<Record<string, string | undefined>>): void => {
    for (const [name, value] of Object.entries(all)) {
      if (value === undefined) delete process.env[name]
      else process.env[name] = value
    }
  }
  const before = Object.fromEntries(Object.keys(variables).map((name) => [name, process.env[name]]))
  return Effect.acquireRelease(Effect.sync(() => put(variables)), () => Effect.sync(() => put(before)))
}

const alive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
const eventually = (what: string, condition: () => boolean) =>
  Effect.gen(function*() {
    for (let i = 0; i < 1000; i++) {
      if (condition()) return
      yield* Effect.sleep(10)
    }
    assert.fail(`not within 10 s: ${what}`)
  })

describe("CpuExecutor", () => {
  for (const [name, options] of ways) {
    describe(name, () => {
      it.scopedLive("tells nobody of its models: ONNX Runtime, which reports them and leaves files of that, does not do so", () =>
        Effect.gen(function*() {
          const temporary = fs.mkdtempSync(path.join(folder, "temporary-"))
          // Where it believes to be tested it does not either.
          yield* withEnvironment({ TMPDIR: temporary, CI: undefined, ORT_DISABLE_TELEMETRY: undefined })
          yield* withExecutor(options, Effect.gen(function*() {
            const glet = yield* openGlet()
            yield* glet.load(lenetModel, [1])
            assert.deepStrictEqual(fs.readdirSync(temporary), [])
          }))
        }))

      it.scopedLive("gives the reference logits, and 99 % of 500 digits right in batches", () =>
        withExecutor(options, Effect.gen(function*() {
          const { images, labels } = lenetDigits()
          const rows = fs.readFileSync(new URL("../fixtures/lenet-digits-first8-logits.csv", import.meta.url), "utf8").trim().split("\n")
            .map((row) => row.split(",").map(Number))
          const glet = yield* openGlet()
          yield* glet.load(lenetModel, [16])
          const { arena } = yield* Executor
          let right = 0
          for (let at = 0; at < images.length; at += 16) {
            const requests = images.slice(at, at + 16).map((_, i) => prepare(arena, { ...lenet }, 1, at + i))
            const end = yield* runBatch(glet, { model: lenetModel, entries: requests.map((it) => it.entry), items: requests.length })
            assert.isTrue(end.ok)
            requests.forEach((request, i) => {
              const { outputOffsets } = request.placement
              const logits = new Float32Array(request.slot.bytes.buffer, request.slot.bytes.byteOffset + outputOffsets[0]!, 10)
              if (logits.indexOf(Math.max(...logits)) === labels[at + i]) right++
              rows[at + i]?.forEach((value, j) => assert.closeTo(logits[j]!, value, 1e-3))
              request.slot.release()
            })
          }
          assert.isAtLeast(right / images.length, 0.99)
          assert.strictEqual(arena.usedBytes(), 0)
        })))

      it.scopedLive("says why a model does not load, in onnxruntime's words", () =>
        Effect.gen(function*() {
          const broken = yield* loadError(badModel, options)
          assert.strictEqual(broken.reason, "invalid-model")
          assert.match(broken.detail, /protobuf/i)
          const missing = yield* loadError({ ...lenetModel, path: path.join(folder, "nowhere.onnx") }, options)
          assert.strictEqual(missing.reason, "unreadable")
          const renamed = yield* loadError({
            ...lenetModel, signature: { ...lenetModel.signature, outputs: [{ name: "scores", datatype: "FP32", shape: ["batch", 10] }] }
          }, options)
          assert.strictEqual(renamed.reason, "invalid-model")
          assert.include(renamed.detail, "\"scores\"")
          assert.include(renamed.detail, "\"logits\"")
          const retyped = yield* loadError({
            ...lenetModel, signature: { ...lenetModel.signature, inputs: [{ name: "input", datatype: "FP64", shape: ["batch", 1, 28, 28] }] }
          }, options)
          assert.include(retyped.detail, "FP64")
          const misshapen = yield* loadError({
            ...lenetModel, signature: { ...lenetModel.signature, inputs: [{ name: "input", datatype: "FP32", shape: ["batch", 1, 28, 29] }] }
          }, options)
          assert.strictEqual(misshapen.reason, "warm-up-failed")
        }))

      it.scopedLive("fails a batch whose output has not the declared shape, and lives", () =>
        withExecutor(options, Effect.gen(function*() {
          const model = wrongShape(putIn(folder))
          const glet = yield* openGlet()
          yield* glet.load(model, [])
          const { arena } = yield* Executor
          const run = (values: ReadonlyArray<number>) => {
            const request = prepare(arena, { model, fill: ({ inputs }) => new Float32Array(inputs[0]!.buffer, inputs[0]!.byteOffset, 4).set(values) }, 1, 0)
            return Effect.map(runBatch(glet, { model, entries: [request.entry], items: 1 }), (end): [BatchEnd, typeof request] => [end, request])
          }
          const [three] = yield* run([1, 1, 1, 0])
          assert(!three.ok && three.error._tag === "BatchFailed")
          assert.match(three.error.detail, /shape/i)
          const [two, request] = yield* run([1, 0, 1, 0])
          verify(request, two, 0)
          assert.deepStrictEqual([...new BigInt64Array(request.slot.bytes.buffer, request.slot.bytes.byteOffset + request.placement.outputOffsets[0]!, 2)], [0n, 2n])
        })))
    })
  }

  it.scopedLive("fails batches that do not fit their slots or bind too little, without a byte written", () =>
    withExecutor({}, Effect.gen(function*() {
      const glet = yield* openGlet()
      yield* glet.load(lenetModel, [1])
      const { arena } = yield* Executor
      const slot = arena.allocate(1024)!
      slot.bytes.fill(7)
      const small = yield* runBatch(glet, { model: lenetModel, entries: [{ slot, items: 1, bindings: [] }], items: 1 })
      assert(!small.ok && small.error._tag === "BatchFailed")
      assert.include(small.error.detail, "1024")
      const miscounted = prepare(arena, lenet, 1, 0)
      const wrong = yield* runBatch(glet, { model: lenetModel, entries: [miscounted.entry], items: 2 })
      assert(!wrong.ok && wrong.error._tag === "BatchFailed")
      const bound = yield* runBatch(glet, { model: lenetModel, entries: [{ ...miscounted.entry, bindings: [3] }], items: 1 })
      assert(!bound.ok && bound.error._tag === "BatchFailed")
      const none = yield* runBatch(glet, { model: lenetModel, entries: [], items: 0 })
      assert(!none.ok && none.error._tag === "BatchFailed")
      assert.isTrue(slot.bytes.every((byte) => byte === 7))
      const end = yield* runBatch(glet, { model: lenetModel, entries: [miscounted.entry], items: 1 })
      verify(miscounted, end, 0)
    })))

  it.scopedLive("refuses shares and isolations that it does not have", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* openError({}, 33)).reason, "share-unsupported")
      const other = yield* withExecutor({}, Effect.flatMap(Executor, (executor) =>
        Effect.flip(executor.open({ id: unsafeGletId("x"), gpu: { ...gpu, isolation: "mps" }, sharePct: 50, priority: 0 }))))
      assert.strictEqual(other.reason, "share-unsupported")
    }))

  it.scopedLive("says why a runner does not start", () =>
    Effect.gen(function*() {
      const script = (name: string, text: string): string => {
        fs.writeFileSync(path.join(folder, name), text)
        return path.join(folder, name)
      }
      const crash = yield* openError({ runnerPath: script("crash.mjs", "throw new Error('no such luck')") })
      assert.strictEqual(crash.reason, "spawn-failed")
      assert.include(crash.detail, "no such luck")
      const silent = yield* openError({ runnerPath: script("silent.mjs", "setInterval(() => {}, 1000)"), startTimeoutMs: 300 })
      assert.strictEqual(silent.reason, "start-timeout")
      const noise = yield* openError({
        runnerPath: script("noise.mjs", "import fs from 'node:fs'; fs.writeSync(3, 'x'.repeat(64)); setInterval(() => {}, 1000)")
      })
      assert.strictEqual(noise.reason, "spawn-failed")
      // As the runner of a build from before there were rings says that it is ready.
      const old = yield* openError({
        runnerPath: script("old.mjs", `import fs from 'node:fs'
          const text = Buffer.from(JSON.stringify({ type: "ready", protocol: 3, engine: "ort-c" })), head = Buffer.alloc(16)
          head.writeUInt32LE(text.length, 0)
          head.writeUInt32LE(1, 8)
          fs.writeSync(3, Buffer.concat([head, text]))
          setInterval(() => {}, 1000)`)
      })
      assert.match(old.detail, /speaks protocol 3, not \d+: build it again/)
      const missing = yield* openError({ runnerPath: path.join(folder, "missing.js") })
      assert.strictEqual(missing.reason, "spawn-failed")
    }), 180_000)

  it.scopedLive("gives up a model that takes too long, and the glet lives", () =>
    withExecutor({ loadTimeoutMs: 1 }, Effect.gen(function*() {
      const glet = yield* openGlet()
      const loaded = yield* Effect.flip(glet.load(lenetModel, [1]))
      assert(loaded._tag === "ModelLoadFailed")
      assert.strictEqual(loaded.reason, "timeout")
      assert.isAbove((yield* glet.stats).residentBytes ?? 0, 0)
    })))

  it.scopedLive("ends a runner that hangs, and what was in flight is told", () =>
    withExecutor({ hangTimeoutMs: 1000 }, Effect.gen(function*() {
      const glet = yield* openGlet()
      yield* glet.load(lenetModel, [1])
      const { arena } = yield* Executor
      const { pid } = yield* glet.stats
      process.kill(pid!, "SIGSTOP")
      const request = prepare(arena, lenet, 1, 0)
      const end = yield* runBatch(glet, { model: lenetModel, entries: [request.entry], items: 1 })
      assert(!end.ok && end.error._tag === "GletExited")
      assert.include(end.error.message, "it hangs")
      assert.isFalse(alive(pid!))
    })))

  it.live("leaves no process behind, and no memory", () =>
    Effect.gen(function*() {
      const descriptors = () => fs.readdirSync("/proc/self/fd").length
      const before = descriptors()
      // Other tests, which run meanwhile, have clients with memory of their own there.
      const objects = () => fs.readdirSync("/dev/shm").filter((name) => !/^glet-(test|bench)-/.test(name))
      const shared = objects()
      const pid = yield* Effect.scoped(withExecutor({}, Effect.gen(function*() {
        const glet = yield* openGlet()
        yield* openGlet()
        yield* glet.load(lenetModel, [1])
        return (yield* glet.stats).pid!
      })))
      assert.isFalse(alive(pid))
      assert.deepStrictEqual(objects(), shared)
      yield* eventually("its descriptors are closed", () => descriptors() <= before)
    }))

  it.scopedLive("an unloaded model's memory is used again", () =>
    withExecutor({ engine: "ort-c" }, Effect.gen(function*() {
      const glet = yield* openGlet()
      const { arena } = yield* Executor
      const cycle = Effect.gen(function*() {
        yield* glet.load(lenetModel, [1, 16])
        const request = prepare(arena, lenet, 16, 0)
        verify(request, yield* runBatch(glet, { model: lenetModel, entries: [request.entry], items: 16 }), 0)
        request.slot.release()
        yield* glet.unload(lenetModel)
      })
      yield* Effect.repeatN(cycle, 30)
      const before = (yield* glet.stats).residentBytes!
      yield* Effect.repeatN(cycle, 60)
      const after = (yield* glet.stats).residentBytes!
      // A session of LeNet takes 10 MB: kept ones would show as 600.
      assert.isBelow(after - before, 64 << 20)
    })), 180_000)
})

describe("a runner", () => {
  /** An agent in a process of its own, which opens a glet, says the runner's pid and waits to be killed. */
  const agentSource = (): string => `
    import { spawn } from "node:child_process"
    const settings = { engine: "ort-c", segmentBytes: 1 << 20, shared: false }
    const runner = spawn(process.execPath, [${JSON.stringify(fileURLToPath(new URL("../../dist/runner.js", import.meta.url)))}, JSON.stringify(settings)], {
      stdio: ["ignore", "ignore", "inherit", "pipe"]
    })
    runner.stdio[3].once("data", () => console.log(runner.pid))
  `

  it.live("ends with its agent, however that ends", () =>
    Effect.gen(function*() {
      const { spawn } = yield* Effect.promise(() => import("node:child_process"))
      const file = path.join(folder, "agent.mjs")
      fs.writeFileSync(file, agentSource())
      const agent = spawn(process.execPath, [file], { stdio: ["ignore", "pipe", "inherit"] })
      const pid = yield* Effect.promise(() => new Promise<number>((resolve) => agent.stdout.once("data", (text) => resolve(Number(text)))))
      assert.isTrue(alive(pid))
      // Signals to the whole group must not end it before its agent says so.
      process.kill(pid, "SIGINT")
      process.kill(pid, "SIGTERM")
      yield* Effect.sleep(100)
      assert.isTrue(alive(pid))
      agent.kill("SIGKILL")
      yield* eventually("the runner is gone", () => !alive(pid))
    }))

  it.scopedLive("survives a model of another folder's making: a file that is no file", () =>
    Effect.gen(function*() {
      const folderAsModel = yield* loadError({ ...lenetModel, path: folder }, {})
      assert.include(["unreadable", "invalid-model"], folderAsModel.reason)
      const empty = modelFile(putIn(folder), "empty", new Uint8Array(0), lenetModel.signature, 1)
      assert.include(["unreadable", "invalid-model"], (yield* loadError(empty, {})).reason)
    }))
})
