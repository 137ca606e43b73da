/**
 * Sends the page's requests: bounded slots that are used again, inputs at random or such whose answer is known.
 *
 * @since 0.1.0
 */
import type { InferRequest, RequestEnd } from "../core/Request.js"
import type { TensorArena, TensorSlot } from "../core/TensorArena.js"
import type { Scheduler, SchedulerObserver } from "../scheduler/Scheduler.js"
import type { HostModel } from "./HostModel.js"
import type { LiveStatistics } from "./LiveStatistics.js"
import type { Sample } from "./World.js"

/** Requests of one model in the scheduler at most; more are not sent. */
const mostInFlight = 512
/** Of dimensions that requests choose. */
const symbolSize = 16

interface Pool {
  readonly free: Array<TensorSlot>
  inFlight: number
}

/** @since 0.1.0 @category traffic */
export class Sender {
  private readonly pools = new Map<string, Pool>()
  /** Where the request that ends now ran: observers hear of it right before who sent it. */
  private lastGlet = ""

  /** For the scheduler that it sends to. */
  readonly observer: SchedulerObserver = {
    requestEnded: ({ glet }) => {
      this.lastGlet = glet ?? ""
    }
  }

  constructor(
    private readonly scheduler: Scheduler["Type"],
    private readonly arena: TensorArena,
    private readonly statistics: LiveStatistics,
    private readonly sample: ((model: string) => Sample | undefined) | undefined
  ) {}

  /** One request of the traffic; nothing where too many are on their way. */
  send(one: HostModel): void {
    const sample = this.sample?.(one.model.name)
    this.offer(one, sample?.input, (end, slot) => {
      if (end.ok && sample !== undefined) this.statistics.checked(one.model.name, sample.isRight(this.outputOf(one, slot)))
    })
  }

  /** One request with an input of its own. */
  infer(
    one: HostModel, input: Float32Array,
    answered: (output: Float32Array | undefined, problem: string, latencyMs: number, glet: string, batchItems: number) => void
  ): void {
    const sent = this.offer(one, input, (end, slot) => {
      if (end.ok) answered(this.outputOf(one, slot).slice(), "", end.result.times.endedMs - end.result.times.arrivedMs, this.lastGlet, end.result.batchItems)
      else answered(undefined, end.error.message, 0, "", 0)
    })
    if (!sent) answered(undefined, "too many requests are on their way", 0, "", 0)
  }

  /** Gives a model's memory back. */
  forget(model: string): void {
    for (const slot of this.pools.get(model)?.free ?? []) slot.release()
    this.pools.delete(model)
  }

  private outputOf({ layout }: HostModel, slot: TensorSlot): Float32Array {
    const { outputBytes, outputOffsets } = layout.placement(1, [])
    return new Float32Array(slot.bytes.buffer, slot.bytes.byteOffset + outputOffsets[0]!, outputBytes[0]! / 4)
  }

  private offer(one: HostModel, input: Float32Array | undefined, onEnd: (end: RequestEnd, slot: TensorSlot) => void): boolean {
    const { layout, model } = one
    let pool = this.pools.get(model.name)
    if (pool === undefined) this.pools.set(model.name, pool = { free: [], inFlight: 0 })
    if (pool.inFlight >= mostInFlight) return false
    const bindings = layout.inputSymbols.map(() => symbolSize)
    const placement = layout.placement(1, bindings)
    const slot = pool.free.pop() ?? this.arena.allocate(placement.totalBytes)
    if (slot === undefined) return false
    const { buffer, byteOffset } = slot.bytes
    if (bindings.length > 0) new Int32Array(buffer, byteOffset, bindings.length).set(bindings)
    if (input !== undefined && placement.inputBytes[0] === input.byteLength) {
      new Float32Array(buffer, byteOffset + placement.inputOffsets[0]!, input.length).set(input)
    }
    const ownPool = pool
    ownPool.inFlight += 1
    const request: InferRequest = { model: model.name, slot, items: 1, bindings }
    this.scheduler.offer(request, (end) => {
      ownPool.inFlight -= 1
      onEnd(end, slot)
      if (this.pools.get(model.name) === ownPool) ownPool.free.push(slot)
      else slot.release()
    })
    return true
  }
}
