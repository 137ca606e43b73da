import { commandSpec } from "../CommandSpec.js"
import { backend, effort, json } from "./internal/flags.js"

/** What `glet plan` takes. @since 0.1.0 @category commands */
export const plan = commandSpec({
  name: "plan",
  summary: "Plan glets for models and rates, and explain the plan.",
  examples: [
    { line: "glet plan --models ./models --rate lenet=200", does: "Plan for this machine with the profiles kept by `profile` or `serve`." },
    { line: "glet plan --problem problem.json --explain", does: "Plan for any GPUs, models and profiles, and say why; the format is below." },
    { line: "glet plan --problem problem.json --json --svg plan.svg", does: "The plan itself, and a picture; exit code 3 with the culprits where there is none." },
    {
      line: "glet plan --task-config rates.csv --sched-config sim-config.json --resource-dir resource --output ModelList.txt",
      does: "gpulet's files: plan as its offline planner does."
    },
    { line: "glet plan --cases cases.jsonl.gz --resource profile --planner orion,elastic-int --out plans.jsonl", does: "The fewest GPUs for each of many task sets." }
  ],
  flags: {
    problem: { kind: "text", placeholder: "FILE", description: "A planning problem in JSON; - is stdin." },
    ...backend,
    models: { kind: "text", placeholder: "DIR", description: backend.models.description },
    planner: {
      kind: "text", placeholder: "NAME",
      description: "Planning algorithm, of those below (default: orion; with --sched-config the one it describes). With --cases several, comma-separated."
    },
    degrade: { kind: "boolean", description: "Plan what fits and list what does not, instead of failing." },
    effort: { ...effort, description: "How long planner orion searches: steps for about 0.1, 1 and 10 s at a hundred models (default: the problem's, else normal)." },
    bound: {
      kind: "choice", choices: ["quick", "thorough", "proof"],
      description: "How hard to prove that no plan needs fewer GPUs: proof takes seconds where few are needed (default: thorough; with --cases proof)."
    },
    explain: { kind: "boolean", description: "Say for each model why it is where it is, what limits it, and what the next GPU would buy." },
    svg: { kind: "text", placeholder: "FILE", description: "Write a picture of the plan; - is stdout." },
    output: { kind: "text", placeholder: "FILE", description: "Write the plan as gpulet's ModelList.txt, EMPTY where there is none; - is stdout." },
    modelList: { kind: "text", placeholder: "FILE", description: "A ModelList.txt: the partition that planner static takes." },
    taskConfig: { kind: "text", placeholder: "FILE", description: "gpulet's task file: lines `model,rate,SLO` after their number." },
    schedConfig: { kind: "text", placeholder: "FILE", description: "gpulet's scheduler configuration: GPUs and algorithm." },
    deviceConfig: { kind: "text", placeholder: "FILE", description: "gpulet's description of GPU types (default: device-config.json in --resource-dir)." },
    memConfig: { kind: "text", placeholder: "FILE", description: "gpulet's memory of models (default: mem-config.json in --resource-dir)." },
    proxyConfig: { kind: "text", placeholder: "FILE", description: "gpulet's inputs and outputs of models (default: proxy_config.json in --resource-dir)." },
    resourceDir: { kind: "text", placeholder: "DIR", description: "Folder of gpulet's tables; files named in --device-config are relative to it." },
    fullSearch: { kind: "boolean", description: "elastic, elastic-int: try every first cut of the GPUs." },
    cases: { kind: "text", placeholder: "FILE", description: "Task sets as lines of JSON, .gz or not: find the fewest GPUs for each; - is stdin." },
    resource: { kind: "text", placeholder: "DIR", description: "The same as --resource-dir." },
    out: { kind: "text", placeholder: "FILE", description: "Where --cases writes its lines (default: stdout)." },
    json
  }
})
