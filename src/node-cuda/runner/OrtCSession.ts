/** One session of the C API: created on another thread, checked against the declared signature, with its names ready for `Run`. */
import type { ModelSignature } from "../../core/Model.js"
import { loadKoffi } from "../internal/native.js"
import { compareSignature, loadFailureOf } from "./loadFailure.js"
import type { Ort } from "./OrtApi.js"
import { ortElementType } from "./OrtApi.js"

/** C strings and the array of pointers to them; the addresses hold as long as this object does. */
interface CNames {
  readonly address: bigint
  readonly keep: ReadonlyArray<ArrayBufferLike>
}

const cNames = (names: ReadonlyArray<string>): CNames => {
  const koffi = loadKoffi()
  const strings = names.map((name) => {
    const text = Buffer.from(name, "utf8")
    const bytes = new Uint8Array(text.length + 1)
    bytes.set(text)
    return bytes.buffer
  })
  const pointers = new BigUint64Array(Math.max(1, names.length))
  strings.forEach((string, i) => pointers[i] = koffi.address(string))
  return { address: koffi.address(pointers.buffer), keep: [...strings, pointers.buffer] }
}

export interface OrtCSession {
  readonly handle: bigint
  readonly inputNames: CNames
  readonly outputNames: CNames
  readonly release: () => void
}

/** What the file itself declares, by name. */
const declared = (ort: Ort, session: bigint, side: "Input" | "Output"): Map<string, number> => {
  const { functions: f, make } = ort
  const found = new Map<string, number>()
  const count = Number(make<number | bigint>(f[`SessionGet${side}Count`], session))
  for (let i = 0; i < count; i++) {
    const text = make(f[`SessionGet${side}Name`], session, i, ort.allocator)
    const name = loadKoffi().decode.string(text) ?? ""
    ort.check(f.AllocatorFree(ort.allocator, text) as bigint | null)
    const info = make(f[`SessionGet${side}TypeInfo`], session, i)
    // Owned by `info`; null for sequences and maps.
    const tensor = make<bigint | null>(f.CastTypeInfoToTensorInfo, info)
    found.set(name, tensor === null ? 0 : make<number>(f.GetTensorElementType, tensor))
    f.ReleaseTypeInfo(info)
  }
  return found
}

/** Creates a session with so many threads. Rejects with `LoadFailure`. */
export const createSession = async (ort: Ort, path: string, signature: ModelSignature, threads: number): Promise<OrtCSession> => {
  const { check, functions: f, make } = ort
  const options = make(f.CreateSessionOptions)
  let handle: bigint | undefined
  try {
    check(f.SetIntraOpNumThreads(options, threads) as bigint | null)
    check(f.SetInterOpNumThreads(options, 1) as bigint | null)
    // Threads that wait for work in a loop take the cores from other glets and from the server.
    check(f.AddSessionConfigEntry(options, "session.intra_op.allow_spinning", "0") as bigint | null)
    handle = await ort.makeAsync(f.CreateSession, ort.env, path, options)
    const found = { inputs: declared(ort, handle, "Input"), outputs: declared(ort, handle, "Output") }
    compareSignature(signature, found, (datatype) => ortElementType[datatype])
  } catch (error) {
    if (handle !== undefined) f.ReleaseSession(handle)
    throw loadFailureOf(error)
  } finally {
    f.ReleaseSessionOptions(options)
  }
  const session = handle
  return {
    handle: session,
    inputNames: cNames(signature.inputs.map((spec) => spec.name)),
    outputNames: cNames(signature.outputs.map((spec) => spec.name)),
    release: () => f.ReleaseSession(session)
  }
}
