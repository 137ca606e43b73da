/** What a plan's glets carry. */
import type { ModelName } from "../../core/Ids.js"
import type { Plan } from "../../core/Plan.js"
import { gletsOf } from "../../core/Plan.js"

/** Items per second by latency-critical model that has a glet. */
export const carriedRps = (plan: Plan): ReadonlyMap<ModelName, number> => {
  const carried = new Map<ModelName, number>()
  for (const { glet } of gletsOf(plan)) {
    for (const { capacityRps, model } of glet.assignments) carried.set(model, (carried.get(model) ?? 0) + capacityRps)
  }
  return carried
}

/** The least part of these rates that there is of any model, at most 1; those that nobody asks for need no part. */
export const leastPartOf = (thereRps: ReadonlyMap<ModelName, number>, ratesRps: ReadonlyMap<ModelName, number>): number => {
  let least = 1
  for (const [model, rateRps] of ratesRps) if (rateRps > 0) least = Math.min(least, (thereRps.get(model) ?? 0) / rateRps)
  return least
}

/** The least part of these rates that a plan carries of any model. */
export const leastPart = (plan: Plan, ratesRps: ReadonlyMap<ModelName, number>): number => leastPartOf(carriedRps(plan), ratesRps)

/** Rates are sums of floating-point numbers. */
export const nearlyAll = 1 - 1e-6
