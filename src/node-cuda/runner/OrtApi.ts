/**
 * ONNX Runtime's C API through koffi. The library is the one that onnxruntime-node carries, loaded from the same path.
 *
 * `struct OrtApi` is a table of function pointers that only ever grows at its end: an index is for good.
 */
import * as fs from "node:fs"
import { createRequire } from "node:module"
import * as path from "node:path"
import type { NativeFunction } from "../internal/native.js"
import { loadKoffi } from "../internal/native.js"

/** Version of the table that is asked for; older libraries refuse it. */
const apiVersion = 24

/** Index and signature of what is used, from onnxruntime_c_api.h of version 24. Every handle is a `void *`; most return an OrtStatus. */
const table = {
  GetErrorMessage: [2, "const char *GetErrorMessage(void *status)"],
  CreateEnv: [3, "void *CreateEnv(int log_level, const char *log_id, _Out_ void **out)"],
  CreateSession: [7, "void *CreateSession(void *env, const char *path, void *options, _Out_ void **out)"],
  Run: [9, "void *Run(void *session, void *run_options, void *input_names, void *inputs, size_t n, void *output_names, size_t m, void *outputs)"],
  CreateSessionOptions: [10, "void *CreateSessionOptions(_Out_ void **out)"],
  SetIntraOpNumThreads: [24, "void *SetIntraOpNumThreads(void *options, int threads)"],
  SetInterOpNumThreads: [25, "void *SetInterOpNumThreads(void *options, int threads)"],
  SessionGetInputCount: [30, "void *SessionGetInputCount(void *session, _Out_ size_t *out)"],
  SessionGetOutputCount: [31, "void *SessionGetOutputCount(void *session, _Out_ size_t *out)"],
  SessionGetInputTypeInfo: [33, "void *SessionGetInputTypeInfo(void *session, size_t index, _Out_ void **out)"],
  SessionGetOutputTypeInfo: [34, "void *SessionGetOutputTypeInfo(void *session, size_t index, _Out_ void **out)"],
  SessionGetInputName: [36, "void *SessionGetInputName(void *session, size_t index, void *allocator, _Out_ void **out)"],
  SessionGetOutputName: [37, "void *SessionGetOutputName(void *session, size_t index, void *allocator, _Out_ void **out)"],
  CreateRunOptions: [39, "void *CreateRunOptions(_Out_ void **out)"],
  CreateTensorWithDataAsOrtValue: [
    49,
    "void *CreateTensorWithDataAsOrtValue(void *info, void *data, size_t bytes, void *shape, size_t rank, int type, _Out_ void **out)"
  ],
  GetTensorMutableData: [51, "void *GetTensorMutableData(void *value, _Out_ void **out)"],
  CastTypeInfoToTensorInfo: [55, "void *CastTypeInfoToTensorInfo(void *info, _Out_ void **out)"],
  GetTensorElementType: [60, "void *GetTensorElementType(void *info, _Out_ int *out)"],
  GetDimensionsCount: [61, "void *GetDimensionsCount(void *info, _Out_ size_t *out)"],
  GetDimensions: [62, "void *GetDimensions(void *info, void *dims, size_t rank)"],
  GetTensorTypeAndShape: [65, "void *GetTensorTypeAndShape(void *value, _Out_ void **out)"],
  CreateMemoryInfo: [68, "void *CreateMemoryInfo(const char *name, int allocator_type, int device, int memory_type, _Out_ void **out)"],
  CreateCpuMemoryInfo: [69, "void *CreateCpuMemoryInfo(int allocator_type, int memory_type, _Out_ void **out)"],
  AllocatorFree: [76, "void *AllocatorFree(void *allocator, void *memory)"],
  GetAllocatorWithDefaultOptions: [78, "void *GetAllocatorWithDefaultOptions(_Out_ void **out)"],
  ReleaseStatus: [93, "void ReleaseStatus(void *status)"],
  ReleaseMemoryInfo: [94, "void ReleaseMemoryInfo(void *info)"],
  ReleaseSession: [95, "void ReleaseSession(void *session)"],
  ReleaseValue: [96, "void ReleaseValue(void *value)"],
  ReleaseRunOptions: [97, "void ReleaseRunOptions(void *options)"],
  ReleaseTypeInfo: [98, "void ReleaseTypeInfo(void *info)"],
  ReleaseTensorTypeAndShapeInfo: [99, "void ReleaseTensorTypeAndShapeInfo(void *info)"],
  ReleaseSessionOptions: [100, "void ReleaseSessionOptions(void *options)"],
  AddSessionConfigEntry: [130, "void *AddSessionConfigEntry(void *options, const char *key, const char *value)"],
  AddRunConfigEntry: [165, "void *AddRunConfigEntry(void *options, const char *key, const char *value)"],
  SessionOptionsAppendExecutionProvider_CUDA_V2: [204, "void *SessionOptionsAppendExecutionProvider_CUDA_V2(void *options, void *cuda)"],
  CreateCUDAProviderOptions: [205, "void *CreateCUDAProviderOptions(_Out_ void **out)"],
  UpdateCUDAProviderOptions: [206, "void *UpdateCUDAProviderOptions(void *cuda, void *keys, void *values, size_t n)"],
  ReleaseCUDAProviderOptions: [208, "void ReleaseCUDAProviderOptions(void *cuda)"],
  AddExternalInitializersFromFilesInMemory: [
    279, "void *AddExternalInitializersFromFilesInMemory(void *options, void *names, void *buffers, void *sizes, size_t n)"
  ],
  Session_GetEpGraphAssignmentInfo: [407, "void *Session_GetEpGraphAssignmentInfo(void *session, _Out_ void **subgraphs, void *count)"],
  EpAssignedSubgraph_GetEpName: [408, "void *EpAssignedSubgraph_GetEpName(void *subgraph, _Out_ const char **name)"],
  EpAssignedSubgraph_GetNodes: [409, "void *EpAssignedSubgraph_GetNodes(void *subgraph, _Out_ void **nodes, void *count)"],
  EpAssignedNode_GetOperatorType: [412, "void *EpAssignedNode_GetOperatorType(void *node, _Out_ const char **type)"]
} as const satisfies Record<string, readonly [number, string]>

type OrtFunctions = Readonly<Record<keyof typeof table, NativeFunction>>

/** ONNXTensorElementDataType by our names. */
export const ortElementType = {
  FP32: 1, UINT8: 2, INT8: 3, UINT16: 4, INT16: 5, INT32: 6, INT64: 7, BYTES: 8, BOOL: 9, FP16: 10, FP64: 11, UINT32: 12, UINT64: 13, BF16: 16
} as const

/** The library of the installed onnxruntime-node for this platform. */
const ortLibraryPath = (): string => {
  const entry = createRequire(import.meta.url).resolve("onnxruntime-node")
  const bin = path.join(path.dirname(entry), "..", "bin")
  for (const napi of fs.readdirSync(bin)) {
    const folder = path.join(bin, napi, process.platform, process.arch)
    if (!fs.existsSync(folder)) continue
    const library = fs.readdirSync(folder).find((file) => /^(libonnxruntime(\.\d[\d.]*)?\.(so|dylib)(\.\d+)?|onnxruntime\.dll)$/.test(file))
    if (library !== undefined) return path.join(folder, library)
  }
  throw new Error(`onnxruntime-node has no library for ${process.platform}-${process.arch} in ${bin}`)
}

/** The API, with one environment. */
export interface Ort {
  /** koffi unloads a library whose handle is collected, and functions decoded from its table do not hold the handle. */
  readonly library: unknown
  readonly functions: OrtFunctions
  readonly env: bigint
  /** OrtMemoryInfo of the CPU's memory. */
  readonly cpuMemory: bigint
  /** The default allocator, which names are freed with. */
  readonly allocator: bigint
  /** Throws what a status says, and frees it. */
  readonly check: (status: bigint | null) => void
  /** Calls a function whose last argument is the handle or number it makes. */
  readonly make: <A = bigint>(fn: NativeFunction, ...args: ReadonlyArray<unknown>) => A
  /** The same on another thread. */
  readonly makeAsync: (fn: NativeFunction, ...args: ReadonlyArray<unknown>) => Promise<bigint>
}

let loaded: Ort | undefined

/** The library, loaded once. Throws where koffi or the library does not load. */
export const loadOrt = (): Ort => loaded ??= load()

const load = (): Ort => {
  const koffi = loadKoffi()
  const library = koffi.load(ortLibraryPath())
  const base: unknown = library.func("void *OrtGetApiBase()")()
  const [getApi] = koffi.decode(base, koffi.array("void *", 2)) as ReadonlyArray<unknown>
  const api: unknown = koffi.call(getApi, koffi.proto("void *OrtGetApi(uint32_t version)"), apiVersion)
  if (api === null) throw new Error(`the library has no API of version ${apiVersion}`)
  const indices = Object.values(table).map(([index]) => index)
  const pointers = koffi.decode(api, koffi.array("void *", Math.max(...indices) + 1)) as ReadonlyArray<unknown>
  const functions = Object.fromEntries(
    Object.entries(table).map(([name, [index, signature]]) => [name, koffi.decode(pointers[index], koffi.proto(signature)) as NativeFunction])
  ) as OrtFunctions

  const check = (status: bigint | null): void => {
    if (status === null) return
    const error = new Error(functions.GetErrorMessage(status) as string)
    functions.ReleaseStatus(status)
    throw error
  }
  const make = <A>(fn: NativeFunction, ...args: ReadonlyArray<unknown>): A => {
    const out: [unknown] = [null]
    check(fn(...args, out) as bigint | null)
    return out[0] as A
  }
  const makeAsync = (fn: NativeFunction, ...args: ReadonlyArray<unknown>): Promise<bigint> =>
    new Promise((resolve, reject) => {
      const out: [unknown] = [null]
      fn.async(...args, out, (error: unknown, status: bigint | null) => {
        try {
          if (error !== null && error !== undefined) throw error
          check(status)
          resolve(out[0] as bigint)
        } catch (thrown) {
          reject(thrown)
        }
      })
    })
  const errorsOnly = 3
  return {
    library,
    functions,
    env: make(functions.CreateEnv, errorsOnly, "glet-orion"),
    cpuMemory: make(functions.CreateCpuMemoryInfo, 0, 0),
    allocator: make(functions.GetAllocatorWithDefaultOptions),
    check,
    make,
    makeAsync
  }
}
