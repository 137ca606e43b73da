/** POSIX shared-memory objects as a client's shm_open would have made them. */
import * as Effect from "effect/Effect"
import * as fs from "node:fs"
import type { ClientObject } from "../../src/core/ClientMemory.js"

export interface SharedObject {
  /** As shm_open takes it. */
  readonly key: string
  readonly file: string
}

let objects = 0

/** One of so many bytes; it goes with the scope. */
export const makeObject = (byteLength: number) =>
  Effect.acquireRelease(
    Effect.sync((): SharedObject => {
      const key = `glet-test-${process.pid}-${objects++}-${Math.random().toString(36).slice(2)}`
      fs.writeFileSync(`/dev/shm/${key}`, Buffer.alloc(byteLength))
      return { key: `/${key}`, file: `/dev/shm/${key}` }
    }),
    ({ file }) => Effect.sync(() => fs.rmSync(file, { force: true, recursive: true }))
  )

/** As glets are told of it. */
export const clientObject = ({ file, key }: SharedObject, more: Partial<ClientObject> = {}): ClientObject => {
  const { dev, ino, size } = fs.statSync(file)
  return { name: key, path: file, device: dev, inode: ino, isWritable: true, endBytes: size, ...more }
}

export const putAt = (file: string, at: number, bytes: Uint8Array): void => {
  const fd = fs.openSync(file, "r+")
  fs.writeSync(fd, bytes, 0, bytes.byteLength, at)
  fs.closeSync(fd)
}

export const bytesAt = (file: string, at: number, byteLength: number): Buffer => {
  const bytes = Buffer.alloc(byteLength)
  const fd = fs.openSync(file, "r")
  const read = fs.readSync(fd, bytes, 0, byteLength, at)
  fs.closeSync(fd)
  return bytes.subarray(0, read)
}
