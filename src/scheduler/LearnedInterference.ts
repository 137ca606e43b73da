/**
 * What serving taught of how much models suffer beside others on their GPU, and the latency model that counts it.
 *
 * A profile says what a model takes alone, and at best what some pairs take together; what nobody measured is assumed (`unmeasuredPresence`). A server
 * sees the rest: learned is, by GPU type and model, by how much the time that an execution loses to neighbours on the whole rest of the GPU differs from
 * what the profile says, as a part of its time alone: 0.5 is half as long again beside neighbours on all other SMs that never pause, a quarter beside
 * those on half of them. One number a model, so that what was seen in one plan says something of the next.
 *
 * @since 0.1.0
 */
import type { ModelName } from "../core/Ids.js"
import type { Execution, LatencyModel } from "../core/LatencyModel.js"

/** Offsets by GPU type and model; what is not named is as the profile says. Plain data: it crosses threads. @since 0.1.0 @category models */
export type LearnedInterference = ReadonlyMap<string, ReadonlyMap<ModelName, number>>

/** @since 0.1.0 @category constructors */
export const nothingLearned: LearnedInterference = new Map()

/** @since 0.1.0 @category models */
export const learnedOffset = (learned: LearnedInterference, gpuType: string, model: ModelName): number => learned.get(gpuType)?.get(model) ?? 0

/** Whether both say the same. @since 0.1.0 @category models */
export const sameLearned = (a: LearnedInterference, b: LearnedInterference): boolean => {
  if (a === b) return true
  for (const [one, other] of [[a, b], [b, a]] as const) {
    for (const [gpuType, models] of one) for (const [model, offset] of models) if (learnedOffset(other, gpuType, model) !== offset) return false
  }
  return true
}

/**
 * A latency model with what was learned. Only where slow-downs add up over neighbours: others stay as they are.
 * @since 0.1.0
 * @category constructors
 */
export const withLearned = (latency: LatencyModel, learned: LearnedInterference): LatencyModel => {
  const { interference } = latency
  if (interference?.combine !== "sum" || ![...learned.values()].some((models) => models.size > 0)) return latency
  const offsetOf = ({ gpuType, model }: Execution): number => learnedOffset(learned, gpuType, model)
  return {
    ...latency,
    slowdown: (execution, neighbours) => {
      const offset = offsetOf(execution)
      if (offset === 0) return latency.slowdown(execution, neighbours)
      let total = 1
      for (const group of neighbours) {
        let worst = 0
        for (const other of group) worst = Math.max(worst, latency.slowdown(execution, [[other]]) - 1 + (offset * other.sharePct) / 100)
        total += worst
      }
      return total
    },
    interference: {
      ...interference,
      resources: interference.resources + 1,
      pressure: (execution) => [...interference.pressure(execution), execution.sharePct / 100],
      sensitivity: (execution) => {
        const { base, by } = interference.sensitivity(execution)
        return { base, by: [...by, offsetOf(execution)] }
      }
    }
  }
}

/** `withLearned` that gives the same object for the same question: what planners tabulated of it stays. @since 0.1.0 @category constructors */
export const withLearnedOnce = (): typeof withLearned => {
  let last: { readonly latency: LatencyModel; readonly learned: LearnedInterference; readonly answer: LatencyModel } | undefined
  return (latency, learned) => {
    if (last === undefined || last.latency !== latency || !sameLearned(last.learned, learned)) last = { latency, learned, answer: withLearned(latency, learned) }
    return last.answer
  }
}
