/**
 * When the requests of a scenario come: the same times in the simulator and in real time.
 *
 * @since 0.1.0
 */
import type { ArrivalSchedule } from "./ArrivalSchedule.js"
import { makeSchedule, makeTrace } from "./ArrivalSchedule.js"
import type { Arrivals } from "./Scenario.js"

const hash = (text: string): number => {
  let h = 0x811c9dc5
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193)
  return h
}

/**
 * When the requests of a load come, from its start; undefined for clients in a closed loop, which decide it themselves. `factor` multiplies rates, and
 * the speed of a trace. The `index`-th load of a scenario has the same times for the same seed wherever it is played.
 * @since 0.1.0
 * @category arrivals
 */
export const arrivalsOfLoad = (arrivals: Arrivals, index: number, factor: number, seed: number): ArrivalSchedule | undefined => {
  switch (arrivals.process) {
    case "closed":
      return undefined
    case "trace":
      return makeTrace(arrivals.timesMs ?? [], { speed: factor, ...(arrivals.repeatMs === undefined ? {} : { repeatMs: arrivals.repeatMs }) })
    default:
      return makeSchedule({
        ratesRps: (arrivals.ratesRps ?? [arrivals.rateRps ?? 0]).map((rate) => rate * factor),
        periodMs: arrivals.periodMs ?? 20_000,
        distribution: arrivals.process === "poisson" ? "exp" : arrivals.process,
        ...(arrivals.cv === undefined ? {} : { cv: arrivals.cv }),
        seed: seed ^ hash(`load ${index}`)
      })
  }
}
