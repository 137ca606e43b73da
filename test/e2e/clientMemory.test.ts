/** Tensors in memory that a client shares, from HTTP to glets and back: as over the socket, whoever reads requests, and whatever its owner does to it. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as fs from "node:fs"
import { setTimeout as sleep } from "node:timers/promises"
import { call } from "../support/http.js"
import { makeModel, relu } from "../support/onnx.js"
import { bytesAt, makeObject, putAt, type SharedObject } from "../support/sharedObject.js"
import { tempFolder } from "./support/folder.js"
import { cpuStack, eventually } from "./support/stack.js"

/** 64 KiB an item. */
const width = 16_384
const bytes = 4 * width
const model = makeModel({ inputs: [{ name: "x", shape: ["batch", width] }], outputs: [{ name: "y", shape: ["batch", width] }], nodes: [relu("x", "y")] })

const system = "/v2/systemsharedmemory"
const post = (port: number, path: string, body: unknown) => call(port, { path, method: "POST", body: JSON.stringify(body) })
const shared = (region: string, offset: number) => ({ shared_memory_region: region, shared_memory_byte_size: bytes, shared_memory_offset: offset })
const values = (seed: number) => Float32Array.from({ length: width }, (_, i) => ((seed * 31 + i) % 97) - 48)
const bufferOf = (floats: Float32Array) => Buffer.from(floats.buffer)

/** A client with `count` inputs in its memory, and as much room behind them. */
const clientOf = (port: number, region: string, object: SharedObject, count: number) => {
  const inputs = Array.from({ length: count }, (_, i) => values(i + region.length * 1000))
  inputs.forEach((input, i) => putAt(object.file, i * bytes, bufferOf(input)))
  return {
    register: () => post(port, `${system}/region/${region}/register`, { key: object.key, byte_size: 2 * count * bytes }),
    unregister: () => post(port, `${system}/region/${region}/unregister`, {}),
    isDirect: async () => JSON.parse((await call(port, { path: `${system}/region/${region}/status` })).body.toString())[0]?.direct === true,
    ask: (i: number) => post(port, "/v2/models/relu/infer", {
      inputs: [{ name: "x", shape: [1, width], datatype: "FP32", parameters: shared(region, i * bytes) }],
      outputs: [{ name: "y", parameters: shared(region, (count + i) * bytes) }]
    }),
    overSocket: async (i: number): Promise<Buffer> => {
      const json = JSON.stringify({
        parameters: { binary_data_output: true }, inputs: [{ name: "x", shape: [1, width], datatype: "FP32", parameters: { binary_data_size: bytes } }]
      })
      const answer = await call(port, {
        path: "/v2/models/relu/infer", headers: { "inference-header-content-length": String(json.length) }, body: Buffer.concat([Buffer.from(json), bufferOf(inputs[i]!)])
      })
      assert.strictEqual(answer.status, 200)
      return answer.body.subarray(-bytes)
    },
    output: (i: number) => bytesAt(object.file, (count + i) * bytes, bytes)
  }
}

const count = 16
const places = [
  { where: "in the agent", fronts: 0 },
  { where: "in two fronts", fronts: 2 }
]

describe.skipIf(process.platform !== "linux").each(places)("clients' memory, requests read $where", ({ fronts }) => {
  const stack = Effect.gen(function*() {
    const directory = yield* tempFolder({ "relu.onnx": model })
    return yield* cpuStack({ directory, cores: 2, models: { relu: { sloMs: 20_000, rateRps: 20 } }, config: { sharedMemory: true, fronts } })
  })
  const reached = (client: ReturnType<typeof clientOf>) => eventually("glets reach it", Effect.promise(client.isDirect), (isDirect) => isDirect)

  it.scopedLive("answers are those that come over the socket, in requests that run alone and together, and after the runner was killed", () =>
    Effect.gen(function*() {
      const { arena, port, status } = yield* stack
      const object = yield* makeObject(2 * count * bytes)
      const client = clientOf(port, "images", object, count)
      assert.strictEqual((yield* Effect.promise(client.register)).status, 200)
      yield* reached(client)
      const check = Effect.promise(async () => {
        const expected: Array<Buffer> = []
        for (let i = 0; i < count; i++) expected.push(await client.overSocket(i))
        putAt(object.file, count * bytes, Buffer.alloc(count * bytes, 1))
        assert.strictEqual((await client.ask(0)).status, 200)
        const answers = await Promise.all(Array.from({ length: count }, (_, i) => client.ask(i)))
        assert.deepStrictEqual(answers.map(({ status }) => status), answers.map(() => 200))
        expected.forEach((answer, i) => assert.isTrue(client.output(i).equals(answer), `answer ${i}`))
      })
      yield* check
      const [glet] = (yield* status).glets
      process.kill(glet!.pid!, "SIGKILL")
      yield* eventually("the glet is back", status, (seen) => seen.glets.length > 0 && seen.glets.every(({ pid, state }) => state === "ready" && pid !== glet!.pid))
      assert.isTrue(yield* Effect.promise(client.isDirect))
      yield* check
      yield* eventually("all memory is given back", Effect.sync(() => arena.usedBytes()), (used) => used === 0)
    }), 60_000)

  it.scopedLive("one who unregisters, or shrinks its memory, while its requests run has answers or is told why not; nobody else notices", () =>
    Effect.gen(function*() {
      const { arena, port, status } = yield* stack
      const steady = clientOf(port, "steady", yield* makeObject(2 * count * bytes), count)
      yield* Effect.promise(steady.register)
      yield* reached(steady)
      const pids = (yield* status).glets.map(({ pid }) => pid)
      for (let round = 0; round < 8; round++) {
        const object = yield* makeObject(2 * count * bytes)
        const client = clientOf(port, `round-${round}`, object, count)
        yield* Effect.promise(client.register)
        yield* reached(client)
        const answers = Array.from({ length: count }, (_, i) => client.ask(i))
        const others = Array.from({ length: 4 }, (_, i) => steady.ask(i))
        yield* Effect.promise(async () => {
          await sleep(round)
          if (round % 2 === 0) await client.unregister()
          else fs.truncateSync(object.file, round % 4 === 1 ? 0 : bytes * count + 100)
          for (const [i, answer] of (await Promise.all(answers)).entries()) {
            assert.include([200, 400], answer.status, answer.json.error)
            if (answer.status === 400) assert.match(answer.json.error, /shared_memory_region: (is no registered region|is shorter than when it was registered)/)
            else if (round % 2 === 0) assert.isTrue(client.output(i).equals(bufferOf(values(i + `round-${round}`.length * 1000).map((value) => Math.max(0, value)))))
          }
          for (const answer of await Promise.all(others)) assert.strictEqual(answer.status, 200)
          for (let i = 0; i < 4; i++) assert.isTrue(steady.output(i).equals(await steady.overSocket(i)))
          if (round % 2 === 1) {
            assert.strictEqual((await client.ask(count - 1)).status, 400)
            await client.unregister()
          }
        })
      }
      assert.deepStrictEqual((yield* status).glets.map(({ pid }) => pid), pids)
      yield* eventually("all memory is given back", Effect.sync(() => arena.usedBytes()), (used) => used === 0)
    }), 60_000)
})
