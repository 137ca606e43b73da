/**
 * Isolation `duty` over any executor whose glets share a device without dividing it: a glet of share p holds the device for its time, then waits.
 * One batch runs on a GPU at a time. What a batch reports includes its wait for the device, counted from when its glet had nothing before it: back
 * to back, a batch of g ms takes g/p, which is what planners reckon with.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type { Batch, BatchEnd, GletHandle, GletSpec } from "../core/Executor.js"
import { Executor } from "../core/Executor.js"
import { GletOpenFailed } from "../core/ExecutorError.js"
import type { GpuId } from "../core/Ids.js"
import type { DutyMember } from "./DutyCycle.js"
import { DutyCycle } from "./DutyCycle.js"

interface Waiting {
  readonly batch: Batch
  readonly onEnd: (end: BatchEnd) => void
  /** When nothing of its glet stood before it. */
  firstMs: number
}

/** One device: gives turns to its glets. */
class DutyDevice {
  readonly cycle = new DutyCycle()
  private readonly glets = new Map<DutyMember, DutyGlet>()
  private busy = false
  private timer: ReturnType<typeof setTimeout> | undefined

  add(glet: DutyGlet): DutyMember {
    const member = this.cycle.join(glet.spec.sharePct)
    this.glets.set(member, glet)
    return member
  }

  remove(member: DutyMember): void {
    this.cycle.leave(member)
    this.glets.delete(member)
    this.turn()
  }

  /** Lets the next one run, now or as soon as it may. */
  turn(): void {
    clearTimeout(this.timer)
    if (this.busy) return
    const nowMs = performance.now()
    const next = this.cycle.next(nowMs)
    if (next.kind === "run") {
      this.busy = true
      this.glets.get(next.member)!.run()
    } else if (next.kind === "wait") {
      this.timer = setTimeout(() => this.turn(), next.untilMs - nowMs)
    }
  }

  ended(member: DutyMember, ms: number, nowMs: number, more: boolean): void {
    this.cycle.ran(member, ms, nowMs, more)
    this.busy = false
    this.turn()
  }
}

class DutyGlet implements GletHandle {
  readonly depth = 2
  /** The first of it runs, or waits for its turn. */
  private readonly queue: Array<Waiting> = []
  private readonly member: DutyMember
  private readonly idle: Array<() => void> = []
  private running = false
  private closed = false
  /** The glet below is gone: it says how batches end. */
  private dead = false

  constructor(private readonly inner: GletHandle, private readonly device: DutyDevice) {
    this.member = device.add(this)
  }

  get spec(): GletSpec {
    return this.inner.spec
  }
  get load(): GletHandle["load"] {
    return this.inner.load
  }
  get exited(): GletHandle["exited"] {
    return this.inner.exited
  }
  get stats(): GletHandle["stats"] {
    return this.inner.stats
  }

  readonly unload: GletHandle["unload"] = (model) => Effect.zipRight(this.whenIdle, this.inner.unload(model))

  readonly start: GletHandle["start"] = (batch, onEnd) => {
    if (this.dead) return this.inner.start(batch, onEnd)
    if (this.closed) return queueMicrotask(() => onEnd({ ok: false, error: { _tag: "BatchFailed", detail: "the glet is closed" } }))
    const nowMs = performance.now()
    this.queue.push({ batch, onEnd, firstMs: nowMs })
    if (this.queue.length > 1) return
    this.device.cycle.ask(this.member, nowMs)
    this.device.turn()
  }

  /** It is this glet's turn. */
  run(): void {
    const first = this.queue[0]!
    const startMs = performance.now()
    this.running = true
    this.inner.start(first.batch, (end) => {
      const nowMs = performance.now()
      this.running = false
      this.queue.shift()
      const next = this.queue[0]
      if (next !== undefined) next.firstMs = nowMs
      // What the run took, not how long its report was on the way.
      this.device.ended(this.member, end.ok ? end.inferMs : nowMs - startMs, nowMs, next !== undefined)
      first.onEnd(end.ok ? { ...end, inferMs: end.inferMs + startMs - first.firstMs } : end)
      this.tellIdle()
    })
  }

  /** What has not begun ends as the glet below says. */
  die(): void {
    if (this.dead) return
    this.dead = true
    this.member.asks = false
    for (const { batch, onEnd } of this.queue.splice(this.running ? 1 : 0)) this.inner.start(batch, onEnd)
    this.tellIdle()
  }

  /** Nothing begins any more; completes when all has ended. */
  get drain(): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.closed = true
      return this.whenIdle
    })
  }

  leave(): void {
    this.device.remove(this.member)
  }

  private get whenIdle(): Effect.Effect<void> {
    return Effect.async<void>((resume) => {
      this.idle.push(() => resume(Effect.void))
      this.tellIdle()
    })
  }

  private tellIdle(): void {
    if (this.queue.length === 0) for (const resume of this.idle.splice(0)) resume()
  }
}

/** How the time of a device is shared out; every field has a default. @since 0.1.0 @category options */
export interface DutyOptions {
  /** For batches in flight when a glet closes. Default 10,000. */
  readonly drainTimeoutMs?: number
}

/**
 * The executor with its glets' shares enforced by turns.
 * @since 0.1.0
 * @category constructors
 */
export const make = (inner: typeof Executor.Service, options: DutyOptions = {}): typeof Executor.Service => {
  const devices = new Map<GpuId, DutyDevice>()
  const deviceOf = (gpu: GpuId): DutyDevice => {
    const device = devices.get(gpu) ?? new DutyDevice()
    devices.set(gpu, device)
    return device
  }
  const open = (spec: GletSpec): Effect.Effect<GletHandle, GletOpenFailed, Scope.Scope> => {
    const { gpu, id, sharePct } = spec
    const unsupported = (detail: string) => Effect.fail(new GletOpenFailed({ glet: id, gpu: gpu.id, reason: "share-unsupported", detail }))
    if (gpu.isolation !== "duty") return unsupported(`the device is shared by turns (duty), not by ${gpu.isolation}`)
    if (!gpu.sharesPct.includes(sharePct)) return unsupported(`a share of ${sharePct} % is not one of ${gpu.sharesPct.join(", ")} %`)
    return Effect.gen(function*() {
      const handle = yield* inner.open(spec)
      const glet = yield* Effect.acquireRelease(
        Effect.sync(() => new DutyGlet(handle, deviceOf(gpu.id))),
        (made) => made.drain.pipe(
          Effect.interruptible,
          Effect.timeoutOption(options.drainTimeoutMs ?? 10_000),
          Effect.zipRight(Effect.sync(() => made.leave()))
        )
      )
      // Interrupted before it drains: then nothing dies any more.
      yield* Effect.forkScoped(Effect.interruptible(Effect.zipRight(handle.exited, Effect.sync(() => glet.die()))))
      return glet
    })
  }
  return { name: inner.name, arena: inner.arena, open }
}

/** Puts `duty` over the executor that a layer gives. @since 0.1.0 @category layers */
export const layer = <E, R>(inner: Layer.Layer<Executor, E, R>, options: DutyOptions = {}): Layer.Layer<Executor, E, R> =>
  Layer.effect(Executor, Effect.map(Executor, (executor) => make(executor, options))).pipe(Layer.provide(inner))
