/** The scheduler of this process as requests see it that were read here. */
import { ModelNotFound } from "../../core/RequestError.js"
import type { Scheduler } from "../../scheduler/Scheduler.js"
import type { ModelCatalog } from "../ModelCatalog.js"
import type { RequestTaker } from "./inferContext.js"
import { isReadAs } from "./served.js"

const nothing = (): void => {}

/** Between the first bytes of a request and the last its model may be replaced by one that takes other tensors: it is not offered to that. */
export const makeRequestTaker = (scheduler: typeof Scheduler.Service, catalog: Pick<typeof ModelCatalog.Service, "find">): RequestTaker => ({
  wouldRefuse: scheduler.wouldRefuse,
  refusedUnread: scheduler.refusedUnread,
  offer: (request, onEnd, model) => {
    if (isReadAs(catalog.find(model.name), model)) return scheduler.offer(request, onEnd)
    onEnd({ ok: false, error: new ModelNotFound({ model: model.name }) })
    return nothing
  }
})
