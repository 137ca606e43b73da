/**
 * What `glet plan --help` says of planners and of its input.
 *
 * @since 0.1.0
 */
import { planners, solverPlanners } from "../scheduler/PlannerRegistry.js"

/** @since 0.1.0 @category help */
export const plannerList = (): string => `\
Planners
${[...planners, ...solverPlanners].map((planner) => `  ${planner.name}: ${planner.summary}`).join("\n")}

A problem
  {
    "apiVersion": "glet/v1alpha1", "kind": "PlanProblem",
    "gpus": [{ "type": "h200", "count": 2, "isolation": "mps", "units": 132, "memoryBytes": 150e9, "sharesPct": [20, 40, 50, 60, 80, 100] }],
    "models": [{ "name": "resnet50", "sloMs": 108, "rateRps": 400, "maxBatch": 32 }, { "name": "bert", "class": "best-effort", "maxBatch": 8 }],
    "profiles": ["resource/profiles/h200/mps.json"],
    "options": { "latencyHeadroom": 1.1, "interference": true, "effort": "normal" }
  }
  Rates are items per second, head-room for bursts included. Profiles are files as glet profile writes them, relative to the problem, or such
  documents themselves; that one comes with the package. Options are optional, and each of them.`
