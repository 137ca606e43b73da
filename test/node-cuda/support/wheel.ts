/** Writes wheels: zip files with METADATA and RECORD, as small as a test needs. */
import { createHash } from "node:crypto"
import * as fs from "node:fs"
import * as zlib from "node:zlib"

export interface WheelParts {
  readonly name?: string
  readonly version?: string
  readonly files: Readonly<Record<string, Buffer>>
  /** Changes RECORD's text. */
  readonly record?: (text: string) => string
  /** Files that are stored, not deflated. */
  readonly stored?: ReadonlyArray<string>
  /** Changes a file's size in the directory. */
  readonly declaredBytes?: Readonly<Record<string, number>>
}

export const sha256 = (bytes: Buffer): string => createHash("sha256").update(bytes).digest("base64url")

export const recordOf = (files: Readonly<Record<string, Buffer>>): string =>
  Object.entries(files).map(([path, bytes]) => `${path},sha256=${sha256(bytes)},${bytes.length}\n`).join("")

export const wheelBytes = (parts: WheelParts): Buffer => {
  const { name = "onnxruntime-gpu", version = "1.30.0" } = parts
  const info = `onnxruntime_gpu-${version}.dist-info`
  const record = recordOf(parts.files)
  const all: Record<string, Buffer> = {
    ...parts.files,
    [`${info}/METADATA`]: Buffer.from(`Metadata-Version: 2.4\nName: ${name}\nVersion: ${version}\n`),
    [`${info}/RECORD`]: Buffer.from(parts.record?.(record) ?? record)
  }
  const local: Array<Buffer> = []
  const directory: Array<Buffer> = []
  let offset = 0
  for (const [path, bytes] of Object.entries(all)) {
    const method = parts.stored?.includes(path) === true ? 0 : 8
    const data = method === 0 ? bytes : zlib.deflateRawSync(bytes)
    const declared = parts.declaredBytes?.[path] ?? bytes.length
    const pathBytes = Buffer.from(path)
    const head = Buffer.alloc(30)
    head.writeUInt32LE(0x04034b50, 0)
    head.writeUInt16LE(method, 8)
    head.writeUInt32LE(data.length, 18)
    head.writeUInt32LE(declared, 22)
    head.writeUInt16LE(pathBytes.length, 26)
    const entry = Buffer.alloc(46)
    entry.writeUInt32LE(0x02014b50, 0)
    entry.writeUInt16LE(method, 10)
    entry.writeUInt32LE(data.length, 20)
    entry.writeUInt32LE(declared, 24)
    entry.writeUInt16LE(pathBytes.length, 28)
    entry.writeUInt32LE(offset, 42)
    local.push(head, pathBytes, data)
    directory.push(entry, pathBytes)
    offset += head.length + pathBytes.length + data.length
  }
  const end = Buffer.alloc(22)
  end.writeUInt32LE(0x06054b50, 0)
  end.writeUInt16LE(Object.keys(all).length, 8)
  end.writeUInt16LE(Object.keys(all).length, 10)
  end.writeUInt32LE(directory.reduce((sum, part) => sum + part.length, 0), 12)
  end.writeUInt32LE(offset, 16)
  return Buffer.concat([...local, ...directory, end])
}

export const writeWheel = (file: string, parts: WheelParts): string => {
  fs.writeFileSync(file, wheelBytes(parts))
  return file
}
