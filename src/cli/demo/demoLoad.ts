/**
 * Which load the demo sends: what a person would find interesting, and at most half of what the plan says that this machine carries.
 *
 * @since 0.1.0
 */
import { gletsOf } from "../../core/Plan.js"
import type { SchedulerStatus } from "../../scheduler/SchedulerStatus.js"
import type { DemoStream } from "./DemoTask.js"

/** The model that reads the digits. @since 0.1.0 @category demo */
export const digitsModel = "lenet-digits"

// Requests per second where the machine can carry them.
const wantedRps: ReadonlyMap<string, number> = new Map([[digitsModel, 60], ["digits-features", 25], ["digits-denoise", 15]])
const wantedOtherRps = 10
const bestEffortRps = 10
// The plan's capacity is for full batches and a machine as fast as when it was measured; the client takes a part of it too.
const partOfCapacity = 0.5

/** Streams for all models of a server that can be asked. @since 0.1.0 @category demo */
export const demoStreams = (status: SchedulerStatus): ReadonlyArray<DemoStream> => {
  const capacity = new Map<string, number>()
  for (const { glet } of gletsOf(status.plan)) {
    for (const work of glet.assignments) capacity.set(work.model, (capacity.get(work.model) ?? 0) + work.capacityRps)
  }
  return status.models.filter((model) => model.state === "ready").map((model) => {
    const wanted = wantedRps.get(model.model) ?? wantedOtherRps
    return {
      model: model.model,
      rateRps: model.serviceClass === "best-effort" ? bestEffortRps : Math.max(0.5, Math.min(wanted, partOfCapacity * (capacity.get(model.model) ?? 0))),
      batch: 1,
      sloMs: model.serviceClass === "best-effort" ? null : model.sloMs ?? null,
      inputs: model.model === digitsModel ? "digits" : "random"
    }
  })
}

/** Seconds of load: as asked, or longer on a slow machine so that every digit is sent, up to 30 s. @since 0.1.0 @category demo */
export const loadSeconds = (streams: ReadonlyArray<DemoStream>, askedSeconds: number): number => {
  const rate = streams.find((stream) => stream.inputs === "digits")?.rateRps ?? Infinity
  // A Poisson process delivers 500 within the time of 560 almost surely.
  return Math.max(askedSeconds, Math.min(30, 560 / rate))
}
