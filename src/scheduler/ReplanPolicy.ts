/**
 * Whether a change of rates is worth a new plan. Plans are not free: glets open and close, models load. So there is a dead band between what
 * makes a plan grow and what makes it shrink, and a least time between two plans, which only a model that is about to exceed what its plan
 * can carry may cut short.
 *
 * A plan that carries less than it was asked for is all that the GPUs were found to do: when all needs grow alike another one does no more. Only where some
 * grow beyond others it is worth a new one, which takes from these for those; or where all have fallen, and some model still needs more than it has: what was
 * divided for more than there is may be enough for all, divided otherwise.
 *
 * @since 0.1.0
 */
import type { ModelName } from "../core/Ids.js"

/** When rates call for another plan. @since 0.1.0 @category replanning */
export interface ReplanOptions {
  /** Part by which a model's need must exceed what was planned for. */
  readonly upRatio: number
  /** Part of the head-room between planned rate and capacity that a need may use up before a new plan is made for it. */
  readonly headroomRatio: number
  /**
   * How long needs must call for more, ms: what a step is estimated at rests on a look or two first, of which chance makes a tenth more for one of four models at
   * 500 items a second, and a fifth more at 125; and glets that open for that close others.
   */
  readonly riseAfterMs: number
  /**
   * Of a plan that falls short: part by which the fullest model's need over capacity must have moved away from that of all, by what was planned, for a new one. A
   * model of half of all work that grows by a third moves by a seventh.
   */
  readonly mixRatio: number
  /** How long it must stay there, ms: right after a step of all rates estimates of some are ahead of others. */
  readonly mixAfterMs: number
  /** Of a plan that falls short: part by which all needs must have fallen below what was planned for, as long, for a new one where some model needs more than it has. */
  readonly easedRatio: number
  /** Part by which a need must fall below what was planned for. */
  readonly downRatio: number
  /** How long it must stay there, ms. */
  readonly downAfterMs: number
  /** Least time between two plans, ms. */
  readonly minIntervalMs: number
  /** The same where an SLO is at risk, ms. */
  readonly riskIntervalMs: number
}

/** What the online service replans by. @since 0.1.0 @category replanning */
export const defaultReplanOptions: ReplanOptions = {
  upRatio: 0.05,
  headroomRatio: 0.5,
  riseAfterMs: 200,
  mixRatio: 0.15,
  mixAfterMs: 2_000,
  easedRatio: 0.05,
  // A plan for more keeps its SLOs for less: giving back can wait, and what is loading meanwhile costs those that are served.
  downRatio: 0.2,
  downAfterMs: 60_000,
  minIntervalMs: 2_000,
  riskIntervalMs: 500
}

/** One latency-critical model, as the deployed plan and the estimate see it. Rates in items per second. @since 0.1.0 @category replanning */
export interface ModelLoad {
  readonly model: ModelName
  /** What arrives now, by estimate. */
  readonly rateRps: number
  /** What would be asked of a plan made now: `rateToPlanFor`. */
  readonly neededRps: number
  /** What was asked of the deployed plan. Where that plan fell short, asking the same again changes nothing. */
  readonly askedRps: number
  /** Sum of the capacities of its assignments. */
  readonly capacityRps: number
  /** What that takes of all GPUs: by share, and of what glets have several models for, by time. */
  readonly reserved: number
}

/** Since when rates have called for another plan. @since 0.1.0 @category replanning */
export interface ReplanState {
  readonly lastPlanMs: number
  /** Since when some model's need calls for more. */
  readonly risenSinceMs?: number | undefined
  /** Since when a model's need is below what was planned for. */
  readonly lowSinceMs: ReadonlyMap<ModelName, number>
  /** Since when the mix has moved from what a plan that falls short was made for. */
  readonly mixedSinceMs?: number | undefined
  /** Since when all need less than it was made for. */
  readonly easedSinceMs?: number | undefined
}

/** The state right after a plan, whatever made it. @since 0.1.0 @category constructors */
export const plannedAt = (nowMs: number): ReplanState => ({ lastPlanMs: nowMs, lowSinceMs: new Map() })

/** Whether to plan now, and what to remember. @since 0.1.0 @category replanning */
export interface ReplanDecision {
  readonly state: ReplanState
  /** Why to plan now; undefined: keep the plan. After planning go on from `plannedAt`. */
  readonly reason: string | undefined
  /** It is that less is asked: what the plan is for must last. */
  readonly isForLess: boolean
}

// Needs of idle models are fractions of an item; their ratios say nothing.
const negligibleRps = 1

/** Capacities are sums of floating-point numbers. */
const nearlyAll = 1 - 1e-6

const isPlaced = ({ capacityRps }: ModelLoad): boolean => capacityRps > 0

/** Whether the deployed plan leaves some model short that has a place. */
const isShort = (loads: ReadonlyArray<ModelLoad>): boolean =>
  loads.some((load) => isPlaced(load) && load.capacityRps < nearlyAll * load.askedRps && load.askedRps > negligibleRps)

const fullest = (loads: ReadonlyArray<ModelLoad>, rps: (load: ModelLoad) => number): ModelLoad =>
  loads.reduce((most, load) => (rps(load) / load.capacityRps > rps(most) / most.capacityRps ? load : most))

/**
 * How much fuller the fullest model is than all of them: about how many times more of its need it would get of a plan made anew, if that gave every model
 * the same part of its need for what the GPUs now spend on all.
 */
const unevenness = (loads: ReadonlyArray<ModelLoad>, rps: (load: ModelLoad) => number): number => {
  let [reserved, wanted] = [0, 0]
  for (const load of loads) {
    reserved += load.reserved
    wanted += (load.reserved * rps(load)) / load.capacityRps
  }
  const most = fullest(loads, rps)
  return wanted > 0 ? (rps(most) / most.capacityRps) * (reserved / wanted) : 1
}

/** The model for which the mix has moved so far from what a plan that falls short was made for that another one is worth it. */
const outgrown = (loads: ReadonlyArray<ModelLoad>, { mixRatio }: ReplanOptions): ModelLoad | undefined => {
  const homeless = loads.find((load) => !isPlaced(load) && load.neededRps > load.askedRps * (1 + mixRatio))
  if (homeless !== undefined) return homeless
  const placed = loads.filter(isPlaced)
  const moved = unevenness(placed, ({ neededRps }) => neededRps) / unevenness(placed, ({ askedRps }) => askedRps)
  return moved > 1 + mixRatio ? fullest(placed, ({ neededRps }) => neededRps) : undefined
}

/** The model that needs most beyond what it has, where all need less than what a plan that falls short was made for. */
const eased = (loads: ReadonlyArray<ModelLoad>, { easedRatio }: ReplanOptions): ModelLoad | undefined => {
  const placed = loads.filter(isPlaced)
  if (!placed.every(({ askedRps, neededRps }) => neededRps <= askedRps * (1 - easedRatio) || neededRps <= negligibleRps)) return undefined
  const most = fullest(placed, ({ neededRps }) => neededRps)
  return most.neededRps > most.capacityRps && most.neededRps > negligibleRps ? most : undefined
}

/**
 * Decides. Call it at every estimate; equal calls give equal answers.
 *
 * Up: a need exceeds what was asked by 5 % and uses more than half of the head-room the plan has beyond that. At risk: what arrives already
 * exceeds 95 % of what the plan can carry. Either must be so for a fifth of a second, be it of one model after the other. Neither is a reason where the plan falls
 * short: there it is that the mix has moved by 15 % for two seconds, or that all needs have been 5 % below what was asked, for as long, and some model still needs
 * more than it has. Down: a need was 20 % below what was asked for a minute.
 * @since 0.1.0
 * @category replanning
 */
export const decideReplan = (
  state: ReplanState,
  nowMs: number,
  loads: ReadonlyArray<ModelLoad>,
  options: ReplanOptions = defaultReplanOptions
): ReplanDecision => {
  const lowSinceMs = new Map<ModelName, number>()
  const falls = isShort(loads)
  const mixed = falls ? outgrown(loads, options) : undefined
  const less = falls ? eased(loads, options) : undefined
  let risk: ModelLoad | undefined
  let up: ModelLoad | undefined
  let down: ModelLoad | undefined
  for (const load of loads) {
    const { askedRps, capacityRps, neededRps } = load
    if (neededRps > askedRps * (1 + options.upRatio)) {
      if (falls) continue
      if (load.rateRps > capacityRps * (1 - options.upRatio)) risk ??= load
      else if (neededRps > askedRps + options.headroomRatio * Math.max(0, capacityRps - askedRps)) up ??= load
    } else if (neededRps < askedRps * (1 - options.downRatio) && askedRps - neededRps > negligibleRps) {
      const since = state.lowSinceMs.get(load.model) ?? nowMs
      lowSinceMs.set(load.model, since)
      if (nowMs - since >= options.downAfterMs) down ??= load
    }
  }
  const since = (isSo: boolean, beforeMs: number | undefined): number | undefined => (isSo ? beforeMs ?? nowMs : undefined)
  const lasts = (sinceMs: number | undefined, forMs: number): boolean => sinceMs !== undefined && nowMs - sinceMs >= forMs
  const risenSinceMs = since(risk !== undefined || up !== undefined, state.risenSinceMs)
  const mixedSinceMs = since(mixed !== undefined, state.mixedSinceMs)
  const easedSinceMs = since(less !== undefined, state.easedSinceMs)
  const hasRisen = lasts(risenSinceMs, options.riseAfterMs)
  const sincePlanMs = nowMs - state.lastPlanMs
  const because = (load: ModelLoad, what: string): string =>
    `${what}: model "${load.model}" needs ${load.neededRps.toFixed(1)} items/s, planned for ${load.askedRps.toFixed(1)}`
  const isRested = sincePlanMs >= options.minIntervalMs
  const otherReason = risk !== undefined && hasRisen && sincePlanMs >= options.riskIntervalMs
    ? because(risk, "SLO at risk")
    : !isRested
    ? undefined
    : up !== undefined && hasRisen
    ? because(up, "rate up")
    : mixed !== undefined && lasts(mixedSinceMs, options.mixAfterMs)
    ? because(mixed, "other mix")
    : less !== undefined && lasts(easedSinceMs, options.mixAfterMs)
    ? because(less, "less is asked")
    : undefined
  // Not while a rise may turn out to be none: the plan would be for what was seen of that.
  const fallen = otherReason === undefined && isRested && risenSinceMs === undefined ? down : undefined
  return { state: { lastPlanMs: state.lastPlanMs, lowSinceMs, risenSinceMs, mixedSinceMs, easedSinceMs }, reason: fallen === undefined ? otherReason : because(fallen, "rate down"), isForLess: fallen !== undefined }
}
