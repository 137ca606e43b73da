import * as Either from "effect/Either"
import { makeTaskSet } from "./lib/taskSets.js"
import { fewestBound } from "../src/scheduler/bounds/FewestBound.js"
import { orion } from "../src/scheduler/planners/Orion.js"
import { gpusUsed } from "../src/core/Plan.js"
import { validatePlan } from "../src/core/ValidatePlan.js"
const [only, effort = "1", seeds = "1"] = process.argv.slice(2)
for (const [models, load, types] of [[9,256,1],[9,20,1],[50,10,1],[50,50,1],[100,100,1],[200,50,1],[1000,100,1],[1000,800,1],[50,10,2],[200,50,2],[1000,800,2]] as const) {
  if (only !== undefined && only !== "all" && !only.split(",").includes(`${models}/${load}/${types}`)) continue
  for (let seed = 1; seed <= +seeds; seed++) {
  const problem = makeTaskSet({ seed, models, loadGpus: load, gpus: load * 2, types, options: { effort: +effort } })
  const row: unknown[] = []
  const tb = process.cpuUsage().user / 1000
  const b = fewestBound(problem, { effort: "quick" }); row.push("bound", b.gpus, b.cost.toFixed(1), (process.cpuUsage().user / 1000 - tb).toFixed(0) + "ms")
  const t0 = process.cpuUsage().user / 1000, w0 = performance.now()
  const p = orion.plan(problem)
  const cost = Either.isRight(p) ? p.right.gpus.reduce((s, g, i) => s + (g.glets.length ? problem.gpus[i]!.cost ?? 1 : 0), 0) : NaN
  row.push(Either.isRight(p) ? gpusUsed(p.right) : p.left.message.slice(0, 100), cost.toFixed(1), (100 * (cost / b.cost - 1)).toFixed(1) + "%", (process.cpuUsage().user / 1000 - t0).toFixed(0) + " cpu ms", (performance.now() - w0).toFixed(0) + "ms")
  if (Either.isRight(p)) { const v = validatePlan(p.right, problem); if (v.length) console.log("INVALID", v.slice(0, 3)) 
    const changed = { ...problem, demands: problem.demands.map((d, i) => i === models >> 1 ? { ...d, rateRps: d.rateRps * 1.3 } : d) }
    const times: number[] = []
    for (let k = 0; k < 5; k++) { const t1 = process.cpuUsage().user / 1000; const q = orion.plan(changed, p.right); times.push(process.cpuUsage().user / 1000 - t1); if (k === 0 && Either.isRight(q)) { const v2 = validatePlan(q.right, changed); if (v2.length) console.log("INVALID replan", v2.slice(0, 3)); row.push("replan", gpusUsed(q.right)) } }
    row.push(times.map((t) => t.toFixed(0)).join("/") + "ms")
  }
  console.log(models, load, types, seed, ...row)
}}
