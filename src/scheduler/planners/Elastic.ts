/**
 * gpulet's planners: every GPU in up to two glets, sized to the models, without and with interference (gpulet §4).
 *
 * Models are taken in ascending order of rate times SLO. Each is cut into glets of its preferred share that always have work, and a rest; these
 * go to the best fitting free glets, whole GPUs first. What finds none goes to any free glet, then beside its own model, then beside others in one
 * duty cycle. With `fullSearch` every first cut of the GPUs in two is tried, until one works.
 *
 * Unlike the prototype: rates of any size are planned for, and in full; memory counts every model; a plan keeps the SLOs it was made for.
 *
 * @since 0.1.0
 */
import type { PlanProblem } from "../../core/PlanProblem.js"
import type { PlannerAlgorithm } from "../Planner.js"
import type { Sliced } from "./internal/elasticSearch.js"
import { planPublished } from "./internal/publishedPlanner.js"

/** First cuts that a full search tries at most. */
const searchLimit = 5_000

/** Every choice of a first cut for every GPU, GPUs being alike: larger glets first. */
function* firstCuts(problem: PlanProblem): Generator<Sliced> {
  const cutsOf = (sharesPct: ReadonlyArray<number>): ReadonlyArray<number> => [...sharesPct].filter((share) => share >= 50).sort((a, b) => b - a)
  const count = problem.gpus.length
  const choice = new Array<number>(count).fill(0)
  for (let tried = 0; tried < searchLimit; tried++) {
    yield problem.gpus.map((gpu, i) => {
      const sharePct = cutsOf(gpu.sharesPct)[choice[i]!] ?? 100
      const rest = gpu.sharesPct.findLast((share) => share <= 100 - sharePct)
      return { gpu, slices: [{ sharePct, works: [] }, ...(rest === undefined ? [] : [{ sharePct: rest, works: [] }])] }
    })
    // The next choice that does not fall from GPU to GPU.
    let at = count - 1
    while (at >= 0 && choice[at]! >= cutsOf(problem.gpus[at]!.sharesPct).length - 1) at--
    if (at < 0) return
    choice.fill(choice[at]! + 1, at)
  }
}

const elasticPlanner = (name: string, summary: string, interference: boolean): PlannerAlgorithm => ({
  name,
  summary,
  plan: (problem) =>
    planPublished({
      name,
      rules: { interference, timeSharing: true, sharesOf: (gpu) => gpu.sharesPct, sizing: "preferred" },
      starts: (asked) =>
        asked.options.fullSearch === true && asked.options.maxGletsPerGpu > 1 && asked.gpus.every(({ units }) => units > 1)
          ? firstCuts(asked)
          : [asked.gpus.map((gpu) => ({ gpu, slices: [] }))]
    }, problem)
})

/** @since 0.1.0 @category planners */
export const elastic: PlannerAlgorithm = elasticPlanner(
  "elastic",
  "gpulet without interference: up to two glets per GPU, time sharing; refuses a plan that interference would break.",
  false
)

/** @since 0.1.0 @category planners */
export const elasticInt: PlannerAlgorithm = elasticPlanner("elastic-int", "gpulet: up to two glets per GPU, time sharing, interference counted.", true)
