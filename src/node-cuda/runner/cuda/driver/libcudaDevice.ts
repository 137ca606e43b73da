/** The first device of those that the process sees, and its primary context, which all calls go to. */
import type { CudaDevice } from "./CudaDriver.js"
import type { LibcudaCalls } from "./libcudaCalls.js"

const attribute = { multiprocessorCount: 16 } as const

/** Threads that Node's pool has where nothing is said. */
const usualPool = 4
/** Calls for each thread of the pool that all of them take one. */
const callsOfThread = 4

export interface OpenedDevice {
  readonly device: CudaDevice
  /** What the driver knows it by. */
  readonly ordinal: number
  /**
   * Makes the context current on the threads of Node's pool, which make the calls that this one does not wait for: without it the driver finds no memory
   * by its address (`cuMemcpyBatchAsync` says that a value is invalid). Nobody says which thread takes a call, so there are more calls than threads; one that is
   * busy meanwhile may still take none.
   */
  readonly adoptPool: () => void
}

/** Makes the context current on this thread and the pool's. */
export const openDevice = ({ check, functions, int, ints, make }: LibcudaCalls): OpenedDevice => {
  check("cuInit", functions.cuInit(0) as number)
  const ordinal = int("cuDeviceGet", 0)
  const context = make("cuDevicePrimaryCtxRetain", ordinal)
  check("cuCtxSetCurrent", functions.cuCtxSetCurrent(context) as number)
  const adoptPool = (): void => {
    const threads = Number(process.env["UV_THREADPOOL_SIZE"]) || usualPool
    for (let i = 0; i < callsOfThread * threads; i++) functions.cuCtxSetCurrent.async(context, () => undefined)
  }
  adoptPool()

  const name = Buffer.alloc(256)
  check("cuDeviceGetName", functions.cuDeviceGetName(name, name.length, ordinal) as number)
  check("cuCtxGetStreamPriorityRange", functions.cuCtxGetStreamPriorityRange(ints.subarray(0, 1), ints.subarray(1, 2)) as number)
  const [lowest, highest] = [ints[0]!, ints[1]!]
  const device: CudaDevice = {
    name: name.toString("utf8", 0, name.indexOf(0)),
    units: int("cuDeviceGetAttribute", attribute.multiprocessorCount, ordinal),
    memoryBytes: make("cuDeviceTotalMem", ordinal),
    driverVersion: int("cuDriverGetVersion"),
    priorities: { highest, lowest }
  }
  return { adoptPool, device, ordinal }
}
