/**
 * WebGPU for Node from dawn's package `webgpu`: not a dependency, 130 MB; whoever wants it installs it.
 *
 * @since 0.1.0
 */
import { createRequire } from "node:module"
import { pathToFileURL } from "node:url"
import * as v8 from "node:v8"
import type { Gpu } from "./internal/gpuTypes.js"

/** The file of the package `webgpu`, looked for from a module or folder; undefined where it is not installed. @since 0.1.0 @category dawn */
export const findDawn = (from: string = import.meta.url): string | undefined => {
  try {
    return createRequire(from).resolve("webgpu")
  } catch {
    return undefined
  }
}

interface Dawn {
  readonly create: (options: ReadonlyArray<string>) => Gpu
  readonly globals: object
}

type WriteBuffer = (this: unknown, buffer: unknown, bufferOffset: number, data: ArrayBufferView | ArrayBufferLike, dataOffset?: number, size?: number) => void

/** Dawn takes no SharedArrayBuffer, and onnxruntime-web's memory is one: what is written goes through a copy. */
const copyShared = (write: WriteBuffer): WriteBuffer =>
  function(buffer, bufferOffset, data, dataOffset = 0, size) {
    const memory = ArrayBuffer.isView(data) ? data.buffer : data
    if (!(memory instanceof SharedArrayBuffer)) return write.call(this, buffer, bufferOffset, data, dataOffset, size)
    // Offset and size count elements where `data` is a typed array, else bytes.
    const unit = (data as { readonly BYTES_PER_ELEMENT?: number }).BYTES_PER_ELEMENT ?? 1
    const start = ((data as { readonly byteOffset?: number }).byteOffset ?? 0) + dataOffset * unit
    const length = size === undefined ? data.byteLength - dataOffset * unit : size * unit
    const copy = new Uint8Array(length)
    copy.set(new Uint8Array(memory, start, length))
    return write.call(this, buffer, bufferOffset, copy, 0, length)
  }

/** V8 before 12 optimises onnxruntime-web's build without JSPI for a minute at its first call. */
const slowOptimiser = (): boolean => Number(process.versions.v8.split(".")[0]) < 12

/**
 * Puts `navigator.gpu` and the classes of WebGPU into this realm. On Node before 22 WebAssembly is compiled without optimisation in the whole
 * process from here on.
 * @since 0.1.0
 * @category dawn
 */
export const installDawn = async (file: string): Promise<void> => {
  if (slowOptimiser()) v8.setFlagsFromString("--liftoff-only")
  const { create, globals } = await import(pathToFileURL(file).href) as Dawn
  Object.assign(globalThis, globals)
  const { GPUQueue } = globals as { readonly GPUQueue: { readonly prototype: { writeBuffer: WriteBuffer } } }
  GPUQueue.prototype.writeBuffer = copyShared(GPUQueue.prototype.writeBuffer)
  const scope = globalThis as { navigator?: object }
  scope.navigator ??= {}
  Object.defineProperty(scope.navigator, "gpu", { value: create([]), configurable: true })
}
