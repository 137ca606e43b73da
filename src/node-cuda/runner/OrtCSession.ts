/** One session of the C API: created on another thread, checked against the declared signature, with its names ready for `Run`. */
import type { ModelSignature } from "../../core/Model.js"
import type { ExternalWeights } from "./externalWeights.js"
import { loadKoffi } from "../internal/native.js"
import { textOf } from "../../core/internal/loadFailure.js"
import { compareSignature, loadFailureOf } from "../../core/internal/loadFailure.js"
import type { Ort } from "./OrtApi.js"
import { ortElementType } from "./OrtApi.js"
import type { BoundValues } from "./ortValues.js"

/** C strings and the array of pointers to them; the addresses hold as long as this object does. */
interface CNames {
  readonly address: bigint
  readonly keep: ReadonlyArray<ArrayBufferLike>
}

export const cNames = (names: ReadonlyArray<string>): CNames => {
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
  /** Runs on this thread; returns what went wrong. `runOptions` is null or an OrtRunOptions. */
  readonly run: (values: BoundValues, runOptions: bigint | null) => string | undefined
  /** Runs on another thread. */
  readonly runAsync: (values: BoundValues, runOptions: bigint | null, done: (problem: string | undefined) => void) => void
  readonly release: () => void
}

/** A thread that makes these calls; both reject with what ONNX Runtime says. */
export interface SessionThread {
  readonly create: (env: bigint, path: string, options: bigint) => Promise<bigint>
  /** Arguments of `Run`. */
  readonly run: (args: ReadonlyArray<unknown>) => Promise<void>
}

interface SessionSettings {
  readonly threads: number
  /** Copied while the session is created. Without it, ONNX Runtime maps files with weights as it finds them. */
  readonly weights?: ReadonlyArray<ExternalWeights>
  /** Creates the session and runs it first; by default any of Node's pool do. */
  readonly thread?: SessionThread
  /** More options, on an OrtSessionOptions. */
  readonly configure?: (options: bigint) => void
  /** Throws `LoadFailure` where a session that was created will not do. */
  readonly verify?: (session: bigint) => void
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

/** What native code reads, but no code of ours any more: collected it must not be. */
const lent = new Set<unknown>()

/** Has the options name these weights, until the answer is called: once the session is created, which copies them. */
const lendWeights = ({ check, functions: f }: Ort, options: bigint, weights: ReadonlyArray<ExternalWeights>): () => void => {
  if (weights.length === 0) return () => undefined
  const koffi = loadKoffi()
  const names = cNames(weights.map(({ location }) => location))
  const buffers = BigUint64Array.from(weights, ({ bytes }) => koffi.address(bytes.buffer))
  const sizes = BigUint64Array.from(weights, ({ bytes }) => BigInt(bytes.byteLength))
  const loan = { names, buffers, sizes, weights }
  check(f.AddExternalInitializersFromFilesInMemory(options, names.address, koffi.address(buffers.buffer), koffi.address(sizes.buffer), weights.length) as bigint | null)
  lent.add(loan)
  return () => void lent.delete(loan)
}

/** Creates a session. Rejects with `LoadFailure`. */
export const createSession = async (ort: Ort, path: string, signature: ModelSignature, settings: SessionSettings): Promise<OrtCSession> => {
  const { check, functions: f, make } = ort
  const options = make(f.CreateSessionOptions)
  let handle: bigint | undefined
  let giveBack = (): void => undefined
  try {
    check(f.SetIntraOpNumThreads(options, settings.threads) as bigint | null)
    check(f.SetInterOpNumThreads(options, 1) as bigint | null)
    // Threads that wait for work in a loop take the cores from other glets and from the server.
    check(f.AddSessionConfigEntry(options, "session.intra_op.allow_spinning", "0") as bigint | null)
    giveBack = lendWeights(ort, options, settings.weights ?? [])
    settings.configure?.(options)
    handle = await (settings.thread?.create(ort.env, path, options) ?? ort.makeAsync(f.CreateSession, ort.env, path, options))
    const found = { inputs: declared(ort, handle, "Input"), outputs: declared(ort, handle, "Output") }
    compareSignature(signature, found, (datatype) => ortElementType[datatype])
    settings.verify?.(handle)
  } catch (error) {
    if (handle !== undefined) f.ReleaseSession(handle)
    throw loadFailureOf(error)
  } finally {
    giveBack()
    f.ReleaseSessionOptions(options)
  }
  const session = handle
  const inputNames = cNames(signature.inputs.map((spec) => spec.name))
  const outputNames = cNames(signature.outputs.map((spec) => spec.name))
  const argumentsOf = (values: BoundValues, runOptions: bigint | null) => [
    session, runOptions, inputNames.address, values.inputs, signature.inputs.length, outputNames.address, signature.outputs.length, values.outputs
  ]
  const problemOf = (status: bigint | null): string | undefined => {
    try {
      check(status)
      return undefined
    } catch (error) {
      return textOf(error)
    }
  }
  let first = settings.thread
  return {
    handle: session,
    run: (values, runOptions) => problemOf(f.Run(...argumentsOf(values, runOptions)) as bigint | null),
    runAsync: (values, runOptions, done) => {
      if (first !== undefined) {
        first.run(argumentsOf(values, runOptions)).then(() => {
          first = undefined
          done(undefined)
        }, (error: unknown) => done(textOf(error)))
        return
      }
      f.Run.async(...argumentsOf(values, runOptions), (error: unknown, status: bigint | null) =>
        done(error === null || error === undefined ? problemOf(status) : textOf(error)))
    },
    release: () => f.ReleaseSession(session)
  }
}
