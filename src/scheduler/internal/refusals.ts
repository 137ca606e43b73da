/**
 * The errors of one model's refused requests, made once and given again: making an error costs forty times what refusing a request does, and
 * under overload most requests are refused.
 */
import type { ModelName } from "../../core/Ids.js"
import type { DropReason, UnavailableReason } from "../../core/RequestError.js"
import { ModelUnavailable, RequestCanceled, RequestDropped } from "../../core/RequestError.js"

/** Steps of retry-after times per octave; they are rounded up. */
const perOctave = 4
const longestRetryMs = 60_000
/** Where nothing can be predicted. */
const unknownRetryMs = 1000

export class Refusals {
  readonly canceled: RequestCanceled
  private readonly drops = new Map<DropReason, Array<RequestDropped | undefined>>()
  private lastUnavailable: ModelUnavailable | undefined

  constructor(private readonly model: ModelName) {
    this.canceled = new RequestCanceled({ model })
  }

  dropped(reason: DropReason, retryAfterMs: number): RequestDropped {
    const bounded = Number.isFinite(retryAfterMs) ? Math.min(Math.max(1, retryAfterMs), longestRetryMs) : unknownRetryMs
    const step = Math.ceil(Math.log2(bounded) * perOctave)
    let steps = this.drops.get(reason)
    if (steps === undefined) this.drops.set(reason, steps = [])
    return steps[step] ??= new RequestDropped({ model: this.model, reason, retryAfterMs: Math.ceil(2 ** (step / perOctave)) })
  }

  unavailable(reason: UnavailableReason, detail = ""): ModelUnavailable {
    const last = this.lastUnavailable
    if (last !== undefined && last.reason === reason && (last.detail ?? "") === detail) return last
    return this.lastUnavailable = new ModelUnavailable({ model: this.model, reason, ...(detail === "" ? {} : { detail }) })
  }
}
