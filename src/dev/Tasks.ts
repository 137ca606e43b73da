/**
 * What the page's planner worker does: plans and simulations, by the same functions as the command line.
 *
 * @since 0.1.0
 */
import * as Either from "effect/Either"
import { unsafeModelName } from "../core/Ids.js"
import { counted } from "../core/internal/counted.js"
import { encodePlan, gletsOf, gpusUsed } from "../core/Plan.js"
import type { Profile } from "../core/Profile.js"
import { findPlanner } from "../scheduler/PlannerRegistry.js"
import { noInterference } from "../scheduler/ProfileLatencyModel.js"
import { answerQuestion } from "../scheduler/PlanThread.js"
import type { HardwareDescription } from "../simulator/Hardware.js"
import { profileHardware } from "../simulator/Hardware.js"
import { findPeak } from "../simulator/PeakLoad.js"
import type { Scenario } from "../simulator/Scenario.js"
import { scenarioInput } from "../simulator/ScenarioInput.js"
import { simulate } from "../simulator/Simulation.js"
import type { SimulationInput } from "../simulator/SimulationInput.js"
import { worstViolation } from "../simulator/SimulationReport.js"
import type { Comparison, SimulationQuestion, Task, TaskAnswer } from "./Messages.js"

/** Requests of one simulation in a search for a peak: enough for a percent, few enough for a glance. */
const peakRequests = 12_000
const largestFactor = 64

/** The input of a simulation; a string says why there is none. @since 0.1.0 @category simulation */
export const inputOf = (question: SimulationQuestion): Either.Either<SimulationInput, string> =>
  Either.gen(function*() {
    const planner = yield* Either.mapLeft(findPlanner(question.planner), (error) => error.message)
    const [first, ...others] = question.models.map(({ controls, maxBatch, name }): Scenario["models"][number] => ({
      name: unsafeModelName(name), class: controls.serviceClass, maxBatch, ...(controls.serviceClass === "best-effort" ? {} : { sloMs: controls.sloMs })
    }))
    if (first === undefined) return yield* Either.left("there is no model")
    const [load, ...loads] = question.models.map(({ controls, name }): Scenario["loads"][number] => ({
      model: unsafeModelName(name), arrivals: { process: "poisson", rateRps: controls.rateRps }
    }))
    const profile: Profile = {
      apiVersion: "glet/v1alpha1", kind: "Profile", gpuType: question.gpuType, isolation: question.isolation, units: question.units,
      models: question.profiles
    }
    const hardware: HardwareDescription = {
      apiVersion: "glet/v1alpha1", kind: "Hardware", gpuType: question.gpuType, isolation: question.isolation, memoryBytes: question.memoryBytes,
      gletMemoryBytes: 0, openMs: 20, interference: noInterference
    }
    const scenario: Scenario = {
      apiVersion: "glet/v1alpha1", kind: "Scenario", description: "", gpus: question.gpus, durationMs: question.durationMs,
      warmUpMs: Math.min(2000, question.durationMs / 5), models: [first, ...others], applications: [], loads: [load!, ...loads], failures: []
    }
    return yield* Either.mapLeft(
      scenarioInput(scenario, profileHardware(profile, hardware, question.gridPct), {
        // The plan for the rates as they are: what it is worth, not how soon another one follows.
        planner, seed: question.seed, loadFactor: question.loadFactor, replans: false, plan: { maxGletsPerGpu: question.maxGletsPerGpu }
      }),
      (error) => error.message
    )
  })

/** How a planner does with a load, and how much more it could carry. @since 0.1.0 @category simulation */
export const compare = (question: SimulationQuestion): Comparison => {
  const nothing: Comparison = { planner: question.planner, problem: "", gpus: 0, glets: 0, sloKept: 0, peakFactor: 0 }
  const input = inputOf(question)
  if (Either.isLeft(input)) return { ...nothing, problem: input.left }
  const report = simulate(input.right)
  const plan = report.plans[0]
  if (plan === undefined) return { ...nothing, problem: report.incidents[0]?.detail ?? "no plan was found" }
  const totalRps = question.models.reduce((sum, { controls }) => sum + controls.rateRps, 0)
  const critical = report.streams.filter((stream) => stream.sloMs !== undefined)
  const peak = findPeak((factor) => {
    if (factor > largestFactor) return 1
    const durationMs = Math.min(20_000, (1000 * peakRequests) / Math.max(1, totalRps * factor))
    const at = inputOf({ ...question, loadFactor: factor, durationMs })
    return Either.isLeft(at) ? 1 : worstViolation(simulate(at.right).streams)
  }, { limit: 0.01, replications: 1, precision: 0.05, startFactor: 1 })
  const offered = critical.reduce((sum, stream) => sum + stream.offered, 0)
  return {
    ...nothing, gpus: plan.gpus, glets: plan.glets, peakFactor: peak.factor,
    sloKept: offered === 0 ? 1 : critical.reduce((sum, stream) => sum + stream.sloKept * stream.offered, 0) / offered
  }
}

/** Answers a task; what is thrown is an answer too. @since 0.1.0 @category tasks */
export const answerTask = (task: Task): TaskAnswer => {
  try {
    switch (task.kind) {
      case "plan":
        return { kind: "plan", answer: answerQuestion(task.question) }
      case "plan-text": {
        const answer = answerQuestion(task.question)
        return { kind: "text", text: answer.ok ? encodePlan(answer.plan) : JSON.stringify(answer) }
      }
      case "simulate-text": {
        const input = inputOf(task.question)
        return { kind: "text", text: Either.isLeft(input) ? input.left : JSON.stringify(simulate(input.right)) }
      }
      case "compare":
        return { kind: "compare", row: compare(task.question) }
    }
  } catch (defect) {
    return { kind: "failed", detail: String(defect) }
  }
}

/** Glets and GPUs of a plan in words. @since 0.1.0 @category words */
export const planSize = (plan: Parameters<typeof gpusUsed>[0]): string => {
  const glets = gletsOf(plan).length
  const gpus = gpusUsed(plan)
  return `${counted(glets, "glet")} on ${counted(gpus, "GPU")}`
}
