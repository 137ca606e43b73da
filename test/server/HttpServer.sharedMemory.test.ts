/** The system shared-memory extension over real HTTP, with objects as shm_open would have made them. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as fs from "node:fs"
import nodeFs from "node:fs"
import { syncBuiltinESMExports } from "node:module"
import { setTimeout as sleep } from "node:timers/promises"
import type { ClientObject } from "../../src/core/ClientMemory.js"
import type { InferRequest } from "../../src/core/Request.js"
import { call } from "../support/http.js"
import type { Fakes } from "../support/fakeServices.js"
import { digits, freed, places } from "../support/server.js"
import { bytesAt, makeObject } from "../support/sharedObject.js"

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

/** Kills all fronts, and waits until others have taken their place and listen: until then the agent answers. */
const replaceFronts = async (): Promise<void> => {
  const isFront = (pid: number): boolean => {
    try {
      return fs.readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("front.js")
    } catch {
      return false
    }
  }
  const fronts = () => fs.readFileSync(`/proc/self/task/${process.pid}/children`, "utf8").trim().split(" ").map(Number).filter(isFront)
  const listens = (pid: number): boolean => {
    const inodes = fs.readFileSync("/proc/net/unix", "utf8").split("\n").filter((line) => /\/front-\d+\.sock$/.test(line)).map((line) => line.trim().split(/ +/)[6])
    try {
      return fs.readdirSync(`/proc/${pid}/fd`).some((fd) => inodes.includes(/^socket:\[(\d+)\]$/.exec(fs.readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1]))
    } catch {
      return false
    }
  }
  const before = fronts()
  for (const pid of before) process.kill(pid, "SIGKILL")
  const haveOthers = () => fronts().filter((pid) => !before.includes(pid) && listens(pid)).length === before.length
  for (let i = 0; i < 1000 && !haveOthers(); i++) await sleep(10)
  assert.isTrue(haveOthers(), "other fronts listen")
}

/** Answers on connections of their own, from all fronts: while none is up the agent answers, and one that was just killed may have taken a connection along. */
const askAll = async (port: number): Promise<ReadonlyArray<Awaited<ReturnType<typeof infer>>>> => {
  const answers: Array<Awaited<ReturnType<typeof infer>>> = []
  for (let i = 0; answers.length < 6; i++) {
    const answer = await infer(port, "digits", smallRequest({}, shared("in", 24, 8))).catch(() => undefined)
    if (answer === undefined) {
      assert.isBelow(i, 100)
      continue
    }
    answers.push(answer)
    await sleep(30)
  }
  return answers
}

/** Glets that know every region that is registered, and reach it once they are told to. */
const reachingGlets = (fakes: Fakes, isDefault = true) => {
  const known: Array<{ readonly object: ClientObject; readonly reach: (isDirect: boolean) => void; released: boolean }> = []
  fakes.clientMemory = {
    isDefault,
    open: (object, reach) => {
      const one = { object, reach, released: false }
      known.push(one)
      return { number: known.length, release: () => one.released = true }
    }
  }
  return known
}

describe.skipIf(process.platform !== "linux").each(places)("system shared memory, read $where", ({ isFronted, makeFakes, startServer }) => {
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
          [{ key: `${object.key}-none`, byte_size: 8 }, "key"], [{ key: link.key, byte_size: 8 }, "key"], [{ key: folder.key, byte_size: 8 }, "key"],
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
      yield* Effect.promise(async () => {
        assert.strictEqual((await register(port, "in", { key: object.key, byte_size: 64 })).status, 200)
        fs.rmSync(object.file)
        fs.writeFileSync(object.file, Buffer.alloc(64))
        await replaceFronts()
        for (const answer of await askAll(port)) assert.deepStrictEqual(answer.json.outputs[0]!.data, [1, 2, 3, 4, 5, 6])
      })
      yield* Effect.promise(() => freed(fakes))
    }))

  it.scopedLive("a region that has shrunk is one also for a front that comes later, and serves again once it has grown", () =>
    Effect.gen(function*() {
      const fakes = makeFakes()
      const { port } = yield* startServer(fakes, { sharedMemory: true })
      const object = yield* makeObject(64)
      yield* Effect.promise(async () => {
        assert.strictEqual((await register(port, "in", { key: object.key, byte_size: 64 })).status, 200)
        fs.truncateSync(object.file, 20)
        await replaceFronts()
        for (const answer of await askAll(port)) {
          assert.match(answer.json.error, /inputs\[0\]\.parameters\.shared_memory_region: is shorter than when it was registered/)
        }
        fs.truncateSync(object.file, 64)
        for (const answer of await askAll(port)) assert.strictEqual(answer.status, 200)
      })
      yield* Effect.promise(() => freed(fakes))
    }))

  const pixels = Buffer.from(Float32Array.from({ length: imageBytes / 4 }, (_, i) => i % 1000).buffer)
  /** Asks until a request comes, or does not, with tensors for glets: fronts hear of it a moment later. */
  const askUntil = async (fakes: Fakes, port: number, what: string, holds: (request: InferRequest) => boolean) => {
    for (let i = 0; i < 200; i++) {
      const answer = await infer(port, "image", imageRequest("image", "out"))
      assert.strictEqual(answer.status, 200)
      if (holds(fakes.seen.at(-1)!)) return
      await sleep(10)
    }
    assert.fail(`never: ${what}`)
  }

  it.scopedLive("large tensors are left to glets that reach them, as long as they do; others are copied", () =>
    Effect.gen(function*() {
      const fakes = makeFakes()
      const known = reachingGlets(fakes)
      const { port } = yield* startServer(fakes, { sharedMemory: true })
      const image = yield* makeObject(imageBytes + 100)
      const out = yield* makeObject(imageBytes + 64)
      const small = yield* makeObject(64)
      fs.writeFileSync(image.file, Buffer.concat([Buffer.alloc(100), pixels]))
      yield* Effect.promise(async () => {
        await register(port, "image", { key: image.key, offset: 100, byte_size: imageBytes })
        await register(port, "out", { key: out.key, byte_size: imageBytes + 64 })
        await register(port, "in", { key: small.key, byte_size: 64 })
        assert.deepStrictEqual(known.map(({ object }) => [object.name, object.endBytes, object.isWritable, object.inode]), [
          [image.key, imageBytes + 100, true, fs.statSync(image.file).ino], [out.key, imageBytes + 64, true, fs.statSync(out.file).ino], [small.key, 64, true, fs.statSync(small.file).ino]
        ])
        assert.isTrue(known.every(({ object }) => fs.statSync(object.path).ino === object.inode))
        assert.deepInclude(await status(port), { name: "image", key: image.key, offset: 100, byte_size: imageBytes, direct: false })

        assert.strictEqual((await infer(port, "image", imageRequest("image", "out"))).status, 200)
        assert.isUndefined(fakes.seen.at(-1)!.direct)
        assert.isTrue(bytesAt(out.file, 64, imageBytes).equals(pixels))

        for (const { reach } of known) reach(true)
        await askUntil(fakes, port, "tensors are left to glets", ({ direct }) => direct?.length === 2)
        assert.deepStrictEqual(fakes.seen.at(-1)!.direct, [
          { side: "inputs", index: 0, region: 1, position: 100 }, { side: "outputs", index: 0, region: 2, position: 64 }
        ])
        assert.deepInclude(await status(port), { name: "image", key: image.key, offset: 100, byte_size: imageBytes, direct: true })
        // Neither is copied: what stands in the slot is none of its business.
        fs.writeFileSync(out.file, Buffer.alloc(imageBytes + 64, 7))
        fs.writeFileSync(image.file, Buffer.alloc(imageBytes + 100, 9))
        let seen = Buffer.alloc(0)
        fakes.behaviour = ({ slot }, answer) => {
          seen = Buffer.from(slot.bytes)
          setImmediate(answer)
        }
        const answer = await infer(port, "image", imageRequest("image", "out"))
        assert.deepStrictEqual(answer.json.outputs, [{
          name: "out_pixels", datatype: "FP32", shape: [1, 3, 224, 224],
          parameters: { shared_memory_region: "out", shared_memory_offset: 64, shared_memory_byte_size: imageBytes }
        }] as never)
        assert.isFalse(seen.subarray(0, imageBytes).every((byte) => byte === 9))
        assert.isTrue(fs.readFileSync(out.file).every((byte) => byte === 7))

        fs.writeFileSync(small.file, Buffer.concat([Buffer.alloc(8), Buffer.from(Float32Array.of(1, 2, 3, 4, 5, 6).buffer), Buffer.alloc(32)]))
        assert.deepStrictEqual((await infer(port, "digits", smallRequest())).json.outputs[0]!.data, [1, 2, 3, 4, 5, 6])
        assert.isUndefined(fakes.seen.at(-1)!.direct)
        // Too little room for an output is seen before anybody writes there.
        const narrow = { ...imageRequest("image", "out"), outputs: [{ name: "out_pixels", parameters: shared("out", imageBytes - 4) }] }
        assert.include((await infer(port, "image", narrow)).json.error, "outputs[0].parameters.shared_memory_byte_size")

        for (const { reach } of known) reach(false)
        await askUntil(fakes, port, "tensors are copied again", ({ direct }) => direct === undefined)
        fs.writeFileSync(image.file, Buffer.concat([Buffer.alloc(100), pixels]))
        assert.strictEqual((await infer(port, "image", imageRequest("image", "out"))).status, 200)
        assert.isTrue(bytesAt(out.file, 64, imageBytes).equals(pixels))
      })
      yield* Effect.promise(() => freed(fakes))
    }))

  it.scopedLive("glets forget a region once it is unregistered and the last request in it has ended", () =>
    Effect.gen(function*() {
      const fakes = makeFakes()
      const known = reachingGlets(fakes)
      const { port } = yield* startServer(fakes, { sharedMemory: true })
      const image = yield* makeObject(imageBytes)
      const out = yield* makeObject(imageBytes + 64)
      yield* Effect.promise(async () => {
        await register(port, "image", { key: image.key, byte_size: imageBytes })
        await register(port, "out", { key: out.key, byte_size: imageBytes + 64 })
        for (const { reach } of known) reach(true)
        await askUntil(fakes, port, "tensors are left to glets", ({ direct }) => direct?.length === 2)
        let answerIt = () => {}
        fakes.behaviour = (_, answer) => { answerIt = answer }
        const answer = infer(port, "image", imageRequest("image", "out"))
        while (fakes.pending.size === 0) await sleep(5)
        await call(port, { path: `${system}/unregister`, method: "POST", body: "" })
        assert.deepStrictEqual(known.map(({ released }) => released), [false, false])
        // Nobody is told of what was unregistered.
        known[0]!.reach(false)
        answerIt()
        assert.strictEqual((await answer).status, 200)
        for (let i = 0; i < 200 && !known.every(({ released }) => released); i++) await sleep(10)
        assert.deepStrictEqual(known.map(({ released }) => released), [true, true])
        fakes.behaviour = (_, then) => setImmediate(then)
        assert.strictEqual((await infer(port, "image", imageRequest("image", "out"))).status, 400)

        // With nobody in it, at once.
        await register(port, "image", { key: image.key, byte_size: imageBytes })
        await call(port, { path: `${system}/region/image/unregister`, method: "POST", body: "" })
        assert.isTrue(known[2]!.released)
      })
      yield* Effect.promise(() => freed(fakes))
    }))

  it.scopedLive.skipIf(isFronted)("a region that is unregistered while others of the request are copied is copied too", () =>
    Effect.gen(function*() {
      const fakes = makeFakes()
      const known = reachingGlets(fakes)
      const { port } = yield* startServer(fakes, { sharedMemory: true }, [
        { name: "pair", batchSymbol: "n", inputs: [["a", "FP32", ["n", 32_768]], ["b", "FP32", ["n", 32_768]]] }
      ])
      const bytes = 4 * 32_768
      const [a, b] = [yield* makeObject(bytes), yield* makeObject(bytes)]
      fs.writeFileSync(a.file, Buffer.alloc(bytes, 65))
      fs.writeFileSync(b.file, Buffer.alloc(bytes, 66))
      const body = {
        inputs: ["a", "b"].map((name) => ({ name, shape: [1, 32_768], datatype: "FP32", parameters: shared(name, bytes) })),
        parameters: { binary_data_output: true }
      }
      yield* Effect.promise(async () => {
        await register(port, "a", { key: a.key, byte_size: bytes })
        await register(port, "b", { key: b.key, byte_size: bytes })
        known[0]!.reach(true)
        const before = await infer(port, "pair", body)
        assert.strictEqual(before.status, 200)
        assert.deepStrictEqual(fakes.seen.at(-1)!.direct?.map(({ region }) => region), [1])
        // `b` is copied on another thread: at that moment glets cease to reach `a`.
        const { read } = nodeFs
        nodeFs.read = ((...args: Parameters<typeof read>) => {
          known[0]!.reach(false)
          return read(...args)
        }) as typeof read
        syncBuiltinESMExports()
        try {
          const answer = await infer(port, "pair", body)
          assert.strictEqual(answer.status, 200)
          assert.isUndefined(fakes.seen.at(-1)!.direct)
          assert.isTrue(answer.body.subarray(-2 * bytes).equals(Buffer.concat([Buffer.alloc(bytes, 65), Buffer.alloc(bytes, 66)])))
        } finally {
          nodeFs.read = read
          syncBuiltinESMExports()
        }
      })
      yield* Effect.promise(() => freed(fakes))
    }))

  it.scopedLive("what glets could not move is a 400 that says why, and off means copying", () =>
    Effect.gen(function*() {
      const fakes = makeFakes()
      const known = reachingGlets(fakes)
      const { port } = yield* startServer(fakes, { sharedMemory: true })
      const image = yield* makeObject(imageBytes)
      const out = yield* makeObject(imageBytes + 64)
      yield* Effect.promise(async () => {
        await register(port, "image", { key: image.key, byte_size: imageBytes })
        await register(port, "out", { key: out.key, byte_size: imageBytes + 64 })
        for (const { reach } of known) reach(true)
        await askUntil(fakes, port, "tensors are left to glets", ({ direct }) => direct?.length === 2)
        fakes.directProblem = "is shorter than when it was registered"
        const answer = await infer(port, "image", imageRequest("image", "out"))
        assert.strictEqual(answer.status, 400)
        assert.strictEqual(answer.json.error, "shared_memory_region: is shorter than when it was registered")
      })
      yield* Effect.promise(() => freed(fakes))
      for (const [sharedMemoryDirect, isDefault, isUsed] of [["off", true, false], ["auto", false, false], ["on", false, true]] as const) {
        const others = makeFakes()
        const knownToOthers = reachingGlets(others, isDefault)
        const server = yield* startServer(others, { sharedMemory: true, sharedMemoryDirect })
        yield* Effect.promise(() => register(server.port, "image", { key: image.key, byte_size: imageBytes }))
        assert.strictEqual(knownToOthers.length, isUsed ? 1 : 0)
      }
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
        const unknown = await call(port, { path: "/v2/cudasharedmemory/region/r/status" })
        assert.strictEqual(unknown.status, 404)
        assert.include(unknown.json.error, "no region of that name")
      })
    }))
})
