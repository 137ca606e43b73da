/**
 * A request as a front offers it:
 *
 * ```
 * u32 model | u32 offset of the slot / 64 | u32 bytes of the slot / 64 | u32 items | u32 flags | u32 priority | f64 arrivedMs | f64 timeoutMs
 *           | u32 symbols | u32 idBytes                                                                                            48 bytes
 * + symbols x i32 value of an input symbol
 * + with the flag direct: u32 count + count x tensor as in link/directTensor.ts
 * + idBytes of UTF-8
 * ```
 */
import type { DirectTensor } from "../../core/ClientMemory.js"
import type { InferRequest } from "../../core/Request.js"
import type { TensorSlot } from "../../core/TensorArena.js"
import { directTensorBytes, readDirectTensor, writeDirectTensor } from "../../link/directTensor.js"
import { MalformedFrame } from "../../link/frameReader.js"
import type { FrameWriter } from "../../link/frameWriter.js"
import { FrontFrame } from "./protocol.js"

const headBytes = 48
const unit = 64
const timeoutFlag = 1
const priorityFlag = 2
const bestEffortFlag = 4
const directFlag = 8
/** An id is for logs: so much of it is enough. */
const maxIdBytes = 256

const idOf = (id: string | undefined): Buffer | undefined => {
  if (id === undefined) return undefined
  // No character has less than a byte.
  const bytes = Buffer.from(id.slice(0, maxIdBytes))
  return bytes.length <= maxIdBytes ? bytes : bytes.subarray(0, maxIdBytes)
}

/** Writes a request of the model of that number. */
export const writeOffer = (writer: FrameWriter, id: number, number: number, request: InferRequest): void => {
  const { arrivedAtMs, bindings, direct, id: name, items, priority, serviceClass, slot, timeoutMs } = request
  const nameBytes = idOf(name)
  const directLength = direct === undefined ? 0 : 4 + directTensorBytes * direct.length
  const at = writer.begin(FrontFrame.offer, id, headBytes + 4 * bindings.length + directLength + (nameBytes?.length ?? 0), 0)
  const { buffer } = writer
  buffer.writeUInt32LE(number, at)
  buffer.writeUInt32LE(slot.offset / unit, at + 4)
  buffer.writeUInt32LE(slot.bytes.length / unit, at + 8)
  buffer.writeUInt32LE(items, at + 12)
  const flags = (timeoutMs === undefined ? 0 : timeoutFlag) | (priority === undefined ? 0 : priorityFlag) |
    (serviceClass === undefined ? 0 : bestEffortFlag) | (direct === undefined ? 0 : directFlag)
  buffer.writeUInt32LE(flags, at + 16)
  // Larger is lower, and nobody is lower than that.
  buffer.writeUInt32LE(Math.min(priority ?? 0, 0xffffffff), at + 20)
  buffer.writeDoubleLE(arrivedAtMs ?? 0, at + 24)
  buffer.writeDoubleLE(timeoutMs ?? 0, at + 32)
  buffer.writeUInt32LE(bindings.length, at + 40)
  buffer.writeUInt32LE(nameBytes?.length ?? 0, at + 44)
  let next = at + headBytes
  for (const value of bindings) next = buffer.writeInt32LE(value, next)
  if (direct !== undefined) {
    next = buffer.writeUInt32LE(direct.length, next)
    for (const tensor of direct) next = writeDirectTensor(buffer, next, tensor)
  }
  nameBytes?.copy(buffer, next)
}

/** What an offer says. */
interface Offer {
  readonly number: number
  readonly slot: TensorSlot
  readonly items: number
  readonly bindings: ReadonlyArray<number>
  readonly arrivedAtMs: number
  readonly timeoutMs: number | undefined
  readonly priority: number | undefined
  readonly serviceClass: "best-effort" | undefined
  readonly direct: ReadonlyArray<DirectTensor> | undefined
  readonly id: string | undefined
}

const readDirect = (bytes: Buffer, at: number, count: number): ReadonlyArray<DirectTensor> =>
  Array.from({ length: count }, (_, i) => readDirectTensor(bytes, at + directTensorBytes * i))

const noBindings: ReadonlyArray<number> = []
/** Its front gives it back. */
const release = (): void => {}

/** Reads an offer whose slot must lie in the front's part of `memory`. Throws `MalformedFrame`. */
export const readOffer = (
  memory: ArrayBufferLike,
  part: { readonly offset: number; readonly byteLength: number },
  bytes: Buffer,
  start: number,
  end: number
): Offer => {
  const length = end - start
  const symbols = length < headBytes ? 0 : bytes.readUInt32LE(start + 40)
  const idBytes = length < headBytes ? 0 : bytes.readUInt32LE(start + 44)
  const flags = length < headBytes ? 0 : bytes.readUInt32LE(start + 16)
  const directAt = start + headBytes + 4 * symbols
  const hasDirect = (flags & directFlag) !== 0
  const direct = hasDirect && directAt + 4 <= end ? bytes.readUInt32LE(directAt) : 0
  if (length !== headBytes + 4 * symbols + (hasDirect ? 4 + directTensorBytes * direct : 0) + idBytes) throw new MalformedFrame(`an offer has ${length} bytes`)
  const offset = bytes.readUInt32LE(start + 4) * unit
  const byteLength = bytes.readUInt32LE(start + 8) * unit
  if (offset < part.offset || offset + byteLength > part.offset + part.byteLength) {
    throw new MalformedFrame(`an offer's slot of ${byteLength} bytes at ${offset} is not in the front's part of the memory`)
  }
  const symbolsAt = start + headBytes
  return {
    number: bytes.readUInt32LE(start),
    slot: { bytes: new Uint8Array(memory, offset, byteLength), offset, release },
    items: bytes.readUInt32LE(start + 12),
    bindings: symbols === 0 ? noBindings : Array.from({ length: symbols }, (_, i) => bytes.readInt32LE(symbolsAt + 4 * i)),
    arrivedAtMs: bytes.readDoubleLE(start + 24),
    timeoutMs: (flags & timeoutFlag) === 0 ? undefined : bytes.readDoubleLE(start + 32),
    priority: (flags & priorityFlag) === 0 ? undefined : bytes.readUInt32LE(start + 20),
    serviceClass: (flags & bestEffortFlag) === 0 ? undefined : "best-effort",
    direct: hasDirect ? readDirect(bytes, directAt + 4, direct) : undefined,
    id: idBytes === 0 ? undefined : bytes.toString("utf8", end - idBytes, end)
  }
}
