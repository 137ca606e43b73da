/**
 * The most that each rate was estimated at lately: for a quarter of a minute at least, for half a minute at most. A lull of seconds does not show in it, nor that what was
 * asked a minute ago was more.
 */
import type { ModelName } from "../../core/Ids.js"

const windowMs = 15_000

/** Items per second, of the window that has begun and of the one before. */
export interface RecentMost {
  readonly sinceMs: number
  readonly mostRps: ReadonlyMap<ModelName, number>
  readonly beforeRps: ReadonlyMap<ModelName, number>
}

export const makeRecentMost = (nowMs: number): RecentMost => ({ sinceMs: nowMs, mostRps: new Map(), beforeRps: new Map() })

/** Takes in what all rates are estimated at now; others are forgotten in time. */
export const observeMost = (recent: RecentMost, nowMs: number, ratesRps: ReadonlyMap<ModelName, number>): RecentMost => {
  const isOver = nowMs - recent.sinceMs >= windowMs
  const mostRps = new Map(isOver ? [] : recent.mostRps)
  for (const [model, rateRps] of ratesRps) mostRps.set(model, Math.max(rateRps, mostRps.get(model) ?? 0))
  return isOver ? { sinceMs: nowMs, mostRps, beforeRps: recent.mostRps } : { ...recent, mostRps }
}

/** 0 for a rate that was not estimated. */
export const mostOf = (recent: RecentMost, model: ModelName): number => Math.max(recent.mostRps.get(model) ?? 0, recent.beforeRps.get(model) ?? 0)

export const forgetMost = (recent: RecentMost, model: ModelName): RecentMost => {
  const without = (rates: ReadonlyMap<ModelName, number>) => new Map([...rates].filter(([name]) => name !== model))
  return { ...recent, mostRps: without(recent.mostRps), beforeRps: without(recent.beforeRps) }
}
