/**
 * How a request ended, as the agent tells its front:
 *
 * ```
 * answered  u32 0 | f64 version | u32 symbols | u32 columns | symbols x i32 value of an output symbol | columns x u32 bytes of an output that comes as
 *           payload, 0xffffffff where it stands in the slot
 * dropped   u32 1 | u32 reason | f64 retryAfterMs
 * canceled  u32 2
 * failed    u32 3 | the error as JSON
 * broken    u32 4 | the error as JSON: an exception; its slot is never to be used again
 * ```
 * An answered request without symbols and payload, which most are, ends after the version.
 */
import type { RequestEnd } from "../../core/Request.js"
import type { DropReason, RequestCanceled, RequestDropped, RequestError } from "../../core/RequestError.js"
import { ExecutionFailed, InvalidRequest, ModelNotFound, ModelUnavailable } from "../../core/RequestError.js"
import { MalformedFrame } from "../../link/frameReader.js"
import type { FrameWriter } from "../../link/frameWriter.js"
import { directFailure } from "../internal/inferResponse.js"
import type { AnswerEnd } from "../internal/inferContext.js"
import { dropReasons, FrontFrame } from "./protocol.js"

const End = { answered: 0, dropped: 1, canceled: 2, failed: 3, broken: 4 } as const
const inSlot = 0xffffffff
const noBindings: ReadonlyArray<number> = []

/** Writes an end. */
export const writeEnd = (writer: FrameWriter, id: number, end: RequestEnd): void => {
  if (!end.ok) return writeError(writer, id, end.error)
  const { directProblem, outputBindings, overflow, version } = end.result
  if (directProblem !== undefined) return writeError(writer, id, directFailure(directProblem))
  if (outputBindings.length === 0 && overflow === undefined) {
    const at = writer.begin(FrontFrame.end, id, 12, 0)
    writer.buffer.writeUInt32LE(End.answered, at)
    writer.buffer.writeDoubleLE(version, at + 4)
    return
  }
  const columns = overflow ?? []
  // Holes of a sparse array are outputs in the slot too.
  const payloads = Array.from({ length: columns.length }, (_, i) => columns[i])
  const payloadBytes = payloads.reduce((sum, bytes) => sum + (bytes?.byteLength ?? 0), 0)
  const at = writer.begin(FrontFrame.end, id, 20 + 4 * outputBindings.length + 4 * payloads.length, payloadBytes)
  const { buffer } = writer
  buffer.writeUInt32LE(End.answered, at)
  buffer.writeDoubleLE(version, at + 4)
  buffer.writeUInt32LE(outputBindings.length, at + 12)
  buffer.writeUInt32LE(payloads.length, at + 16)
  let next = at + 20
  for (const value of outputBindings) next = buffer.writeInt32LE(value, next)
  for (const bytes of payloads) next = buffer.writeUInt32LE(bytes?.byteLength ?? inSlot, next)
  for (const bytes of payloads) if (bytes !== undefined) writer.payload(bytes)
}

const writeError = (writer: FrameWriter, id: number, error: RequestError): void => {
  if (error._tag === "RequestDropped") {
    const at = writer.begin(FrontFrame.end, id, 16, 0)
    writer.buffer.writeUInt32LE(End.dropped, at)
    writer.buffer.writeUInt32LE(dropReasons.indexOf(error.reason), at + 4)
    writer.buffer.writeDoubleLE(error.retryAfterMs, at + 8)
  } else if (error._tag === "RequestCanceled") {
    const at = writer.begin(FrontFrame.end, id, 4, 0)
    writer.buffer.writeUInt32LE(End.canceled, at)
  } else {
    writeFailure(writer, id, End.failed, error)
  }
}

/** Writes the end of a request whose offer threw. */
export const writeBroken = (writer: FrameWriter, id: number, error: RequestError): void => writeFailure(writer, id, End.broken, error)

const writeFailure = (writer: FrameWriter, id: number, kind: number, error: RequestError): void => {
  const text = Buffer.from(JSON.stringify({ ...error, _tag: error._tag }))
  const at = writer.begin(FrontFrame.end, id, 4 + text.length, 0)
  writer.buffer.writeUInt32LE(kind, at)
  text.copy(writer.buffer, at + 4)
}

/** An end, and the pieces of memory that its payload fills. */
interface ReadEnd {
  readonly end: AnswerEnd
  readonly places: ReadonlyArray<Uint8Array>
}

const answeredBy = (version: number): ReadEnd => ({ end: { ok: true, result: { version, outputBindings: noBindings, overflow: undefined } }, places: [] })
/** What most requests end with, made once; versions above are rare. */
const answered = Array.from({ length: 64 }, (_, version) => answeredBy(version))

const failure = (text: string): RequestError => {
  const { _tag, ...fields } = JSON.parse(text) as { readonly _tag: RequestError["_tag"] } & Record<string, unknown>
  switch (_tag) {
    case "ModelUnavailable": return new ModelUnavailable(fields as never)
    case "ModelNotFound": return new ModelNotFound(fields as never)
    case "InvalidRequest": return new InvalidRequest(fields as never)
    case "ExecutionFailed": return new ExecutionFailed(fields as never)
    default: throw new MalformedFrame(`a request ended with ${_tag}`)
  }
}

/** The errors that most refused requests of a model end with: made once, given again. */
export interface KnownErrors {
  readonly canceled: RequestCanceled
  readonly dropped: (reason: DropReason, retryAfterMs: number) => RequestDropped
}

/** Reads an end of a request of the model that `known` is of. Throws `MalformedFrame`. */
export const readEnd = (known: KnownErrors, bytes: Buffer, start: number, end: number): ReadEnd => {
  const length = end - start
  const kind = length < 4 ? -1 : bytes.readUInt32LE(start)
  if (kind === End.answered && length >= 12) {
    const version = bytes.readDoubleLE(start + 4)
    if (length === 12) return answered[version] ?? answeredBy(version)
    if (length < 20) throw new MalformedFrame(`an end has ${length} bytes`)
    const symbols = bytes.readUInt32LE(start + 12)
    const columns = bytes.readUInt32LE(start + 16)
    if (length !== 20 + 4 * (symbols + columns)) throw new MalformedFrame(`an end has ${length} bytes`)
    const columnsAt = start + 20 + 4 * symbols
    const overflow = Array.from({ length: columns }, (_, i) => {
      const size = bytes.readUInt32LE(columnsAt + 4 * i)
      return size === inSlot ? undefined : new Uint8Array(size)
    })
    const outputBindings = Array.from({ length: symbols }, (_, i) => bytes.readInt32LE(start + 20 + 4 * i))
    return {
      end: { ok: true, result: { version, outputBindings, overflow: columns === 0 ? undefined : overflow } },
      places: overflow.filter((piece) => piece !== undefined && piece.length > 0) as Array<Uint8Array>
    }
  }
  if (kind === End.dropped && length === 16) {
    const reason = dropReasons[bytes.readUInt32LE(start + 4)]
    if (reason === undefined) throw new MalformedFrame("a request was dropped for an unknown reason")
    return { end: { ok: false, error: known.dropped(reason, bytes.readDoubleLE(start + 8)) }, places: [] }
  }
  if (kind === End.canceled) return { end: { ok: false, error: known.canceled }, places: [] }
  if (kind === End.failed || kind === End.broken) {
    return { end: { ok: false, error: failure(bytes.toString("utf8", start + 4, end)), keepsSlot: kind === End.broken }, places: [] }
  }
  throw new MalformedFrame(`a request ended with kind ${kind}`)
}
