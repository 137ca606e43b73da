/** A device of the worker's own, with what WebGPU does not say of it: bytes in use, a limit of them, time in compute passes. */
import type { GpuAdapter, GpuBuffer, GpuDevice, GpuQuerySet } from "../internal/gpuTypes.js"

/** What onnxruntime-web uses where it is there. */
const wantedFeatures = ["shader-f16", "subgroups", "timestamp-query"]
const wantedLimits = [
  "maxComputeWorkgroupStorageSize", "maxComputeWorkgroupsPerDimension", "maxStorageBufferBindingSize", "maxBufferSize",
  "maxComputeInvocationsPerWorkgroup", "maxComputeWorkgroupSizeX", "maxComputeWorkgroupSizeY", "maxComputeWorkgroupSizeZ", "maxStorageBuffersPerShaderStage"
]
/** Passes that one run can be timed in; a device gives sets of 4096 stamps at most. */
const mostPasses = 2048
const bufferUsage = { mapRead: 1, copySource: 4, copyTarget: 8, queryResolve: 512 }

/** Time by the device's own clock. */
export interface DeviceClock {
  readonly begin: () => void
  /** Sum over the compute passes encoded since `begin`, ms; undefined where there were more than can be timed. */
  readonly end: () => Promise<number | undefined>
}

export interface HeldDevice {
  readonly device: GpuDevice
  /** In buffers that are not destroyed. */
  readonly usedBytes: () => number
  /** What the device or the limit refused since the last call; undefined where nothing was. */
  readonly takeOutOfMemory: () => string | undefined
  readonly clock: DeviceClock | undefined
}

/** Counts buffers; refuses those beyond the limit as a full device does. */
const countBuffers = (device: GpuDevice, limitBytes: number | undefined, refused: (why: string) => void): () => number => {
  let used = 0
  const create = device.createBuffer.bind(device)
  device.createBuffer = (descriptor) => {
    const { size } = descriptor
    if (limitBytes !== undefined && used + size > limitBytes) {
      refused(`a buffer of ${size} bytes beside ${used} in use is more than the glet's limit of ${limitBytes} bytes`)
      throw new RangeError("out of memory")
    }
    const buffer = create(descriptor)
    used += size
    const destroy = buffer.destroy.bind(buffer)
    let live = true
    buffer.destroy = () => {
      if (live) used -= size
      live = false
      destroy()
    }
    return buffer
  }
  return () => used
}

/** Stamps every compute pass that anybody encodes on the device. */
const makeClock = (device: GpuDevice): DeviceClock => {
  const querySet: GpuQuerySet = device.createQuerySet({ type: "timestamp", count: 2 * mostPasses })
  const bytes = 16 * mostPasses
  const resolved: GpuBuffer = device.createBuffer({ size: bytes, usage: bufferUsage.queryResolve | bufferUsage.copySource })
  const read: GpuBuffer = device.createBuffer({ size: bytes, usage: bufferUsage.mapRead | bufferUsage.copyTarget })
  const createEncoder = device.createCommandEncoder.bind(device)
  let passes = -1
  device.createCommandEncoder = (descriptor) => {
    const encoder = createEncoder(descriptor)
    const beginPass = encoder.beginComputePass.bind(encoder)
    encoder.beginComputePass = (pass) => {
      if (passes < 0 || passes++ >= mostPasses || pass?.timestampWrites !== undefined) return beginPass(pass)
      return beginPass({ ...pass, timestampWrites: { querySet, beginningOfPassWriteIndex: 2 * passes - 2, endOfPassWriteIndex: 2 * passes - 1 } })
    }
    return encoder
  }
  return {
    begin: () => passes = 0,
    end: async () => {
      const count = passes
      passes = -1
      if (count > mostPasses) return undefined
      if (count === 0) return 0
      const encoder = createEncoder()
      encoder.resolveQuerySet(querySet, 0, 2 * count, resolved, 0)
      encoder.copyBufferToBuffer(resolved, 0, read, 0, 16 * count)
      device.queue.submit([encoder.finish()])
      await read.mapAsync(1)
      const stamps = new BigUint64Array(read.getMappedRange().slice(0, 16 * count))
      read.unmap()
      let nanoseconds = 0
      for (let i = 0; i < stamps.length; i += 2) nanoseconds += Math.max(0, Number(stamps[i + 1]! - stamps[i]!))
      return nanoseconds / 1e6
    }
  }
}

/** Takes a device of the adapter. */
export const holdDevice = async (
  adapter: GpuAdapter,
  options: { readonly memoryLimitBytes: number | undefined; readonly deviceClock: boolean }
): Promise<HeldDevice> => {
  const requiredLimits: Record<string, number> = {}
  for (const name of wantedLimits) {
    const value = adapter.limits[name]
    if (value !== undefined) requiredLimits[name] = value
  }
  const device = await adapter.requestDevice({ requiredFeatures: wantedFeatures.filter((name) => adapter.features.has(name)), requiredLimits })
  let outOfMemory: string | undefined
  device.addEventListener?.("uncapturederror", ({ error }) => {
    if (/out.?of.?memory/i.test(`${error.constructor.name} ${error.message}`)) outOfMemory = error.message || "the device is out of memory"
  })
  const usedBytes = countBuffers(device, options.memoryLimitBytes, (why) => outOfMemory = why)
  return {
    device,
    usedBytes,
    takeOutOfMemory: () => {
      const taken = outOfMemory
      outOfMemory = undefined
      return taken
    },
    clock: options.deviceClock && adapter.features.has("timestamp-query") ? makeClock(device) : undefined
  }
}
