/** The parts of the WebGPU API that are used here, so that neither the DOM's types nor another package's are needed. */

export interface GpuAdapterInfo {
  readonly vendor?: string
  readonly architecture?: string
  readonly device?: string
  readonly description?: string
  readonly isFallbackAdapter?: boolean
}

export interface GpuAdapter {
  readonly info?: GpuAdapterInfo
  readonly isFallbackAdapter?: boolean
  readonly features: { readonly has: (name: string) => boolean }
  readonly limits: { readonly [name: string]: number | undefined }
  readonly requestDevice: (descriptor: {
    readonly requiredFeatures: ReadonlyArray<string>
    readonly requiredLimits: { readonly [name: string]: number }
  }) => Promise<GpuDevice>
}

export interface GpuBuffer {
  readonly size: number
  destroy: () => void
  readonly mapAsync: (mode: number) => Promise<void>
  readonly getMappedRange: () => ArrayBuffer
  readonly unmap: () => void
}

export interface GpuQuerySet {
  readonly destroy: () => void
}

export interface GpuPassDescriptor {
  readonly timestampWrites?: { readonly querySet: GpuQuerySet; readonly beginningOfPassWriteIndex: number; readonly endOfPassWriteIndex: number }
}

export interface GpuEncoder {
  beginComputePass: (descriptor?: GpuPassDescriptor) => { readonly end: () => void }
  readonly resolveQuerySet: (set: GpuQuerySet, first: number, count: number, target: GpuBuffer, offset: number) => void
  readonly copyBufferToBuffer: (from: GpuBuffer, fromOffset: number, to: GpuBuffer, toOffset: number, size: number) => void
  readonly finish: () => unknown
}

export interface GpuDevice {
  readonly lost: Promise<{ readonly reason?: string; readonly message: string }>
  readonly queue: { readonly submit: (buffers: ReadonlyArray<unknown>) => void }
  readonly addEventListener?: (type: "uncapturederror", listener: (event: { readonly error: { readonly message: string } }) => void) => void
  readonly createQuerySet: (descriptor: { readonly type: "timestamp"; readonly count: number }) => GpuQuerySet
  createBuffer: (descriptor: { readonly size: number; readonly usage: number; readonly mappedAtCreation?: boolean }) => GpuBuffer
  createCommandEncoder: (descriptor?: object) => GpuEncoder
  readonly destroy: () => void
}

export interface Gpu {
  readonly requestAdapter: (options?: { readonly powerPreference?: "high-performance" | "low-power" }) => Promise<GpuAdapter | null>
}

/** What of the globals of a browser, of Deno and of Node is looked at. */
export interface Realm {
  readonly navigator?: { readonly gpu?: Gpu; readonly hardwareConcurrency?: number; readonly userAgent?: string }
  readonly isSecureContext?: boolean
  readonly crossOriginIsolated?: boolean
  readonly Deno?: { readonly version?: { readonly deno: string } }
  readonly process?: { readonly versions?: { readonly node?: string } }
}

export const realm = globalThis as unknown as Realm
