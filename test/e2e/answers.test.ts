/** Every answer is the one that the model gives to this very request, whatever else runs, comes or goes meanwhile. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as fs from "node:fs"
import { setTimeout as sleep } from "node:timers/promises"
import { resourcePath } from "../../src/cli/internal/packageFiles.js"
import { defaultPlanOptions } from "../../src/core/PlanProblem.js"
import type { SchedulerStatus } from "../../src/scheduler/SchedulerStatus.js"
import { call } from "../support/http.js"
import { denseModel, seededUniform, sequenceModel } from "../support/onnx.js"
import { makeObject } from "../support/sharedObject.js"
import type { Asked, KnownModel, KnownRequest, Tensor, Transport } from "./support/answerClients.js"
import { AnswerClient, indistinct, knownRequests, roomBytes } from "./support/answerClients.js"
import { tempFolder, writeFiles } from "./support/folder.js"
import { until } from "./support/served.js"
import { cpuStack, eventually } from "./support/stack.js"

const demoFile = (name: string): Uint8Array => fs.readFileSync(resourcePath("demo", `${name}.onnx`))
const uniform = (count: number, seed: number): Float32Array => {
  const next = seededUniform(seed)
  return Float32Array.from({ length: count }, () => (next() + 1) / 2)
}
const floats = (name: string, shape: ReadonlyArray<number>) => (seed: number, items: number): ReadonlyArray<Tensor> =>
  [{ name, datatype: "FP32", shape: [items, ...shape], values: uniform(items * shape.reduce((n, size) => n * size, 1), 977 * seed + items) }]

const vocabulary = 512
/** Mostly of 3 lengths, so that requests are joined; the longest answers are written to sockets from their slots. */
const lengths = [5, 17, 300]
const tokens = (seed: number, items: number): ReadonlyArray<Tensor> => {
  const shape = [items, lengths[seed % lengths.length]!]
  return [{ name: "ids", datatype: "INT64", shape, values: BigInt64Array.from(uniform(shape[0]! * shape[1]!, seed + 5), (value) => BigInt(Math.floor(value * vocabulary))) }]
}

const models: ReadonlyArray<KnownModel> = [
  { name: "lenet-digits", versions: new Map([[1, demoFile("lenet-digits")]]), inputs: floats("input", [1, 28, 28]), outputs: ["logits"] },
  { name: "digits-features", versions: new Map([[1, demoFile("digits-features")]]), inputs: floats("image", [1, 28, 28]), outputs: ["embedding"] },
  { name: "digits-denoise", versions: new Map([[1, demoFile("digits-denoise")]]), inputs: floats("image", [1, 28, 28]), outputs: ["denoised"] },
  { name: "sequence", versions: new Map([[1, sequenceModel(vocabulary, 64)]]), inputs: tokens, outputs: ["tokens", "embedding"] },
  { name: "changing", versions: new Map([1, 2, 3].map((version) => [version, denseModel(2, 64, 10 * version)])), inputs: floats("x", [64]), outputs: ["y"] }
]
const changing = models.at(-1)!

const transports: ReadonlyArray<Transport> = process.platform === "linux" ? ["json", "binary", "shared"] : ["json", "binary"]
const clientCount = 12
/** Of a request; batches have up to 16. */
const mostItems = 4

const assertRight = (asked: ReadonlyArray<Asked>): void => {
  assert.deepStrictEqual(asked.flatMap(({ wrong }) => (wrong === undefined ? [] : [wrong])), [])
  for (const { error, model, reason, status } of asked) {
    if (status === 200) continue
    // Of the model that is unloaded for a while. What else is refused says why; how much may be is for other tests.
    if (status === 404) assert.strictEqual(model, "changing", error)
    else {
      assert.include([429, 503], status, error)
      assert.include(["deadline-unreachable", "expired", "glet-exited", "model-not-ready", "no-glet"], reason, error)
    }
  }
}

/** Both engines, and both places where requests are read. */
const ways = [{ where: "in the agent", fronts: 0, engine: "ort-js" }, { where: "in two fronts", fronts: 2, engine: "ort-c" }] as const

describe.each(ways)("answers of $engine, requests read $where", ({ engine, fronts }) => {
  it.scopedLive("are each request's own, by numbers, while models move and change, and runners are killed", () =>
    Effect.gen(function*() {
      const directory = yield* tempFolder(Object.fromEntries(models.map(({ name, versions }) => [`${name}/1/model.onnx`, versions.get(1)!])))
      const requests = new Map<string, ReadonlyArray<KnownRequest>>()
      for (const model of models) requests.set(model.name, yield* Effect.promise(() => knownRequests(model, 18, mostItems)))
      for (const some of requests.values()) assert.deepStrictEqual(indistinct(some), [])
      const settings = { sloMs: 20_000, rateRps: 30, maxBatch: 16 }
      const { arena, port, status } = yield* cpuStack({
        directory, cores: 2, executor: { engine }, profileBudgetMs: 100, config: { fronts, sharedMemory: true }, models: Object.fromEntries(models.map(({ name }) => [name, settings])),
        scheduler: { plan: { ...defaultPlanOptions, maxModelsPerGlet: 4, whenShort: "degrade" } }
      })
      const object = yield* makeObject(clientCount * roomBytes)
      const register = () => call(port, { method: "POST", path: "/v2/systemsharedmemory/region/all/register", body: JSON.stringify({ key: object.key, byte_size: clientCount * roomBytes }) })
      if (transports.includes("shared")) assert.strictEqual((yield* Effect.promise(register)).status, 200)

      let stopped = false
      const clients = Array.from({ length: clientCount }, (_, i) => new AnswerClient(port, { object, region: "all", offset: i * roomBytes }))
      yield* Effect.addFinalizer(() => Effect.sync(() => void (stopped = true)))
      const work = Promise.all(clients.map(async (client, i) => {
        const next = seededUniform(100 + i)
        const pick = <A>(from: ReadonlyArray<A>): A => from[Math.min(from.length - 1, Math.floor((next() + 1) / 2 * from.length))]!
        for (let turn = 0; !stopped; turn++) {
          const known = pick(requests.get(pick(models).name)!)
          // Some are in a hurry, some go away before they are answered.
          await sleep(pick([0, 20, 60]))
          await client.ask(known, pick(transports), turn % 16 === 7 ? { timeoutMs: 3 } : turn % 16 === 12 ? { leaveAfterMs: pick([0, 1, 2, 4]) } : {})
        }
        client.close()
      }))
      const change = (what: "load" | "unload") => Effect.promise(async () => {
        // A plan may have no room for it beside what is asked for at the moment.
        await until(`${what} succeeds`, async () => (await call(port, { method: "POST", path: `/v2/repository/models/changing/${what}`, body: "{}" })).status === 200)
      })
      const write = (version: number) => writeFiles(directory, { [`changing/${version}/model.onnx`]: changing.versions.get(version)! })
      const ready = ({ glets }: SchedulerStatus) => glets.length > 0 && glets.every(({ state }) => state === "ready")
      const pidOf = ({ glets }: SchedulerStatus) => glets[0]!.pid
      /** Where models are to be, as one reads on every look. */
      const places = new Map<string, Set<string>>()
      const look = Effect.tap(status, ({ glets }) => Effect.sync(() => {
        for (const { assignments, id } of glets) for (const { model } of assignments) places.set(model, (places.get(model) ?? new Set()).add(id))
      }))

      yield* Effect.sleep(200)
      const first = yield* look
      // Its successor comes while it serves.
      write(2)
      yield* change("load")
      yield* Effect.sleep(100)
      const pid = pidOf(yield* look)
      process.kill(pid!, "SIGKILL")
      yield* eventually("glets are back", look, (seen) => ready(seen) && pidOf(seen) !== pid)
      yield* Effect.sleep(100)
      yield* change("unload")
      yield* look
      yield* Effect.sleep(100)
      write(3)
      yield* change("load")
      const last = yield* look
      yield* Effect.sleep(200)
      stopped = true
      yield* Effect.promise(() => work)

      const asked = clients.flatMap((client) => client.asked)
      assertRight(asked)
      // What was meant to happen did.
      assert.isAtLeast(last.plan.generation, first.plan.generation + 2)
      assert.isTrue([...places.values()].some(({ size }) => size > 1), "models moved")
      const right = asked.filter(({ status }) => status === 200)
      for (const { name, versions } of models) {
        for (const transport of transports) assert.isTrue(right.some((one) => one.model === name && one.transport === transport), `${name} by ${transport}`)
        for (const version of versions.keys()) assert.isTrue(right.some((one) => one.model === name && one.version === version), `${name} of version ${version}`)
      }
      const stats = yield* Effect.promise(() => call(port, { path: "/v2/models/stats" }))
      // Either tells it, and how busy the machine is decides which.
      const joined = stats.json.model_stats.some(({ batch_stats, execution_count, inference_stats }) =>
        execution_count < inference_stats.success.count || batch_stats.some(({ batch_size }) => batch_size > mostItems))
      assert.isTrue(joined, "requests were joined")
      yield* eventually("all memory is given back", Effect.sync(() => arena.usedBytes()), (used) => used === 0)
    }), 60_000)
})
