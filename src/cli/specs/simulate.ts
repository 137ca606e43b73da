import { commandSpec } from "../CommandSpec.js"
import { bestEffort, json, seed } from "./internal/flags.js"
import { serve } from "./serve.js"

/** What `glet simulate` takes. @since 0.1.0 @category commands */
export const simulate = commandSpec({
  name: "simulate",
  summary: "Simulate a load on GPUs that need not be there, or find the highest that keeps its SLOs.",
  examples: [
    { line: "glet simulate scen1", does: "A scenario that comes with this program, on four H200 that were measured." },
    { line: "glet simulate bursty --svg bursty.svg", does: "Also draw rates, plans, failures and batches." },
    { line: "glet simulate scen1 --planner time-share --find-peak", does: "How many times the load a planner's GPUs carry." },
    { line: "glet simulate my.json --profile cpu.json --gpus 2 --json", does: "A scenario of your own on a profile of your own." }
  ],
  positional: { name: "SCENARIO", description: "A file, or the name of one that comes with this program.", required: true },
  flags: {
    profile: { kind: "text", placeholder: "NAME|FILE", default: "h200", description: "What the GPUs are: a profile that comes with this program, or a file of `glet profile --output`." },
    grid: { kind: "integer", placeholder: "PCT", min: 1, max: 100, description: "Also allow shares that are multiples of this, between the measured ones (default: measured ones only)." },
    resourceDir: { kind: "text", placeholder: "DIR", description: "Folder of gpulet's tables, instead of a profile." },
    gpuType: { kind: "text", placeholder: "TYPE", description: "Device of --resource-dir (default: its first)." },
    gpus: { kind: "integer", placeholder: "N", min: 1, max: 10_000, description: "Number of GPUs (default: the scenario's)." },
    planner: serve.flags.planner,
    planEffort: serve.flags.planEffort,
    fixedPlan: { kind: "boolean", description: "Keep the plan for the expected rates, whatever comes." },
    dutyRule: { kind: "choice", choices: ["cycle", "strict"], description: "How plans bound the wait of models that share a glet (default: cycle)." },
    loadFactor: { kind: "number", placeholder: "X", default: 1, min: 1e-6, max: 1e6, description: "Multiplies all rates; where --find-peak begins." },
    duration: { kind: "number", placeholder: "S", min: 0.01, max: 1e7, description: "Simulated seconds of arrivals (default: the scenario's)." },
    warmUp: { kind: "number", placeholder: "S", min: 0, max: 1e6, description: "Seconds whose requests are not counted (default: the scenario's)." },
    overhead: { kind: "number", placeholder: "MS", min: 0, max: 1000, description: "Way of a batch to the glet and back (default: 0.2)." },
    preempt: { kind: "text", placeholder: "MS|off", description: "Best-effort batches over latency-critical glets give way within so many ms, or run to their end (default: as the description of the hardware says)." },
    bestEffort: bestEffort.bestEffort,
    floor: bestEffort.floor,
    gather: bestEffort.gather,
    interference: bestEffort.interference,
    seed,
    svg: { kind: "text", placeholder: "FILE", description: "Write a picture of what happened when; - is stdout." },
    timeline: { kind: "text", placeholder: "FILE", description: "Write the same as JSON; - is stdout." },
    window: { kind: "text", placeholder: "FROM-TO", description: "Time of which every batch is kept for them, ms (default: 200 ms in the middle)." },
    findPeak: { kind: "boolean", description: "Find the highest load factor that keeps the SLOs: bracket, then bisection." },
    limit: { kind: "number", placeholder: "PCT", default: 1, min: 0.01, max: 99, description: "Requests that may miss, of the model or application that fares worst." },
    replications: { kind: "integer", placeholder: "N", default: 3, min: 1, max: 100, description: "Peaks found with seeds of their own, for the confidence interval." },
    precision: { kind: "number", placeholder: "PCT", default: 1, min: 0.05, max: 50, description: "How closely each peak is found." },
    json
  }
})
