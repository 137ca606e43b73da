/** The system shared-memory extension over real HTTP, with objects as shm_open would have made them. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as fs from "node:fs"
import { setTimeout as sleep } from "node:timers/promises"
import { call } from "../support/http.js"
import { digits, freed, places } from "../support/server.js"

const prefix = `glet-test-${process.pid}-`
let objects = 0

/** A shared-memory object of so many bytes, removed at the end. */
const makeObject = (byteLength: number) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const key = `${prefix}${objects++}`
      fs.writeFileSync(`/dev/shm/${key}`, Buffer.alloc(byteLength))
      return { key: `/${key}`, file: `/dev/shm/${key}` }
    }),
    ({ file }) => Effect.sync(() => fs.rmSync(file, { force: true, recursive: true }))
  )

const system = "/v2/systemsharedmemory"
const register = (port: number, name: string, body: unknown) => call(port, { path: `${system}/region/${name}/register`, body: JSON.stringify(body) })
const infer = (port: number, model: string, body: unknown) => call(port, { path: `/v2/models/${model}/infer`, body: JSON.stringify(body) })
const status = async (port: number): Promise<unknown> => JSON.parse((await call(port, { path: `${system}/status` })).body.toString())

const shared = (region: string, byteSize: number, offset?: number) => ({
  shared_memory_region: region, shared_memory_byte_size: byteSize, ...(offset === undefined ? {} : { shared_memory_offset: offset })
})

const smallRequest = (more: object = {}, parameters: object = shared("in", 24, 8)) => ({
  inputs: [{ name: "input", shape: [1, 2, 3], datatype: "FP32", parameters }], ...more
})

const imageBytes = 3 * 224 * 224 * 4
const imageRequest = (region: string, out: string) => ({
  inputs: [{ name: "pixels", shape: [1, 3, 224, 224], datatype: "FP32", parameters: shared(region, imageBytes) }],
  outputs: [{ name: "out_pixels", parameters: shared(out, imageBytes, 64) }]
})

describe.skipIf(process.platform !== "linux").each(places)("system shared memory, read $where", ({ makeFakes, startServer }) => {
  it.scopedLive("inputs are read from regions and outputs written into them, small and large", () =>
    Effect.gen(function*() {
      const fakes = makeFakes()
      const { port } = yield* startServer(fakes, { sharedMemory: true })
      const small = yield* makeObject(4096)
      const image = yield* makeObject(imageBytes)
      const out = yield* makeObject(imageBytes + 128)
      fs.writeFileSync(small.file, Buffer.concat([Buffer.alloc(24), Buffer.from(Float32Array.of(1, 2, 3, 4, 5, 6).buffer), Buffer.alloc(4000)]))
      const pixels = Float32Array.from({ length: imageBytes / 4 }, (_, i) => i % 1000)
      fs.writeFileSync(image.file, Buffer.from(pixels.buffer))
      yield* Effect.promise(async () => {
        assert.include((await call(port, { path: "/v2" })).json.extensions, "system_shared_memory")
        assert.deepStrictEqual(await status(port), [])
        assert.strictEqual((await register(port, "in", { key: small.key, offset: 16, byte_size: 2048 })).status, 200)
        assert.strictEqual((await register(port, "image", { key: image.key, byte_size: imageBytes })).status, 200)
        assert.strictEqual((await register(port, "out", { key: out.key, offset: 0, byte_size: imageBytes + 128 })).status, 200)
        assert.deepInclude(await status(port), { name: "in", key: small.key, offset: 16, byte_size: 2048 })

        const plain = await infer(port, "digits", smallRequest())
        assert.deepStrictEqual(plain.json.outputs[0]!.data, [1, 2, 3, 4, 5, 6])

        const answer = await infer(port, "image", imageRequest("image", "out"))
        assert.strictEqual(answer.status, 200)
        assert.deepStrictEqual(answer.json.outputs, [{
          name: "out_pixels", datatype: "FP32", shape: [1, 3, 224, 224],
          parameters: { shared_memory_region: "out", shared_memory_offset: 64, shared_memory_byte_size: imageBytes }
        }] as never)
        assert.isTrue(fs.readFileSync(out.file).subarray(64, 64 + imageBytes).equals(Buffer.from(pixels.buffer)))
        assert.strictEqual(fs.readFileSync(out.file).readUInt32LE(64 + imageBytes), 0)

        // Beside binary data of another input, and with a binary output.
        const ids = Buffer.from(BigInt64Array.of(7n, 8n).buffer)
        const json = JSON.stringify({
          inputs: [
            { name: "mask", shape: [1, 2], datatype: "BOOL", parameters: shared("in", 2, 8) },
            { name: "ids", shape: [1, 2], datatype: "INT64", parameters: { binary_data_size: 16 } }
          ]
        })
        const mixed = await call(port, {
          path: "/v2/models/text/infer", headers: { "inference-header-content-length": String(json.length) }, body: Buffer.concat([Buffer.from(json), ids])
        })
        assert.deepStrictEqual(mixed.json.outputs.map(({ data }) => data), [[7, 8], [false, false]])

        assert.strictEqual((await call(port, { path: `${system}/region/in/unregister`, method: "POST", body: "" })).status, 200)
        assert.strictEqual((await infer(port, "digits", smallRequest())).status, 400)
        assert.strictEqual((await call(port, { path: `${system}/unregister`, method: "POST", body: "" })).status, 200)
        assert.deepStrictEqual(await status(port), [])
      })
      yield* Effect.promise(() => freed(fakes))
    }))

  it.scopedLive("what cannot be a region, or is not in one, is refused with the field named", () =>
    Effect.gen(function*() {
      const fakes = makeFakes()
      const { port } = yield* startServer(fakes, { sharedMemory: true })
      const object = yield* makeObject(100)
      const link = yield* makeObject(1)
      fs.rmSync(link.file)
      fs.symlinkSync("/etc/hostname", link.file)
      const folder = yield* makeObject(1)
      fs.rmSync(folder.file)
      fs.mkdirSync(folder.file)
      yield* Effect.promise(async () => {
        for (const [body, field] of [
          [{ byte_size: 8 }, "key"], [{ key: 7, byte_size: 8 }, "key"], [{ key: "/../../etc/passwd", byte_size: 8 }, "key"],
          [{ key: "..", byte_size: 8 }, "key"], [{ key: "/a/b", byte_size: 8 }, "key"], [{ key: "a\u0000b", byte_size: 8 }, "key"],
          [{ key: `/${prefix}none`, byte_size: 8 }, "key"], [{ key: link.key, byte_size: 8 }, "key"], [{ key: folder.key, byte_size: 8 }, "key"],
          [{ key: object.key }, "byte_size"], [{ key: object.key, byte_size: 0 }, "byte_size"], [{ key: object.key, byte_size: -1 }, "byte_size"],
          [{ key: object.key, byte_size: 101 }, "byte_size"], [{ key: object.key, byte_size: 60, offset: 41 }, "byte_size"],
          [{ key: object.key, byte_size: 8, offset: 1.5 }, "offset"], [{ key: object.key, byte_size: 9e15, offset: 9e15 }, "byte_size"]
        ] as const) {
          const answer = await register(port, "r", body)
          assert.strictEqual(answer.status, 400, JSON.stringify(body))
          assert.match(answer.json.error, new RegExp(`^${field}: `))
        }
        assert.strictEqual((await register(port, "in", { key: object.key, byte_size: 100 })).status, 200)
        assert.match((await register(port, "in", { key: object.key, byte_size: 100 })).json.error, /registered already/)
        for (const [parameters, field] of [
          [shared("in", 24, 80), "shared_memory_byte_size"], [shared("in", 20), "shared_memory_byte_size"], [shared("other", 24), "shared_memory_region"],
          [{ shared_memory_region: 7, shared_memory_byte_size: 24 }, "shared_memory_region"], [{ shared_memory_region: "in" }, "shared_memory_byte_size"],
          [shared("in", 24, -8), "shared_memory_offset"], [{ ...shared("in", 24), binary_data_size: 24 }, "shared_memory_region"]
        ] as const) {
          const answer = await infer(port, "digits", smallRequest({}, parameters))
          assert.strictEqual(answer.status, 400)
          assert.include(answer.json.error, `inputs[0].parameters.${field}: `)
        }
        const tooSmall = await infer(port, "digits", smallRequest({ outputs: [{ name: "out_input", parameters: shared("in", 20, 40) }] }))
        assert.strictEqual(tooSmall.status, 400)
        assert.include(tooSmall.json.error, "outputs[0].parameters.shared_memory_byte_size")
        for (let i = 0; i < 255; i++) assert.strictEqual((await register(port, `r${i}`, { key: object.key, byte_size: 1 })).status, 200)
        assert.match((await register(port, "one-more", { key: object.key, byte_size: 1 })).json.error, /256 regions/)
      })
      yield* Effect.promise(() => freed(fakes))
    }))

  it.scopedLive("a client that shrinks its region gets a 400, and harms nobody else", () =>
    Effect.gen(function*() {
      const fakes = makeFakes()
      const { port } = yield* startServer(fakes, { sharedMemory: true })
      const small = yield* makeObject(64)
      const image = yield* makeObject(imageBytes)
      const out = yield* makeObject(imageBytes + 64)
      yield* Effect.promise(async () => {
        await register(port, "in", { key: small.key, byte_size: 64 })
        await register(port, "image", { key: image.key, byte_size: imageBytes })
        await register(port, "out", { key: out.key, byte_size: imageBytes + 64 })
        fs.truncateSync(small.file, 20)
        fs.truncateSync(image.file, 300_000)
        for (const answer of [await infer(port, "digits", smallRequest()), await infer(port, "image", imageRequest("image", "out"))]) {
          assert.strictEqual(answer.status, 400)
          assert.match(answer.json.error, /inputs\[0\]\.parameters\.shared_memory_region: is shorter than when it was registered/)
        }
        assert.strictEqual((await call(port, { path: "/v2/models/digits/infer", body: digits([1, 2, 3, 4, 5, 6]) })).status, 200)
      })
      yield* Effect.promise(() => freed(fakes))
    }))

  it.scopedLive("a region that is unregistered while a request uses it stays open until that one ends; a client that goes away leaves nothing", () =>
    Effect.gen(function*() {
      const fakes = makeFakes()
      const { port } = yield* startServer(fakes, { sharedMemory: true })
      const image = yield* makeObject(imageBytes)
      const out = yield* makeObject(imageBytes + 64)
      // Its fronts' too.
      const processes = () => ["self", ...fs.readFileSync(`/proc/self/task/${process.pid}/children`, "utf8").trim().split(" ").filter((pid) => pid !== "")]
      const linkOf = (file: string) => {
        try {
          return fs.readlinkSync(file)
        } catch {
          return ""
        }
      }
      const openFiles = () => processes().flatMap((pid) => fs.readdirSync(`/proc/${pid}/fd`).map((fd) => linkOf(`/proc/${pid}/fd/${fd}`)))
        .filter((file) => file === image.file || file === out.file).length
      yield* Effect.promise(async () => {
        await register(port, "image", { key: image.key, byte_size: imageBytes })
        await register(port, "out", { key: out.key, byte_size: imageBytes + 64 })
        let answerIt = () => {}
        fakes.behaviour = (_, answer) => { answerIt = answer }
        const answer = infer(port, "image", imageRequest("image", "out"))
        while (fakes.pending.size === 0) await sleep(5)
        await call(port, { path: `${system}/unregister`, method: "POST", body: "" })
        assert.strictEqual(openFiles(), 2)
        answerIt()
        assert.strictEqual((await answer).status, 200)
        while (openFiles() > 0) await sleep(5)
      })
      yield* Effect.promise(() => freed(fakes))
    }))

  it.scopedLive("an object that its owner unlinks or replaces stays the region, also for a front that comes later", () =>
    Effect.gen(function*() {
      const fakes = makeFakes()
      const { port } = yield* startServer(fakes, { sharedMemory: true })
      const object = yield* makeObject(64)
      fs.writeFileSync(object.file, Buffer.concat([Buffer.alloc(8), Buffer.from(Float32Array.of(1, 2, 3, 4, 5, 6).buffer), Buffer.alloc(32)]))
      const commandOf = (pid: number): string => {
        try {
          return fs.readFileSync(`/proc/${pid}/cmdline`, "utf8")
        } catch {
          return ""
        }
      }
      const children = () => fs.readFileSync(`/proc/self/task/${process.pid}/children`, "utf8").trim().split(" ").map(Number).filter((pid) => commandOf(pid).includes("front.js"))
      yield* Effect.promise(async () => {
        assert.strictEqual((await register(port, "in", { key: object.key, byte_size: 64 })).status, 200)
        fs.rmSync(object.file)
        fs.writeFileSync(object.file, Buffer.alloc(64))
        const before = children()
        for (const pid of before) process.kill(pid, "SIGKILL")
        const hasOthers = () => children().filter((pid) => !before.includes(pid)).length === before.length
        for (let i = 0; i < 1000 && !hasOthers(); i++) await sleep(10)
        // On connections of their own; while no front is up the agent answers, and one that was just killed may have taken a connection along.
        for (let i = 0, answered = 0; answered < 6; i++) {
          const answer = await infer(port, "digits", smallRequest({}, shared("in", 24, 8))).catch(() => undefined)
          if (answer === undefined) {
            assert.isBelow(i, 100)
            continue
          }
          assert.deepStrictEqual(answer.json.outputs[0]!.data, [1, 2, 3, 4, 5, 6])
          answered++
          await sleep(30)
        }
      })
      yield* Effect.promise(() => freed(fakes))
    }))

  it.scopedLive("is off unless it is asked for, and CUDA's is not there", () =>
    Effect.gen(function*() {
      const { port } = yield* startServer(makeFakes())
      yield* Effect.promise(async () => {
        assert.notInclude((await call(port, { path: "/v2" })).json.extensions, "system_shared_memory")
        for (const answer of [
          await call(port, { path: `${system}/status` }), await register(port, "r", { key: "/x", byte_size: 1 }), await infer(port, "digits", smallRequest())
        ]) {
          assert.strictEqual(answer.status, 501)
          assert.include(answer.json.error, "--shared-memory")
        }
        assert.strictEqual((await call(port, { path: "/v2/cudasharedmemory/unregister", method: "POST", body: "" })).status, 200)
        assert.strictEqual((await call(port, { path: "/v2/cudasharedmemory/region/r/register", body: "{}" })).status, 501)
      })
    }))
})
