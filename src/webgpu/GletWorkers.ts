/**
 * Starts glets' workers. The first one compiles onnxruntime-web; those after it wait for that and take what it compiled. No Effect here: a page can
 * have its first worker starting while the rest of its code is still read.
 *
 * @since 0.1.0
 */
import type { CompiledModule, RuntimeLocation, WorkerSetup } from "./internal/protocol.js"
import type { Refusal } from "./internal/workerRealm.js"
import { Realm } from "./internal/workerRealm.js"
import type { StartWorker } from "./WorkerLink.js"
import { startWebWorker } from "./WorkerLink.js"

/** @since 0.1.0 @category options */
export interface GletWorkerOptions {
  /** `auto`: the GPU where an adapter is found, else WebAssembly. `webgpu`: glets do not open without one. Default `auto`. */
  readonly provider?: "auto" | "webgpu" | "wasm"
  /** Starts a glet's worker. Default: this package's worker file, beside this module or as a bundler places it. */
  readonly startWorker?: StartWorker
  /** Where onnxruntime-web is, or what says so for each worker; by default it is imported by name, as bundlers, Deno and Node find it. */
  readonly runtime?: RuntimeLocation | (() => RuntimeLocation)
  /** Threads of WebAssembly per glet. Default: what the realm can have, at most 4. */
  readonly threads?: number
  /** Bytes of the GPU that the buffers of one glet may take. Default: no limit but the device's. */
  readonly gletMemoryBytes?: number
  /** Read the device's own clock around all that runs, for `GletStats.deviceMs`. It costs some time per pass. Default false. */
  readonly deviceClock?: boolean
  /** For a worker to get ready. Default 60,000: the first one compiles onnxruntime-web. */
  readonly startTimeoutMs?: number
}

/** @since 0.1.0 @category workers */
export class GletWorkers {
  private readonly setup: Omit<WorkerSetup, "runtime">
  private readonly runtime: () => RuntimeLocation
  private readonly startWorker: StartWorker
  private readonly startTimeoutMs: number
  /** Workers that are ready and not ended: while there is one, so is what it compiled. */
  private readonly live = new Set<Realm>()
  /** The one that compiles. */
  private first: Promise<Realm | Refusal> | undefined
  private begun: Promise<Realm | Refusal> | undefined

  constructor(options: GletWorkerOptions = {}) {
    this.setup = {
      type: "setup",
      provider: options.provider ?? "auto",
      threads: options.threads,
      memoryLimitBytes: options.gletMemoryBytes,
      deviceClock: options.deviceClock ?? false,
      warmUp: true
    }
    const { runtime = {} } = options
    this.runtime = typeof runtime === "function" ? runtime : () => runtime
    this.startWorker = options.startWorker ?? startWebWorker
    this.startTimeoutMs = options.startTimeoutMs ?? 60_000
  }

  get deviceClock(): boolean {
    return this.setup.deviceClock
  }
  get memoryLimitBytes(): number | undefined {
    return this.setup.memoryLimitBytes
  }

  /** Starts the first glet's worker before there is a glet. Completes when it is ready, or there is none. */
  async begin(): Promise<void> {
    await (this.begun ??= this.start())
  }

  /** @internal The worker that was begun, for whoever asks first. */
  takeBegun(): Promise<Realm | Refusal> | undefined {
    const { begun } = this
    this.begun = undefined
    return begun
  }

  /** @internal A worker that is ready, or why there is none. */
  start(): Promise<Realm | Refusal> {
    const [known] = this.live
    if (known !== undefined) return this.startOn(known.compiled)
    const { first } = this
    if (first !== undefined) return this.startOn(first.then((realm) => realm instanceof Realm ? realm.compiled : undefined))
    const compiling = this.startOn(undefined).finally(() => this.first = undefined)
    this.first = compiling
    return compiling
  }

  private async startOn(compiled: CompiledModule | undefined | Promise<CompiledModule | undefined>): Promise<Realm | Refusal> {
    const base = { ...this.setup, runtime: this.runtime() }
    const setup = compiled instanceof Promise ? compiled.then((known) => ({ ...base, compiled: known })) : { ...base, compiled }
    const realm = await Realm.start(setup, this.startWorker, this.startTimeoutMs)
    if (realm instanceof Realm) {
      this.live.add(realm)
      void realm.exited.then(() => this.live.delete(realm))
    }
    return realm
  }
}
