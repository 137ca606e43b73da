/**
 * gpulet's self-tuning greedy baseline: every model gets the smallest share that carries its rate, up to two glets per GPU, no time sharing, no
 * interference. Unlike the prototype it looks at SLOs, and refuses a plan that interference would break.
 *
 * @since 0.1.0
 */
import type { PlannerAlgorithm } from "../Planner.js"
import { planPublished } from "./internal/publishedPlanner.js"

const name = "greedy"

/** @since 0.1.0 @category planners */
export const greedy: PlannerAlgorithm = {
  name,
  summary: "The smallest share that carries each model, up to two glets per GPU, one model per glet.",
  plan: (problem) =>
    planPublished({
      name,
      rules: { interference: false, timeSharing: false, sharesOf: (gpu) => gpu.sharesPct, sizing: "smallest" },
      starts: ({ gpus }) => [gpus.map((gpu) => ({ gpu, slices: [] }))]
    }, problem)
}
