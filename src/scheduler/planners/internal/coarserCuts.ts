/**
 * Plans on whole GPUs and on halves, beside those on any shares, where best-effort work that gives way lies over the latency-critical glets.
 *
 * Small glets do more of the latency-critical work with a GPU, and are seldom idle at the same time, which is what best-effort work waits for. Which counts for
 * more depends on models, rates and objectives: so all are planned, and compared by what best-effort work gets.
 */
import type { Gpu } from "../../../core/Gpu.js"
import type { Plan } from "../../../core/Plan.js"
import type { PlanProblem } from "../../../core/PlanProblem.js"
import { bestEffortDone } from "../../internal/bestEffortDone.js"
import { usesOverlays } from "../../internal/overlays.js"
import { makePlanTables } from "../../internal/planTables.js"

/** The head-room above the rates planned for that a plan has at least, or else as much as any plan for them. */
const leastHeadroom = 1.25

/** Another cut than the deployed plan's must let more than so many times as much be done: it opens all glets anew. */
const worthRecutting = 1.05

const overAnything = ({ options }: PlanProblem): boolean => (options.objective ?? (options.whenShort === "fail" ? "fewest" : "headroom")) === "headroom"

/** Whether a plan for the problem may be one on coarser cuts: it has latency-critical work, and best-effort work over it. */
export const mayBeCoarser = (problem: PlanProblem, { gpus }: Plan): boolean =>
  problem.options.gather !== false && overAnything(problem) && usesOverlays(problem) && problem.demands.some(({ serviceClass }) => serviceClass === "best-effort")
  && gpus.some(({ glets }) => glets.some(({ assignments }) => assignments.length > 0))

type Shares = Gpu["sharesPct"]

/** All of the GPU, and what is nearest to half of it where that differs. */
const halves = ({ sharesPct }: Gpu): Shares => {
  const whole = sharesPct.at(-1)!
  const half = sharesPct.filter((share) => 2 * share <= whole).at(-1)
  return half === undefined ? [whole] : [half, whole]
}

/** The same problem on fewer shares of each GPU. */
export const coarserCuts = (problem: PlanProblem): ReadonlyArray<PlanProblem> =>
  [(gpu: Gpu): Shares => [gpu.sharesPct.at(-1)!], halves].flatMap((sharesOf) => {
    const gpus = problem.gpus.map((gpu): Gpu => ({ ...gpu, sharesPct: sharesOf(gpu) }))
    return gpus.every(({ sharesPct }, at) => sharesPct.length === problem.gpus[at]!.sharesPct.length) ? [] : [{ ...problem, gpus }]
  })

/** Shares of the glets of latency-critical work, ascending. */
const cutOf = ({ gpus }: Plan): string =>
  [...new Set(gpus.flatMap(({ glets }) => glets.flatMap(({ assignments, sharePct }) => (assignments.length > 0 ? [sharePct] : []))))].sort((a, b) => a - b).join(",")

/** The plan beside which most best-effort work is done, of those that leave enough head-room and fall short of nothing that the finest one carries. */
export const fullest = (problem: PlanProblem, finest: Plan, coarser: ReadonlyArray<Plan>, current: Plan | undefined): Plan => {
  const tables = makePlanTables(problem)
  const bestEffort = problem.demands.flatMap(({ serviceClass }, demand) => (serviceClass === "best-effort" ? [demand] : []))
  const headroomOf = ({ headroom = Infinity }: Plan): number => headroom
  const enough = Math.min(leastHeadroom, headroomOf(finest))
  const deployed = current === undefined ? undefined : cutOf(current)
  let best = finest
  let most = -Infinity
  for (const plan of [finest, ...coarser]) {
    if (headroomOf(plan) < enough || plan.shortfalls.length > finest.shortfalls.length) continue
    const done = bestEffortDone(tables, plan, bestEffort) * (cutOf(plan) === deployed ? worthRecutting : 1)
    if (done > most) [best, most] = [plan, done]
  }
  if (best === finest) return finest
  // What bounds plans on any shares bounds this one.
  const { headroomBound: _, boundPrices: __, ...own } = best
  return {
    ...own,
    ...(finest.headroomBound === undefined ? {} : { headroomBound: finest.headroomBound }),
    ...(finest.boundPrices === undefined ? {} : { boundPrices: finest.boundPrices })
  }
}
