/**
 * What a realm can do for models, as a value: it crosses from workers to pages.
 *
 * @since 0.1.0
 */

/** A GPU as WebGPU tells of it. @since 0.1.0 @category capabilities */
export interface AdapterDescription {
  readonly vendor: string
  readonly architecture: string
  /** The most that is said of it, for people. */
  readonly name: string
  /** It computes on the processor: right, and slower than WebAssembly. */
  readonly software: boolean
}

/** What a worker found that it can run models with. @since 0.1.0 @category capabilities */
export interface WebGpuCapabilities {
  readonly environment: "browser" | "deno" | "node"
  /** What models run on. */
  readonly provider: "webgpu" | "wasm"
  /** Why it is WebAssembly and not the GPU; undefined where it is the GPU. */
  readonly fallback: string | undefined
  readonly adapter: AdapterDescription | undefined
  /** 16-bit floats in shaders. */
  readonly f16: boolean
  readonly subgroups: boolean
  /** The device's own clock can be read. */
  readonly timestampQuery: boolean
  /** Bytes of the largest buffer, and of the largest one that a shader can read; 0 without an adapter. */
  readonly maxBufferBytes: number
  readonly maxBindingBytes: number
  /** WebAssembly can wait for promises: the smaller and faster build of onnxruntime-web is used. */
  readonly jspi: boolean
  /** Threads that WebAssembly can compute with, and why not more. */
  readonly threads: number
  readonly threadsReason: string | undefined
}
