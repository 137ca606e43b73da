/** The functions of libcuda.so.1, through koffi, and what their results mean. */
import type { NativeFunction } from "../../../internal/native.js"
import { loadKoffi } from "../../../internal/native.js"
import { CudaError } from "./CudaDriver.js"
import { batchSignature, preemptionSignatures, signatures } from "./libcudaSignatures.js"

type FunctionName = keyof typeof signatures
type Functions = Readonly<Record<FunctionName, NativeFunction>>
type PreemptionFunctions = Readonly<Record<keyof typeof preemptionSignatures, NativeFunction>>

export const success = 0
const invalidValue = 1

export interface LibcudaCalls {
  readonly functions: Functions
  /** Finds them when they are first needed. Throws where the driver is too old. */
  readonly preemption: () => PreemptionFunctions
  /** Undefined where the driver is too old. */
  readonly copyBatch: NativeFunction | undefined
  readonly check: (call: FunctionName, code: number) => void
  readonly fail: (call: string, code: number) => never
  /** What a call on another thread ended with: `error` where it was not made. */
  readonly asyncProblem: (call: string, error: unknown, code: number) => CudaError | undefined
  /** Where the driver writes results. All calls share it: what it holds is to be read before the next one. */
  readonly words: BigUint64Array
  readonly ints: Int32Array
  /** Calls a function that writes a handle or number of 64 bits through its first argument. */
  readonly make: (call: FunctionName, ...args: ReadonlyArray<unknown>) => number
  /** The same of 32 bits. */
  readonly int: (call: FunctionName, ...args: ReadonlyArray<unknown>) => number
}

/** Throws where there is no libcuda, or one without what all drivers since CUDA 12.8 have. */
export const loadLibcuda = (): LibcudaCalls => {
  const library = loadKoffi().load("libcuda.so.1")
  const find = (all: Readonly<Record<string, string>>) =>
    Object.fromEntries(Object.entries(all).map(([name, signature]) => [name, library.func(signature)]))
  const functions = find(signatures) as Functions
  let copyBatch: NativeFunction | undefined
  try {
    copyBatch = library.func(batchSignature)
  } catch {
    copyBatch = undefined
  }
  let preemption: PreemptionFunctions | undefined

  const errorOf = (call: string, code: number): CudaError => {
    const name: [string | null] = [null]
    functions.cuGetErrorName(code, name)
    return new CudaError(call, code, name[0] ?? "an unknown error")
  }
  const fail = (call: string, code: number): never => {
    throw errorOf(call, code)
  }
  const check = (call: FunctionName, code: number): void => {
    if (code !== success) fail(call, code)
  }
  const words = new BigUint64Array(2)
  const ints = new Int32Array(2)
  return {
    functions,
    preemption: () => preemption ??= find(preemptionSignatures) as PreemptionFunctions,
    copyBatch,
    check,
    fail,
    asyncProblem: (call, error, code) => {
      if (error !== null && error !== undefined) return new CudaError(call, invalidValue, String(error))
      return code === success ? undefined : errorOf(call, code)
    },
    words,
    ints,
    make: (call, ...args) => {
      words[0] = 0n
      check(call, functions[call](words, ...args) as number)
      return Number(words[0])
    },
    int: (call, ...args) => {
      check(call, functions[call](ints, ...args) as number)
      return ints[0]!
    }
  }
}
