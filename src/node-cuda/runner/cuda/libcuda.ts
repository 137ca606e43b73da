/** `CudaDriver` on the driver's own library, libcuda.so.1, through koffi. */
import type { NativeFunction } from "../../internal/native.js"
import { loadKoffi } from "../../internal/native.js"
import type { CopyList, CudaDevice, CudaDriver, GreenContext, Mover, SmGroups } from "./CudaDriver.js"
import { CudaError, getU64 } from "./CudaDriver.js"
import { blocksOfPiece, mostPieces, moveKernel, moveKernelName, threadsOfBlock } from "./moveKernel.js"
import { checkMover } from "./checkMover.js"

/** The functions, as of CUDA 12.8 and later. Pointers and handles travel as 64-bit numbers, except where the driver writes through them. */
const signatures = {
  cuInit: "int cuInit(unsigned int flags)",
  cuDriverGetVersion: "int cuDriverGetVersion(void *version)",
  cuGetErrorName: "int cuGetErrorName(int error, _Out_ const char **name)",
  cuDeviceGet: "int cuDeviceGet(void *device, int ordinal)",
  cuDeviceGetName: "int cuDeviceGetName(void *name, int length, int device)",
  cuDeviceGetAttribute: "int cuDeviceGetAttribute(void *value, int attribute, int device)",
  cuDeviceTotalMem: "int cuDeviceTotalMem_v2(void *bytes, int device)",
  cuDevicePrimaryCtxRetain: "int cuDevicePrimaryCtxRetain(void *context, int device)",
  cuCtxSetCurrent: "int cuCtxSetCurrent(uint64_t context)",
  cuCtxGetStreamPriorityRange: "int cuCtxGetStreamPriorityRange(void *least, void *greatest)",
  cuMemGetInfo: "int cuMemGetInfo_v2(void *free, void *total)",
  cuMemHostRegister: "int cuMemHostRegister_v2(uint64_t address, uint64_t bytes, unsigned int flags)",
  cuMemHostUnregister: "int cuMemHostUnregister(uint64_t address)",
  cuMemHostAlloc: "int cuMemHostAlloc(void *address, uint64_t bytes, unsigned int flags)",
  cuMemFreeHost: "int cuMemFreeHost(uint64_t address)",
  cuMemAlloc: "int cuMemAlloc_v2(void *pointer, uint64_t bytes)",
  cuMemFree: "int cuMemFree_v2(uint64_t pointer)",
  cuMemsetD8: "int cuMemsetD8_v2(uint64_t pointer, uint8_t value, uint64_t bytes)",
  cuPointerGetAttribute: "int cuPointerGetAttribute(void *value, int attribute, uint64_t pointer)",
  cuDeviceGetDevResource: "int cuDeviceGetDevResource(int device, void *resource, int type)",
  cuDevSmResourceSplitByCount:
    "int cuDevSmResourceSplitByCount(void *result, void *groups, void *input, void *remainder, unsigned int flags, unsigned int least)",
  cuDevResourceGenerateDesc: "int cuDevResourceGenerateDesc(void *description, void *resources, unsigned int count)",
  cuGreenCtxCreate: "int cuGreenCtxCreate(void *context, uint64_t description, int device, unsigned int flags)",
  cuGreenCtxDestroy: "int cuGreenCtxDestroy(uint64_t context)",
  cuGreenCtxGetDevResource: "int cuGreenCtxGetDevResource(uint64_t context, void *resource, int type)",
  cuGreenCtxStreamCreate: "int cuGreenCtxStreamCreate(void *stream, uint64_t context, unsigned int flags, int priority)",
  cuStreamCreateWithPriority: "int cuStreamCreateWithPriority(void *stream, unsigned int flags, int priority)",
  cuStreamSynchronize: "int cuStreamSynchronize(uint64_t stream)",
  cuStreamDestroy: "int cuStreamDestroy_v2(uint64_t stream)",
  cuEventCreate: "int cuEventCreate(void *event, unsigned int flags)",
  cuEventDestroy: "int cuEventDestroy_v2(uint64_t event)",
  cuEventRecord: "int cuEventRecord(uint64_t event, uint64_t stream)",
  cuEventQuery: "int cuEventQuery(uint64_t event)",
  cuStreamWaitEvent: "int cuStreamWaitEvent(uint64_t stream, uint64_t event, unsigned int flags)",
  cuMemcpyHtoDAsync: "int cuMemcpyHtoDAsync_v2(uint64_t to, uint64_t from, uint64_t bytes, uint64_t stream)",
  cuMemcpyDtoHAsync: "int cuMemcpyDtoHAsync_v2(uint64_t to, uint64_t from, uint64_t bytes, uint64_t stream)",
  cuModuleLoadData: "int cuModuleLoadData(void *module, const char *image)",
  cuModuleGetFunction: "int cuModuleGetFunction(void *made, uint64_t module, const char *name)",
  cuLaunchKernel:
    "int cuLaunchKernel(uint64_t kernel, uint32_t x, uint32_t y, uint32_t z, uint32_t tx, uint32_t ty, uint32_t tz, uint32_t shared, uint64_t stream, void *parameters, void *extra)",
  cuStreamBeginCapture: "int cuStreamBeginCapture_v2(uint64_t stream, int mode)",
  cuStreamEndCapture: "int cuStreamEndCapture(uint64_t stream, void *graph)",
  cuGraphGetNodes: "int cuGraphGetNodes(uint64_t graph, void *nodes, void *count)",
  cuGraphNodeGetType: "int cuGraphNodeGetType(uint64_t node, void *type)",
  cuGraphMemcpyNodeGetParams: "int cuGraphMemcpyNodeGetParams(uint64_t node, void *params)",
  cuGraphMemcpyNodeSetParams: "int cuGraphMemcpyNodeSetParams(uint64_t node, void *params)",
  cuGraphInstantiate: "int cuGraphInstantiateWithFlags(void *executable, uint64_t graph, uint64_t flags)",
  cuGraphLaunch: "int cuGraphLaunch(uint64_t executable, uint64_t stream)",
  cuGraphDestroy: "int cuGraphDestroy(uint64_t graph)",
  cuGraphExecDestroy: "int cuGraphExecDestroy(uint64_t executable)"
} as const

/** Absent from older drivers: without them graphs run to their end. */
const preemptionSignatures = {
  cuMemHostGetDevicePointer: "int cuMemHostGetDevicePointer_v2(void *pointer, uint64_t address, unsigned int flags)",
  cuStreamWaitValue32: "int cuStreamWaitValue32_v2(uint64_t stream, uint64_t address, uint32_t value, unsigned int flags)"
} as const

/** Absent from older drivers: without it every piece is a call. */
const batchSignature =
  "int cuMemcpyBatchAsync(void *to, void *from, void *bytes, uint64_t count, void *attributes, void *indices, uint64_t kinds, void *failed, uint64_t stream)"

type Functions = Readonly<Record<keyof typeof signatures, NativeFunction>>

const success = 0
const notReady = 600
const attribute = { multiprocessorCount: 16 } as const
const nonBlocking = 1
const withoutTiming = 2
const relaxed = 2
/** Other than the driver's own allocations may be copied from by it: mapped memory of all contexts. */
const portable = 1
/** The GPU may read it where it is. */
const mapped = 2
const isAtLeast = 0
const smResource = 1
/** sizeof(CUdevResource) and where `sm.smCount` stands in it. */
const resource = { bytes: 144, smCountAt: 96 } as const
const splitForClusters = 2
const mostGroups = 64
const defaultStream = 1

const nodeType = { kernel: 0, memcpy: 1, memset: 2, host: 3, child: 4, empty: 5, alloc: 10, free: 11, memoryOperation: 12 } as const
/** Nodes that do the same each time they run. */
const repeatable = new Set<number>([
  nodeType.kernel, nodeType.memcpy, nodeType.memset, nodeType.empty, nodeType.alloc, nodeType.free,
  nodeType.memoryOperation
])
/** sizeof(CUDA_MEMCPY3D), where each side's memory type stands in it, and from there its pointers; where the width and height of it stand. */
const memcpy3d = { bytes: 200, source: 32, target: 120, hostAt: 8, deviceAt: 16, widthAt: 176, heightAt: 184 } as const
const memoryType = { host: 1, device: 2, unified: 4 } as const
const pointerMemoryType = 2

/** Threads that Node's pool has where nothing is said. */
const usualPool = 4
/** Calls for each thread of the pool that all of them take one. */
const callsOfThread = 4

/**
 * Makes the context current on the threads of Node's pool, which make the calls that this one does not wait for: without it the driver finds no memory
 * by its address (`cuMemcpyBatchAsync` says that a value is invalid). Nobody says which thread takes a call, so there are more calls than threads; one that is
 * busy meanwhile may still take none.
 */
const adoptPool = (setCurrent: NativeFunction, context: number): void => {
  const threads = Number(process.env["UV_THREADPOOL_SIZE"]) || usualPool
  for (let i = 0; i < callsOfThread * threads; i++) setCurrent.async(context, () => undefined)
}

/** Opens the driver for device 0 of those that the process sees, and makes its primary context current. Throws where there is none. */
export const openLibcuda = (): CudaDriver => {
  const koffi = loadKoffi()
  const library = koffi.load("libcuda.so.1")
  const f = Object.fromEntries(Object.entries(signatures).map(([name, signature]) => [name, library.func(signature)])) as Functions
  let copyBatch: NativeFunction | undefined
  try {
    copyBatch = library.func(batchSignature)
  } catch {
    copyBatch = undefined
  }

  const errorOf = (call: string, code: number): CudaError => {
    const name: [string | null] = [null]
    f.cuGetErrorName(code, name)
    return new CudaError(call, code, name[0] ?? "an unknown error")
  }
  const fail = (call: string, code: number): never => {
    throw errorOf(call, code)
  }
  const check = (call: keyof Functions, code: number): void => {
    if (code !== success) fail(call, code)
  }
  const words = new BigUint64Array(2)
  /** Calls a function that writes a handle or number of 64 bits through its first argument. */
  const make = (call: keyof Functions, ...args: ReadonlyArray<unknown>): number => {
    words[0] = 0n
    check(call, f[call](words, ...args) as number)
    return Number(words[0])
  }
  const ints = new Int32Array(2)
  const int = (call: keyof Functions, ...args: ReadonlyArray<unknown>): number => {
    check(call, f[call](ints, ...args) as number)
    return ints[0]!
  }

  check("cuInit", f.cuInit(0) as number)
  const ordinal = int("cuDeviceGet", 0)
  const context = make("cuDevicePrimaryCtxRetain", ordinal)
  check("cuCtxSetCurrent", f.cuCtxSetCurrent(context) as number)
  adoptPool(f.cuCtxSetCurrent, context)

  const describe = (): CudaDevice => {
    const name = Buffer.alloc(256)
    check("cuDeviceGetName", f.cuDeviceGetName(name, name.length, ordinal) as number)
    check("cuCtxGetStreamPriorityRange", f.cuCtxGetStreamPriorityRange(ints.subarray(0, 1), ints.subarray(1, 2)) as number)
    const [lowest, highest] = [ints[0]!, ints[1]!]
    return {
      name: name.toString("utf8", 0, name.indexOf(0)),
      units: int("cuDeviceGetAttribute", attribute.multiprocessorCount, ordinal),
      memoryBytes: make("cuDeviceTotalMem", ordinal),
      driverVersion: int("cuDriverGetVersion"),
      priorities: { highest, lowest }
    }
  }

  const smCount = (resources: Uint8Array, i: number): number =>
    new DataView(resources.buffer, resources.byteOffset).getUint32(i * resource.bytes + resource.smCountAt, true)

  const splitSms = (least: number, forClusters: boolean): SmGroups => {
    const whole = new Uint8Array(resource.bytes)
    check("cuDeviceGetDevResource", f.cuDeviceGetDevResource(ordinal, whole, smResource) as number)
    const resources = new Uint8Array((mostGroups + 1) * resource.bytes)
    const remainder = new Uint8Array(resource.bytes)
    ints[0] = mostGroups
    const code = f.cuDevSmResourceSplitByCount(resources, ints, whole, remainder, forClusters ? splitForClusters : 0, least) as number
    check("cuDevSmResourceSplitByCount", code)
    const count = ints[0]!
    resources.set(remainder, count * resource.bytes)
    const units = Array.from({ length: count }, (_, i) => smCount(resources, i))
    const left = smCount(remainder, 0)
    return { units: left === 0 ? units : [...units, left], resources }
  }

  const createGreen = (groups: SmGroups, indices: ReadonlyArray<number>): GreenContext => {
    const chosen = new Uint8Array(indices.length * resource.bytes)
    indices.forEach((index, i) => chosen.set(groups.resources.subarray(index * resource.bytes, (index + 1) * resource.bytes), i * resource.bytes))
    const description = make("cuDevResourceGenerateDesc", chosen, indices.length)
    const handle = make("cuGreenCtxCreate", description, ordinal, defaultStream)
    const given = new Uint8Array(resource.bytes)
    check("cuGreenCtxGetDevResource", f.cuGreenCtxGetDevResource(handle, given, smResource) as number)
    return { handle, units: smCount(given, 0) }
  }

  /** CUmemcpyAttributes: source access in stream order, no hints of places, copies beside kernels preferred. */
  const attributes = new Uint32Array([1, 0, 0, 0, 0, 1])
  const firstOnly = new BigUint64Array(1)
  const failedAt = new BigUint64Array(1)
  const copyAll = (list: CopyList, to: Uint32Array, from: Uint32Array, one: NativeFunction, name: keyof Functions, stream: number): void => {
    const { bytes, count } = list
    if (copyBatch !== undefined && count > 1) {
      const code = copyBatch(to, from, bytes, count, attributes, firstOnly, 1, failedAt, stream) as number
      return code === success ? undefined : fail("cuMemcpyBatchAsync", code)
    }
    for (let i = 0; i < count; i++) {
      const at = 2 * i
      check(name, one(
        to[at]! + 2 ** 32 * to[at + 1]!, from[at]! + 2 ** 32 * from[at + 1]!, bytes[at]! + 2 ** 32 * bytes[at + 1]!, stream
      ) as number)
    }
  }

  const loadMover = (): Mover => {
    const kernel = make("cuModuleGetFunction", make("cuModuleLoadData", moveKernel), moveKernelName)
    const parameters = new Uint32Array(6 * mostPieces)
    // Where the one parameter stands. The driver reads both at each launch: they live as long as `move` does.
    const addresses = BigUint64Array.of(koffi.address(parameters.buffer))
    const move = ({ bytes, count }: CopyList, from: Uint32Array, to: Uint32Array, stream: number): void => {
      for (let first = 0; first < count; first += mostPieces) {
        const pieces = Math.min(mostPieces, count - first)
        parameters.set(from.subarray(2 * first, 2 * (first + pieces)), 0)
        parameters.set(to.subarray(2 * first, 2 * (first + pieces)), 2 * mostPieces)
        parameters.set(bytes.subarray(2 * first, 2 * (first + pieces)), 4 * mostPieces)
        let longest = 0
        for (let i = first; i < first + pieces; i++) longest = Math.max(longest, getU64(bytes, i))
        check("cuLaunchKernel", f.cuLaunchKernel(kernel, blocksOfPiece(longest), pieces, 1, threadsOfBlock, 1, 1, 0, stream, addresses, null) as number)
      }
    }
    return {
      moveIn: (list, stream) => move(list, list.host, list.device, stream),
      moveOut: (list, stream) => move(list, list.device, list.host, stream)
    }
  }

  const nodesOf = (graph: number): ReadonlyArray<{ readonly node: bigint; readonly type: number }> => {
    check("cuGraphGetNodes", f.cuGraphGetNodes(graph, null, words) as number)
    const nodes = new BigUint64Array(Number(words[0]))
    if (nodes.length > 0) check("cuGraphGetNodes", f.cuGraphGetNodes(graph, nodes, words) as number)
    return Array.from(nodes, (node) => ({ node, type: int2("cuGraphNodeGetType", node) }))
  }
  /** Copies of a graph, with their parameters. */
  const copiesOf = (graph: number): ReadonlyArray<{ readonly node: bigint; readonly params: DataView }> =>
    nodesOf(graph).flatMap(({ node, type }) => {
      if (type !== nodeType.memcpy) return []
      const params = new DataView(new ArrayBuffer(memcpy3d.bytes))
      check("cuGraphMemcpyNodeGetParams", f.cuGraphMemcpyNodeGetParams(node, new Uint8Array(params.buffer)) as number)
      return [{ node, params }]
    })
  /** The address, where a side of a copy is the host's memory. */
  const hostAddress = (params: DataView, side: number): bigint | undefined => {
    const type = params.getInt32(side, true)
    if (type === memoryType.host) return params.getBigUint64(side + memcpy3d.hostAt, true)
    if (type !== memoryType.unified) return undefined
    const address = params.getBigUint64(side + memcpy3d.deviceAt, true)
    // Not known to the driver: memory of the host that is not page-locked.
    const isHost = f.cuPointerGetAttribute(ints, pointerMemoryType, address) !== success || ints[0] === memoryType.host
    return isHost ? address : undefined
  }
  const graphProblem = (graph: number): string | undefined => {
    const nodes = nodesOf(graph)
    if (nodes.length === 0) return "it is empty"
    const other = nodes.find(({ type }) => !repeatable.has(type))
    if (other !== undefined) return other.type === nodeType.host ? "it calls back into the host" : `it has a node of type ${other.type}`
    for (const { params } of copiesOf(graph)) {
      if (hostAddress(params, memcpy3d.target) !== undefined) return "it copies to memory of the host"
      const rows = params.getBigUint64(memcpy3d.heightAt, true) * params.getBigUint64(memcpy3d.heightAt + 8, true)
      if (rows !== 1n && hostAddress(params, memcpy3d.source) !== undefined) return "it copies rows from memory of the host"
    }
    return undefined
  }
  const keepHostSources = (graph: number): ReadonlyArray<number> => {
    const kept: Array<number> = []
    try {
      for (const { node, params } of copiesOf(graph)) {
        const source = hostAddress(params, memcpy3d.source)
        if (source === undefined) continue
        const skipped = Number(params.getBigUint64(0, true))
        const bytes = skipped + Number(params.getBigUint64(memcpy3d.widthAt, true))
        const copy = make("cuMemHostAlloc", bytes, portable)
        kept.push(copy)
        new Uint8Array(koffi.view(BigInt(copy), bytes)).set(new Uint8Array(koffi.view(source, bytes)))
        params.setInt32(memcpy3d.source, memoryType.host, true)
        params.setBigUint64(memcpy3d.source + memcpy3d.hostAt, BigInt(copy), true)
        check("cuGraphMemcpyNodeSetParams", f.cuGraphMemcpyNodeSetParams(node, new Uint8Array(params.buffer)) as number)
      }
      return kept
    } catch (error) {
      for (const copy of kept) f.cuMemFreeHost(copy)
      throw error
    }
  }
  /** As `int`, where the result comes as the second argument. */
  const int2 = (call: keyof Functions, argument: bigint): number => {
    check(call, f[call](argument, ints) as number)
    return ints[0]!
  }

  let loaded: Readonly<Record<keyof typeof preemptionSignatures, NativeFunction>> | undefined
  const preemption = () =>
    loaded ??= Object.fromEntries(
      Object.entries(preemptionSignatures).map(([name, signature]) => [name, library.func(signature)])
    ) as Readonly<Record<keyof typeof preemptionSignatures, NativeFunction>>
  const driver: CudaDriver = {
    device: describe(),
    freeBytes: () => {
      check("cuMemGetInfo", f.cuMemGetInfo(words.subarray(0, 1), words.subarray(1, 2)) as number)
      return Number(words[0])
    },
    lockHost: (address, bytes) => check("cuMemHostRegister", f.cuMemHostRegister(address, bytes, portable | mapped) as number),
    deviceAddress: (address) => {
      words[0] = 0n
      const code = preemption().cuMemHostGetDevicePointer(words, address, 0) as number
      return code === success ? Number(words[0]) : fail("cuMemHostGetDevicePointer", code)
    },
    unlockHost: (address) => check("cuMemHostUnregister", f.cuMemHostUnregister(address) as number),
    allocateHost: (bytes) => {
      const address = make("cuMemHostAlloc", bytes, portable)
      return { address, memory: new Uint8Array(koffi.view(BigInt(address), bytes)) }
    },
    freeHost: (address) => check("cuMemFreeHost", f.cuMemFreeHost(address) as number),
    allocate: (bytes) => {
      const pointer = make("cuMemAlloc", bytes)
      check("cuMemsetD8", f.cuMemsetD8(pointer, 0, bytes) as number)
      // Our streams do not wait for the one that this is put on.
      check("cuStreamSynchronize", f.cuStreamSynchronize(0) as number)
      return pointer
    },
    free: (pointer) => check("cuMemFree", f.cuMemFree(pointer) as number),
    splitSms,
    createGreen,
    destroyGreen: ({ handle }) => check("cuGreenCtxDestroy", f.cuGreenCtxDestroy(handle) as number),
    createStream: (priority, green) =>
      green === undefined
        ? make("cuStreamCreateWithPriority", nonBlocking, priority)
        : make("cuGreenCtxStreamCreate", green.handle, nonBlocking, priority),
    destroyStream: (stream) => check("cuStreamDestroy", f.cuStreamDestroy(stream) as number),
    createEvent: () => make("cuEventCreate", withoutTiming),
    destroyEvent: (event) => check("cuEventDestroy", f.cuEventDestroy(event) as number),
    record: (event, stream) => check("cuEventRecord", f.cuEventRecord(event, stream) as number),
    wait: (stream, event) => check("cuStreamWaitEvent", f.cuStreamWaitEvent(stream, event, 0) as number),
    isDone: (event) => {
      const code = f.cuEventQuery(event) as number
      if (code === success) return true
      if (code !== notReady) fail("cuEventQuery", code)
      return false
    },
    copyIn: (to, from, bytes, stream) => check("cuMemcpyHtoDAsync", f.cuMemcpyHtoDAsync(to, from, bytes, stream) as number),
    copyOut: (to, from, bytes, stream) => check("cuMemcpyDtoHAsync", f.cuMemcpyDtoHAsync(to, from, bytes, stream) as number),
    copyAllIn: (list, stream) => copyAll(list, list.device, list.host, f.cuMemcpyHtoDAsync, "cuMemcpyHtoDAsync", stream),
    copyAllInAsync: (list, stream, done) => {
      if (copyBatch === undefined || list.count < 2) {
        driver.copyAllIn(list, stream)
        return done(undefined)
      }
      copyBatch.async(list.device, list.host, list.bytes, list.count, attributes, firstOnly, 1, failedAt, stream, (error: unknown, code: number) => {
        if (code !== success) adoptPool(f.cuCtxSetCurrent, context)
        done(error === null || error === undefined ? code === success ? undefined : errorOf("cuMemcpyBatchAsync", code) : new CudaError("cuMemcpyBatchAsync", 1, String(error)))
      })
    },
    copyAllOut: (list, stream) => copyAll(list, list.host, list.device, f.cuMemcpyDtoHAsync, "cuMemcpyDtoHAsync", stream),
    openMover: () => {
      const mover = loadMover()
      checkMover(driver, mover)
      return mover
    },
    beginCapture: (stream) => check("cuStreamBeginCapture", f.cuStreamBeginCapture(stream, relaxed) as number),
    endCapture: (stream) => {
      words[0] = 0n
      const code = f.cuStreamEndCapture(stream, words) as number
      check("cuStreamEndCapture", code)
      if (words[0] === 0n) throw new CudaError("cuStreamEndCapture", 901, "no graph")
      return Number(words[0])
    },
    graphProblem,
    keepHostSources,
    waitUntil: (stream, { least, word }) => {
      const code = preemption().cuStreamWaitValue32(stream, word, least >>> 0, isAtLeast) as number
      if (code !== success) fail("cuStreamWaitValue32", code)
    },
    waitsOf: (graph) => nodesOf(graph).filter(({ type }) => type === nodeType.memoryOperation).length,
    instantiate: (graph) => make("cuGraphInstantiate", graph, 0),
    launch: (executable, stream) => check("cuGraphLaunch", f.cuGraphLaunch(executable, stream) as number),
    launchAsync: (executable, stream, done) => {
      f.cuGraphLaunch.async(executable, stream, (error: unknown, code: number) => {
        done(error === null || error === undefined ? code === success ? undefined : errorOf("cuGraphLaunch", code) : new CudaError("cuGraphLaunch", 1, String(error)))
      })
    },
    destroyGraph: (graph) => check("cuGraphDestroy", f.cuGraphDestroy(graph) as number),
    destroyExecutable: (executable) => check("cuGraphExecDestroy", f.cuGraphExecDestroy(executable) as number)
  }
  return driver
}
