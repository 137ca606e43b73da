/** Refuses what overload leaves no room for before it is parsed. */
import type { ModelName } from "../../core/Ids.js"
import type { RequestDropped } from "../../core/RequestError.js"
import type { InferContext } from "./inferContext.js"

const priorityKey = Buffer.from('"priority"')
const timeoutKey = Buffer.from('"timeout"')
const classKey = Buffer.from('"service-class"')

/**
 * Why a request is dropped of which nothing was read yet; undefined: read it. It is counted here. `json` is all of its JSON (empty for a raw
 * request): who brings a priority, a class or a limit of its own is judged by it, so it is searched for those words, which costs a fraction of parsing.
 */
export const refuseUnread = (
  { scheduler }: Pick<InferContext, "scheduler">,
  model: ModelName,
  json: Buffer,
  arrivedAtMs: number
): RequestDropped | undefined => {
  const error = scheduler.wouldRefuse(model, arrivedAtMs)
  if (error === undefined || json.includes(priorityKey) || json.includes(timeoutKey) || json.includes(classKey)) return undefined
  scheduler.refusedUnread(model, arrivedAtMs, error)
  return error
}
