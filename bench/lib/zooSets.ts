/** Seeded problems of the models of the GPU suite, by what was measured of them on an H200: few models on a few GPUs. */
import * as fs from "node:fs"
import type { Gpu } from "../../src/core/Gpu.js"
import { unsafeGpuId } from "../../src/core/Ids.js"
import { makeRandom } from "../../src/core/internal/random.js"
import type { Demand, PlanProblem } from "../../src/core/PlanProblem.js"
import { defaultPlanOptions } from "../../src/core/PlanProblem.js"
import type { Profile } from "../../src/core/Profile.js"
import * as ProfileLatencyModel from "../../src/scheduler/ProfileLatencyModel.js"

const profile = JSON.parse(fs.readFileSync("resource/zoo/h200/mps.json", "utf8")) as Profile

const grids: ReadonlyArray<Gpu["sharesPct"]> = [
  [10, 20, 30, 40, 50, 60, 70, 80, 90, 100], [20, 40, 50, 60, 80, 100],
  [5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60, 65, 70, 75, 80, 85, 90, 95, 100]
]

/** Three to ten models, SLOs from what a whole GPU just keeps to 25 times that, rates over two decades, 1.2 to 5 GPUs' worth of load, about. */
export const makeZooSet = (seed: number, gpus: number): PlanProblem => {
  const random = makeRandom(seed * 101 + 7)
  const decades = (low: number, high: number): number => low * (high / low) ** random()
  const count = 3 + Math.floor(random() * 8)
  const models = profile.models.map((model) => ({ model, order: random() })).sort((a, b) => a.order - b.order).slice(0, count).map(({ model }) => model)
  const sharesPct = grids[Math.floor(random() * grids.length)]!
  const load = decades(1.2, 5)
  const shapes = models.map((model) => {
    const whole = model.points.filter((point) => point.sharePct === 100)
    const singleMs = whole.find(({ batch }) => batch === 1)!.p99Ms
    const sloMs = 2.4 * singleMs * decades(1, 25)
    const inTime = whole.filter(({ p99Ms }) => 2 * defaultPlanOptions.latencyHeadroom * p99Ms <= sloMs)
    return { model, sloMs, mostRps: Math.max(500 / singleMs, ...inTime.map(({ batch, p99Ms }) => (1000 * batch) / p99Ms)), popularity: decades(1, 100) }
  })
  const all = shapes.reduce((sum, { popularity }) => sum + popularity, 0)
  const list = Array.from({ length: gpus }, (_, i): Gpu => ({ id: unsafeGpuId(`h200:${i}`), type: "h200", isolation: "mps", units: 132, memoryBytes: 150e9, sharesPct }))
  return {
    gpus: list,
    demands: shapes.map(({ model, mostRps, popularity, sloMs }): Demand => ({
      model: model.model, serviceClass: "latency-critical", rateRps: (popularity / all) * load * mostRps, sloMs, maxBatch: 32
    })),
    latency: ProfileLatencyModel.makeFor(new Map([["h200", new Map(models.map((model) => [model.model, model]))]]), list),
    options: defaultPlanOptions
  }
}
