/** Clients' memory as a GPU's driver locks it: within bounds, given back, and known for what it is once its owner has shrunk it. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as fs from "node:fs"
import type { CudaError as CudaErrorType } from "../../../src/node-cuda/runner/cuda/driver/CudaDriver.js"
import { CudaError } from "../../../src/node-cuda/runner/cuda/driver/CudaDriver.js"
import { FileLocks } from "../../../src/node-cuda/runner/cuda/FileLocks.js"
import { makeLockFile } from "../../../src/node-cuda/runner/cuda/lockFiles.js"
import type { FileLocker } from "../../../src/node-cuda/runner/cuda/lockThread.js"
import { makeObject } from "../../support/sharedObject.js"
import { makeFakeCuda } from "./fakeCuda.js"

const mebibyte = 2 ** 20

const setUp = (onCall: (call: string, count: number) => void = () => {}) => {
  const fake = makeFakeCuda({ onCall })
  const fatal: Array<CudaErrorType> = []
  const locks = new FileLocks(fake.driver)
  const locker: FileLocker = { lock: async (fd, byteLength) => locks.lock(fd, byteLength), unlock: async (address) => locks.unlock(address) }
  return { fake, fatal, lock: makeLockFile(locker, (error) => fatal.push(error)) }
}
const opened = (byteLength: number) =>
  Effect.gen(function*() {
    const { file } = yield* makeObject(0)
    // Sparse: only what is locked takes memory.
    fs.truncateSync(file, byteLength)
    return yield* Effect.acquireRelease(Effect.sync(() => ({ file, fd: fs.openSync(file, "r+") })), ({ fd }) => Effect.sync(() => fs.closeSync(fd)))
  })
const refusal = (locking: Promise<unknown>) => Effect.promise(() => locking.then(() => "locked", (error: Error) => error.message))
const isMapped = (file: string): boolean => fs.readFileSync("/proc/self/maps", "utf8").includes(file)

describe.skipIf(process.platform !== "linux")("lockFile", () => {
  it.scopedLive("locks what a client has, until it is released", () =>
    Effect.gen(function*() {
      const { fake, lock } = setUp()
      const { fd, file } = yield* opened(10_000)
      const region = yield* Effect.promise(() => lock(fd, 10_000))
      assert.strictEqual(region.address % 4096, 0)
      assert.isTrue(region.isWhole())
      assert.strictEqual(fake.live().locked, 1)
      region.release()
      assert.strictEqual(fake.live().locked, 0)
      assert.isFalse(isMapped(file))
    }))

  it.scopedLive("knows one that was shrunk, by a page or by all, also where it has grown again", () =>
    Effect.gen(function*() {
      for (const size of [0, 8192]) {
        const { lock } = setUp()
        const { fd, file } = yield* opened(10_000)
        const region = yield* Effect.promise(() => lock(fd, 10_000))
        fs.truncateSync(file, size)
        assert.isFalse(region.isWhole())
        fs.truncateSync(file, 10_000)
        fs.writeFileSync(file, Buffer.alloc(10_000, 1), { flag: "r+" })
        assert.isFalse(region.isWhole())
        region.release()
      }
    }))

  it.scopedLive("refuses what is shorter already, and what the driver refuses, and leaves nothing behind", () =>
    Effect.gen(function*() {
      const { fd, file } = yield* opened(4096)
      const short = setUp()
      assert.include(yield* refusal(short.lock(fd, 10_000)), "not all there")
      assert.strictEqual(short.fake.live().locked, 0)
      assert.isFalse(isMapped(file))
      const full = setUp(() => {
        throw new CudaError("cuMemHostRegister", 2, "CUDA_ERROR_OUT_OF_MEMORY")
      })
      assert.include(yield* refusal(full.lock(fd, 4096)), "CUDA_ERROR_OUT_OF_MEMORY")
      assert.isFalse(isMapped(file))
      assert.deepStrictEqual(full.fatal, [])
    }))

  it.scopedLive("has bounds: for one region, and for all, of which released ones count no more", () =>
    Effect.gen(function*() {
      const { lock } = setUp()
      const large = yield* opened(65 * mebibyte)
      assert.include(yield* refusal(lock(large.fd, 65 * mebibyte)), "more than 67108864 bytes")
      const { fd } = yield* opened(mebibyte)
      // What cannot be locked after all does not count either.
      for (let i = 0; i < 40; i++) assert.include(yield* refusal(lock(fd, 64 * mebibyte)), "not all there")
      const regions = yield* Effect.promise(() => Promise.all(Array.from({ length: 16 }, () => lock(large.fd, 64 * mebibyte))))
      assert.include(yield* refusal(lock(fd, mebibyte)), "more than 1073741824 bytes")
      regions.pop()!.release()
      regions.push(yield* Effect.promise(() => lock(fd, mebibyte)))
      for (const region of regions) region.release()
    }))
})
