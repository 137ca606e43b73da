import { makePlanTables } from "../src/scheduler/internal/planTables.js"
import { makeSearchSpace } from "../src/scheduler/internal/search/searchSpace.js"
import { makeGpuSolver } from "../src/scheduler/internal/search/gpuState.js"
import { construct } from "../src/scheduler/internal/search/construct.js"
import { balancedPrices } from "../src/scheduler/internal/search/prices.js"
import { makeFleet } from "../src/scheduler/internal/search/fleet.js"
import { makeRandom } from "../src/core/internal/random.js"
import { fewestBound } from "../src/scheduler/bounds/FewestBound.js"
import { makeTaskSet } from "./lib/taskSets.js"
const now = () => process.cpuUsage().user / 1000
for (const [models, load] of [[9, 256], [50, 10], [50, 50], [200, 50], [200,200], [1000, 100], [1000, 800]] as const) for (const seed of [1]) {
  const problem = makeTaskSet({ seed, models, loadGpus: load, gpus: load * 2, types: 1 })
  let t0 = now()
  const lb = fewestBound(problem).gpus
  const tb = now() - t0
  t0 = now()
  const space = makeSearchSpace(makePlanTables(problem))
  const solver = makeGpuSolver(space)
  const targets = Float64Array.from(problem.demands, (d) => d.rateRps)
  const { prices, costs } = balancedPrices(space, targets)
  const weights = costs.map((c, i) => c / targets[i]!)
  const t1 = now()
  const states = construct(space, solver, { prices, weights, lack: Float64Array.from(targets), random: makeRandom(1) }, new Array(5000).fill(0))
  const t2 = now()
  const cnt = new Map<object, number>()
  for (const st of states) cnt.set(st, (cnt.get(st) ?? 0) + 1)
  let bulk = 0, bulkV = 0, rest = 0, restV = 0
  const tot = new Float64Array(models)
  for (const [st, c] of cnt) { const g = st as any; let v = 0; g.models.forEach((m: number, i: number) => { v += weights[m]! * Math.min(g.rps[i], targets[m]! - tot[m]!) ; tot[m]! += Math.min(targets[m]! - tot[m]!, g.rps[i]! * c) }); if (c > 1) { bulk += c; bulkV += v * c } else { rest++; restV += v } }
  console.log("   bulk", bulk, (bulkV / bulk).toFixed(3), "rest", rest, (restV / rest).toFixed(3), "free", (states.reduce((s2, g) => s2 + g.freePct, 0) / states.length).toFixed(1))
  let line = ""
  const seq = [...cnt.keys()] as any[]
  for (let i = 0; i < seq.length; i += Math.max(1, seq.length >> 4)) { const g = seq[i]; let v = 0; g.models.forEach((m: number, j: number) => { v += weights[m]! * Math.min(g.rps[j], targets[m]!) }); line += v.toFixed(2) + "(" + g.glets.map((q: any) => space.kinds[0]!.sharesPct[q.share] + ":" + q.models.length).join(" ") + ") " }
  console.log(line)
  const fleet = makeFleet(space, states, weights, targets)
  console.log(models, load, seed, "lb", lb, "cost", costs.reduce((a, b) => a + b, 0).toFixed(1), "mem", prices.memory.toFixed(2), "built", states.length, (100 * (states.length / lb - 1)).toFixed(1) + "%", "penalty", fleet.penalty(), "tables", (t1 - t0).toFixed(0), "ms", "build", (t2 - t1).toFixed(0), "bound", tb.toFixed(0))
}
