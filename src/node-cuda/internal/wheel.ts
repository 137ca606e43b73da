/**
 * Reads a Python wheel, a zip file with a RECORD of the SHA-256 of every file in it. Only what a wheel of libraries needs: no encryption, no
 * zip64, files stored or deflated. Files stream: they may be larger than memory.
 */
import { createHash } from "node:crypto"
import * as fs from "node:fs"
import * as path from "node:path"
import { Transform } from "node:stream"
import { pipeline } from "node:stream/promises"
import * as zlib from "node:zlib"

interface Entry {
  readonly method: number
  readonly compressedBytes: number
  readonly bytes: number
  /** Of its local header. */
  readonly offset: number
}

export interface Wheel {
  readonly file: string
  /** e.g. `onnxruntime-gpu`, as METADATA has it. */
  readonly name: string
  readonly version: string
  /** From RECORD: size and SHA-256 (base64url, without padding) by path. */
  readonly record: ReadonlyMap<string, { readonly sha256: string; readonly bytes: number }>
  readonly entries: ReadonlyMap<string, Entry>
}

const endSignature = 0x06054b50
const directorySignature = 0x02014b50
const localSignature = 0x04034b50
const endBytes = 22
const localBytes = 30
const mostComment = 0xffff
const mostDirectory = 16 << 20
const mostText = 4 << 20

/** It is no wheel, or a broken one. */
export class WheelProblem extends Error {
  override readonly name = "WheelProblem"
}

const readAt = (fd: number, position: number, length: number): Buffer => {
  const bytes = Buffer.alloc(length)
  if (fs.readSync(fd, bytes, 0, length, position) !== length) throw new WheelProblem("it ends too early: an incomplete download?")
  return bytes
}

const readEntries = (fd: number, size: number): ReadonlyMap<string, Entry> => {
  const tailBytes = Math.min(size, endBytes + mostComment)
  const tail = readAt(fd, size - tailBytes, tailBytes)
  let end = tail.length - endBytes
  while (end >= 0 && tail.readUInt32LE(end) !== endSignature) end--
  if (end < 0) throw new WheelProblem("it is no zip file, or an incomplete one")
  const [count, bytes, offset] = [tail.readUInt16LE(end + 10), tail.readUInt32LE(end + 12), tail.readUInt32LE(end + 16)]
  if (bytes > mostDirectory || offset + bytes > size) throw new WheelProblem("its directory does not fit into it")
  const directory = readAt(fd, offset, bytes)
  const entries = new Map<string, Entry>()
  for (let i = 0, at = 0; i < count; i++) {
    if (at + 46 > directory.length || directory.readUInt32LE(at) !== directorySignature) throw new WheelProblem("its directory is broken")
    const [name, extra, comment] = [directory.readUInt16LE(at + 28), directory.readUInt16LE(at + 30), directory.readUInt16LE(at + 32)]
    entries.set(directory.toString("utf8", at + 46, at + 46 + name), {
      method: directory.readUInt16LE(at + 10),
      compressedBytes: directory.readUInt32LE(at + 20),
      bytes: directory.readUInt32LE(at + 24),
      offset: directory.readUInt32LE(at + 42)
    })
    at += 46 + name + extra + comment
  }
  return entries
}

const dataOffset = (fd: number, { offset }: Entry): number => {
  const head = readAt(fd, offset, localBytes)
  if (head.readUInt32LE(0) !== localSignature) throw new WheelProblem("a file is not where its directory says")
  return offset + localBytes + head.readUInt16LE(26) + head.readUInt16LE(28)
}

const readText = (fd: number, entry: Entry): string => {
  if (entry.bytes > mostText || entry.compressedBytes > mostText) throw new WheelProblem("its metadata is too large")
  const data = readAt(fd, dataOffset(fd, entry), entry.compressedBytes)
  return (entry.method === 0 ? data : zlib.inflateRawSync(data, { maxOutputLength: mostText })).toString("utf8")
}

/** Lines `path,sha256=…,bytes`; a path with a comma is quoted, and none that we want has one. */
export const parseRecord = (text: string): Wheel["record"] =>
  new Map([...text.matchAll(/^([^,\n"]+),sha256=([\w-]+),(\d+)\r?$/gm)].map(([, name, sha256, bytes]) => [name!, { sha256: sha256!, bytes: Number(bytes) }]))

/** Reads a wheel's directory, METADATA and RECORD. Throws `WheelProblem`, or the system's error. */
export const openWheel = (file: string): Wheel => {
  const fd = fs.openSync(file, "r")
  try {
    const entries = readEntries(fd, fs.fstatSync(fd).size)
    const text = (name: string): string => {
      const entry = [...entries].find(([entryPath]) => new RegExp(`^[^/]+\\.dist-info/${name}$`).test(entryPath))
      if (entry === undefined) throw new WheelProblem(`it has no ${name}`)
      return readText(fd, entry[1])
    }
    const metadata = text("METADATA")
    const field = (name: string): string => new RegExp(`^${name}: *(.+?)\\s*$`, "m").exec(metadata)?.[1] ?? ""
    return { file, name: field("Name"), version: field("Version"), record: parseRecord(text("RECORD")), entries }
  } finally {
    fs.closeSync(fd)
  }
}

/** Passes bytes on and knows their number and SHA-256 afterwards. */
export const makeMeter = () => {
  const hash = createHash("sha256")
  let bytes = 0
  const meter = new Transform({
    transform: (chunk: Buffer, _encoding, done) => {
      hash.update(chunk)
      bytes += chunk.length
      done(null, chunk)
    }
  })
  return { meter, result: () => ({ bytes, sha256: hash.digest("base64url") }) }
}

/** Writes a file of the wheel to `to` and says what it wrote. Never more than the directory declares. */
export const extract = async (wheel: Wheel, name: string, to: string): Promise<{ readonly bytes: number; readonly sha256: string }> => {
  const entry = wheel.entries.get(name)
  if (entry === undefined) throw new WheelProblem(`it has no ${path.posix.basename(name)}`)
  if (entry.method !== 0 && entry.method !== 8) throw new WheelProblem(`${name} is compressed by method ${entry.method}`)
  const fd = fs.openSync(wheel.file, "r")
  try {
    const start = dataOffset(fd, entry)
    const { meter, result } = makeMeter()
    let written = 0
    const limit = new Transform({
      transform: (chunk: Buffer, _encoding, done) => {
        written += chunk.length
        if (written > entry.bytes) done(new WheelProblem(`${name} is longer than its directory says`))
        else done(null, chunk)
      }
    })
    const source = fs.createReadStream(wheel.file, { start, end: Math.max(start, start + entry.compressedBytes - 1) })
    const target = fs.createWriteStream(to, { mode: 0o755 })
    if (entry.method === 0) await pipeline(source, limit, meter, target)
    else await pipeline(source, zlib.createInflateRaw(), limit, meter, target)
    return result()
  } finally {
    fs.closeSync(fd)
  }
}
