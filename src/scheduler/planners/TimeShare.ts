/**
 * Whole GPUs, time-shared: Nexus' squishy bin packing as gpulet compares itself with it. The steps of `elastic` with 100 % as the only share.
 *
 * @since 0.1.0
 */
import type { PlannerAlgorithm } from "../Planner.js"
import { planPublished } from "./internal/publishedPlanner.js"

const name = "time-share"

/** @since 0.1.0 @category planners */
export const timeShare: PlannerAlgorithm = {
  name,
  summary: "Whole GPUs only, several models in one duty cycle (squishy bin packing).",
  plan: (problem) =>
    planPublished({
      name,
      rules: { interference: true, timeSharing: true, sharesOf: (gpu) => gpu.sharesPct.filter((share) => share === 100), sizing: "preferred" },
      starts: ({ gpus }) => [gpus.map((gpu) => ({ gpu, slices: [] }))]
    }, problem)
}
