/** Compares planners by simulation, in a worker of its own: a new comparison ends the one before. */
import * as Effect from "effect/Effect"
import { planners } from "../../scheduler/PlannerRegistry.js"
import type { TaskWorker } from "../HostOptions.js"
import type { SimulationQuestion } from "../Messages.js"
import type { HostContext } from "./hostContext.js"
import { failedAnswer, registered } from "./hostContext.js"

/** Planners that a page can switch to: `static` needs a partition that nobody drew. */
const comparable = planners.filter(({ name }) => name !== "static").map(({ name }) => name)

export const makeComparison = (context: HostContext): Effect.Effect<void> => {
  const { gpu, options, world } = context
  let comparing: TaskWorker | undefined
  return Effect.gen(function*() {
    comparing?.close()
    const own = options.startWorker()
    comparing = own
    const base: Omit<SimulationQuestion, "planner"> = {
      gpuType: gpu.type, isolation: "emulated", units: gpu.units, memoryBytes: gpu.memoryBytes, gpus: world.gpus.length, gridPct: world.gridPct,
      maxGletsPerGpu: world.maxGletsPerGpu, seed: 1, durationMs: 8000, loadFactor: 1,
      profiles: registered(context).map(({ profile }) => profile!),
      models: registered(context).map(({ controls, model }) => ({ name: model.name, controls, maxBatch: model.maxBatch }))
    }
    for (const [done, planner] of comparable.entries()) {
      const answer = yield* own.ask({ kind: "compare", question: { ...base, planner } })
      if (comparing !== own) return
      const row = answer.kind === "compare" ? answer.row : { planner, problem: failedAnswer(answer), gpus: 0, glets: 0, sloKept: 0, peakFactor: 0 }
      options.post({ kind: "compared", row, done: done + 1, total: comparable.length })
    }
    own.close()
    comparing = undefined
  })
}
