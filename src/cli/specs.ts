/**
 * Every subcommand of `glet`.
 *
 * @since 0.1.0
 */
import type { CommandSpec } from "./CommandSpec.js"
import { commandSpec } from "./CommandSpec.js"

const json = { kind: "boolean", description: "Write one JSON document to stdout instead of text." } as const
const server = { kind: "text", placeholder: "URL", default: "http://127.0.0.1:8000", description: "The server to ask." } as const
const seed = { kind: "integer", placeholder: "N", default: 1, min: 0, description: "Seed of everything random." } as const

const backend = {
  models: { kind: "text", placeholder: "DIR", required: true, description: "Folder of .onnx files, or a model repository in Triton's layout." },
  slo: { kind: "pairs", placeholder: "MODEL=MS", description: "Latency objective of a model. Repeatable." },
  rate: { kind: "pairs", placeholder: "MODEL=RPS", description: "Rate to plan for before any request was seen. Repeatable." },
  class: { kind: "pairs", placeholder: "MODEL=CLASS", description: "latency-critical or best-effort. Repeatable." },
  maxBatch: { kind: "pairs", placeholder: "MODEL=N", description: "Largest batch of a model. Repeatable." },
  cores: { kind: "integer", placeholder: "N", min: 1, max: 1024, description: "Cores of the CPU that are the GPU (default: all)." },
  profileBudget: { kind: "integer", placeholder: "MS", default: 500, min: 10, max: 600_000, description: "Time to measure a model that has no profile; as much for each share where executions are long." },
  profiles: { kind: "text", placeholder: "DIR", description: "Where profiles are kept (default: the user's cache folder)." }
} as const

/** What is done for latency-critical models beside best-effort work; each can be taken away, to see what it brings. */
const bestEffort = {
  bestEffort: { kind: "choice", choices: ["gate", "slack", "open"], default: "gate", description: "When best-effort batches may start: as the gate allows; for experiments within the plan's slack alone, or whenever their glet is free." },
  floor: { kind: "number", placeholder: "PCT", default: 1, min: 0, max: 100, description: "Part of a glet's time that best-effort work gets even where latency-critical work always waits, as far as SLOs allow; needs --best-effort gate." },
  interference: { kind: "choice", choices: ["on", "off"], default: "on", description: "Whether plans count on glets of one GPU slowing each other down; off is for experiments." },
  priorities: { kind: "choice", choices: ["on", "off"], default: "on", description: "Whether best-effort glets get a lower priority of the GPU; off is for experiments." }
} as const

const effort = { kind: "choice", choices: ["quick", "normal", "thorough"] } as const

export const serve = commandSpec({
  name: "serve",
  summary: "Serve a folder of models: profile, plan, answer requests.",
  examples: [
    { line: "glet serve --models ./models", does: "Serve every model of a folder on port 8000." },
    { line: "glet serve --models ./models --slo resnet50=50 --class embed=best-effort", does: "Say what must be fast and what may wait." },
    { line: "glet serve --models ./models --executor cuda", does: "On this host's NVIDIA GPUs, after glet cuda install." },
    { line: "glet serve --models ./models --executor webgpu", does: "On the GPU of a developer's machine, whoever made it." },
    { line: "glet serve --models ./models --port 0 --json", does: "Take a free port; the ready line is JSON." }
  ],
  flags: {
    ...backend,
    port: { kind: "integer", placeholder: "N", min: 0, max: 65535, description: "Port to listen on; 0 takes a free one (default: 8000)." },
    host: { kind: "text", placeholder: "ADDR", description: "Address to listen on (default: 127.0.0.1)." },
    planner: { kind: "text", placeholder: "NAME", default: "orion", description: "Planning algorithm; `glet plan --help` lists them." },
    planEffort: { ...effort, default: "quick", description: "How long planner orion searches for a plan: steps for about 0.1, 1 and 10 s at a hundred models. Requests do not wait for it; a changed load does." },
    executor: { kind: "choice", choices: ["cpu", "cuda", "webgpu", "emulated"], default: "cpu", description: "What runs the models: this CPU, the NVIDIA GPUs (all, or those of CUDA_VISIBLE_DEVICES), any GPU through WebGPU, or a replay of profiles." },
    isolation: { kind: "choice", choices: ["auto", "mps", "green", "stream"], default: "auto", description: "How shares of NVIDIA GPUs are enforced; auto says in the log what it takes, and why." },
    gletMemory: { kind: "integer", placeholder: "MIB", min: 64, max: 1_000_000, description: "Device memory that a glet may take at most; needs --isolation mps (default: no limit)." },
    emulate: { kind: "text", placeholder: "FILE", description: "Profile that --executor emulated replays." },
    gpus: { kind: "integer", placeholder: "N", min: 1, max: 1024, description: "GPUs to emulate (default: 1)." },
    engine: { kind: "choice", choices: ["auto", "ort-c", "ort-js"], default: "auto", description: "How runners call onnxruntime." },
    ...bestEffort,
    overlay: { kind: "integer", placeholder: "PCT", min: 1, max: 100, description: "Planner orion: run best-effort work on this share of a GPU over its latency-critical glets, instead of beside them (default: beside)." },
    edgeToken: { kind: "text", placeholder: "TOKEN", description: "Let edge nodes join with this token (default: GLET_EDGE_TOKEN, else none may)." },
    edgeOrigin: { kind: "texts", placeholder: "ORIGIN", description: "Pages of this origin may join besides those of this machine. Repeatable." },
    edge: { kind: "texts", placeholder: "MODEL", description: "This model may run on edge nodes: its weights and requests go there. Repeatable." },
    requestLog: { kind: "text", placeholder: "FILE", description: "Append one line per request." },
    compatTritonErrors: { kind: "boolean", description: "Answer dropped requests with 503, as Triton does, instead of 429." },
    sharedMemory: { kind: "boolean", description: "Let clients on this host pass tensors in shared memory (Linux)." },
    fronts: { kind: "text", placeholder: "N|auto", description: "Processes that read and answer requests, for hosts with cores to spare; auto: one per four cores (default: 0, none but the server's own)." },
    config: { kind: "text", placeholder: "FILE", description: "JSON file with settings; flags and GLET_* variables win." },
    json
  }
})

export const run = commandSpec({
  name: "run",
  summary: "Run one model without a server and show its latency distribution.",
  examples: [
    { line: "glet run model.onnx --n 1000", does: "1000 executions, one after the other." },
    { line: "glet run model.onnx --n 500 --batch 8 --interval 10", does: "Batches of 8, exponential gaps of 10 ms on average." }
  ],
  positional: { name: "MODEL", description: "An .onnx file.", required: true },
  flags: {
    n: { kind: "integer", placeholder: "N", default: 200, min: 1, max: 100_000_000, description: "Executions to measure." },
    batch: { kind: "integer", placeholder: "N", default: 1, min: 1, max: 65536, description: "Items of an execution." },
    interval: { kind: "number", placeholder: "MS", default: 0, min: 0, max: 3_600_000, description: "Mean gap between starts, exponential; 0 is back to back." },
    warmUp: { kind: "integer", placeholder: "N", default: 10, min: 0, max: 1_000_000, description: "Executions before measuring." },
    share: { kind: "integer", placeholder: "PCT", default: 100, min: 1, max: 100, description: "Share of the cores." },
    cores: backend.cores,
    executor: { kind: "choice", choices: ["cpu", "cuda", "webgpu"], default: "cpu", description: "What runs the model: this CPU, the first NVIDIA GPU, or a GPU through WebGPU." },
    isolation: serve.flags.isolation,
    engine: serve.flags.engine,
    seed,
    json
  }
})

export const profile = commandSpec({
  name: "profile",
  summary: "Measure models at every share and batch size.",
  examples: [
    { line: "glet profile --models ./models", does: "Measure what was never measured; keep it for `serve` and `plan`." },
    { line: "glet profile --models ./models --force --output cpu.json", does: "Measure anew and write a profile file as well." },
    { line: "glet profile --models ./models --types --svg roofline.svg", does: "Also say what kind of work each model is, and draw it." },
    { line: "glet profile --models ./zoo --gpu --isolation green", does: "Measure on the first NVIDIA GPU; what an earlier run has measured stays." }
  ],
  flags: {
    models: backend.models,
    only: { kind: "texts", placeholder: "MODEL", description: "Measure this model only. Repeatable." },
    gpu: { kind: "boolean", description: "Measure on the first NVIDIA GPU instead of this CPU." },
    isolation: serve.flags.isolation,
    budget: { kind: "integer", placeholder: "MS", default: 2000, min: 10, max: 600_000, description: "Time for each model." },
    force: { kind: "boolean", description: "Measure again what has a profile." },
    types: { kind: "boolean", description: "Also measure what limits each model: arithmetic, memory, or neither." },
    pairs: { kind: "boolean", description: "Also measure how each model slows each other one down, beside it on half of the GPU." },
    svg: { kind: "text", placeholder: "FILE", description: "Draw the types under the device's roofline; with --types." },
    output: { kind: "text", placeholder: "FILE", description: "Also write all profiles to one file; - is stdout." },
    maxBatch: backend.maxBatch,
    cores: backend.cores,
    profiles: backend.profiles,
    engine: serve.flags.engine,
    json
  }
})

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
    bestEffort: bestEffort.bestEffort,
    floor: bestEffort.floor,
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

export const bench = commandSpec({
  name: "bench",
  summary: "Send open-loop load to a server and measure latency from the scheduled time.",
  examples: [
    { line: "glet bench lenet-digits --rate 200 --duration 10", does: "Poisson arrivals at 200 requests/s for 10 s." },
    { line: "glet bench resnet50 --rate 20 --batch 8 --distribution uniform --body binary", does: "Equal gaps, 8 items a request, binary tensors." },
    { line: "glet bench lenet-digits --rate-file day.txt --period 20 --csv -", does: "A rate per line, each for 20 s; one CSV line per period." },
    { line: "glet bench --scenario scen2 --find-peak", does: "A scenario of glet simulate in real time: the highest load that keeps its SLOs." }
  ],
  positional: { name: "MODEL", description: "The model to ask; none with --scenario.", required: false },
  flags: {
    server,
    scenario: { kind: "text", placeholder: "NAME|FILE", description: "Play a scenario of `glet simulate` instead: its models must be served by their names." },
    loadFactor: { ...simulate.flags.loadFactor, description: "Multiplies all rates of --scenario; where --find-peak begins." },
    findPeak: { kind: "boolean", description: "Find the highest load factor at which --scenario keeps its SLOs." },
    limit: { ...simulate.flags.limit, description: "For --find-peak: requests that may miss, of the model or application that fares worst." },
    gpuSuite: { kind: "text", placeholder: "DIR", description: "Find the peaks of seven scenarios on this host's GPU, ours and what one would do without it, with the models of a folder (scripts/make-zoo.ts)." },
    scenarios: { kind: "text", placeholder: "A,B", description: "For --gpu-suite: only these scenarios." },
    systems: { kind: "text", placeholder: "A,B", description: "For --gpu-suite: only these of orion, orion-green, time-share, elastic-int, mps, equal-shares." },
    emulate: { kind: "text", placeholder: "FILE", description: "For --gpu-suite: replay a profile instead of using the GPU." },
    profile: { ...simulate.flags.profile, description: "For --gpu-suite: the profile whose simulated peak is where each search begins." },
    profiles: backend.profiles,
    output: { kind: "text", placeholder: "FILE", description: "For --gpu-suite: where results go, a line each; what is there is not measured again (default: gpu-suite.jsonl)." },
    precision: { ...simulate.flags.precision, default: 5, description: "For --find-peak: how closely the peak is found." },
    n: { kind: "integer", placeholder: "N", min: 1, max: 1_000_000_000, description: "Requests to count (default: as many as --duration holds)." },
    duration: { kind: "number", placeholder: "S", min: 0.1, max: 604_800, description: "Seconds to count (default: 10, or until --n, or one round of --rate-file)." },
    batch: { kind: "integer", placeholder: "N", default: 1, min: 1, max: 65536, description: "Items of a request." },
    rate: { kind: "number", placeholder: "RPS", min: 0.001, max: 1_000_000, description: "Requests per second (default: 10)." },
    rateFile: { kind: "text", placeholder: "FILE", description: "Rates, one per line, from the first again after the last." },
    trace: { kind: "text", placeholder: "FILE", description: "Times of requests in ms, one per line, ascending; from the start again after the last." },
    clients: { kind: "integer", placeholder: "N", min: 1, max: 4096, description: "Endless work instead of a rate: so many requests in flight, each followed by the next." },
    period: { kind: "number", placeholder: "S", default: 20, min: 0.01, max: 86_400, description: "Seconds each line of --rate-file lasts." },
    distribution: { kind: "choice", choices: ["exp", "uniform"], default: "exp", description: "Gaps between requests." },
    seed,
    warmUp: { kind: "number", placeholder: "S", default: 1, min: 0, max: 3600, description: "Seconds of load before counting." },
    connections: { kind: "integer", placeholder: "N", min: 1, max: 10_000, description: "Most requests in flight; more wait, on the clock (default: 64; 1024 with --scenario)." },
    timeout: { kind: "number", placeholder: "S", default: 30, min: 0.01, max: 3600, description: "A request without an answer for this long has failed." },
    slo: { kind: "number", placeholder: "MS", min: 0.001, max: 1e9, description: "Objective to count by (default: the model's own)." },
    deadline: { kind: "number", placeholder: "MS", min: 0.001, max: 86_400_000, description: "Limit that each request brings (its `timeout`), after which it is dropped instead of at the model's objective." },
    body: { kind: "choice", choices: ["json", "binary", "shared"], default: "json", description: "How tensors are sent; shared: through memory, to a server on this host with --shared-memory." },
    input: { kind: "text", placeholder: "FILE", description: "A v2 request body in JSON, or a list of them, instead of random inputs." },
    shape: { kind: "texts", placeholder: "INPUT=1,2,3", description: "Shape of an input with free sizes. Repeatable." },
    csv: { kind: "text", placeholder: "FILE", description: "Write one CSV line per period; - is stdout." },
    json
  }
})

export const batch = commandSpec({
  name: "batch",
  summary: "Run files of requests through a server as best-effort work; goes on where it was stopped.",
  examples: [
    { line: "glet batch --model embed --input requests.jsonl --output answers", does: "A v2 request on each line; line k of answers/requests.jsonl answers it." },
    { line: "glet batch --model embed --input requests/ --output answers", does: "All .json, .jsonl and .jsonl.gz of a folder." },
    { line: "glet batch --model embed --input requests.jsonl --output answers", does: "The same again after it was killed: what is answered is not asked again." }
  ],
  flags: {
    model: { kind: "text", placeholder: "MODEL", required: true, description: "The model to ask." },
    input: { kind: "texts", placeholder: "PATH", description: "A .jsonl, .jsonl.gz or .json file, or a folder of them. Repeatable." },
    output: { kind: "text", placeholder: "DIR", required: true, description: "Folder for the answers; made where it is missing." },
    server,
    concurrency: { kind: "integer", placeholder: "N", default: 64, min: 1, max: 4096, description: "Requests in flight at most." },
    patience: { kind: "number", placeholder: "S", default: 600, min: 0, max: 604_800, description: "Give up where the server answers nothing for this long." },
    json
  }
})

export const status = commandSpec({
  name: "status",
  summary: "Show plan, glets and models of a server: predicted against measured.",
  examples: [
    { line: "glet status", does: "The server on port 8000 of this machine." },
    { line: "glet status --watch --json", does: "One JSON line per second." }
  ],
  flags: {
    server,
    watch: { kind: "boolean", description: "Show it again and again until interrupted." },
    interval: { kind: "number", placeholder: "S", default: 1, min: 0.1, max: 3600, description: "Seconds between two looks of --watch." },
    json
  }
})

export const models = commandSpec({
  name: "models",
  summary: "List the models of a server, and why one is not served.",
  examples: [{ line: "glet models", does: "The server on port 8000 of this machine." }],
  flags: { server, json }
})

export const doctor = commandSpec({
  name: "doctor",
  summary: "Check what this machine offers and how to mend what is missing.",
  examples: [
    { line: "glet doctor", does: "Exit code 4 where something essential is missing." },
    { line: "glet doctor --cuda --fix", does: "All that --executor cuda needs is essential; mend what can be mended safely." }
  ],
  flags: {
    cuda: { kind: "boolean", description: "Count what --executor cuda needs as essential." },
    fix: { kind: "boolean", description: "Mend what harms nothing: install the CUDA provider, remove what dead MPS daemons left." },
    json
  }
})

export const cuda = commandSpec({
  name: "cuda",
  summary: "Install ONNX Runtime's CUDA provider for --executor cuda.",
  examples: [
    { line: "glet cuda install", does: "Take it from PyPI by pip, in the version that fits." },
    { line: "glet cuda install --from onnxruntime_gpu-1.30.0-cp312-cp312-manylinux_2_28_x86_64.whl", does: "From a wheel, on a host without network." }
  ],
  positional: { name: "ACTION", description: "What to do.", required: true, choices: ["install"] },
  flags: {
    from: { kind: "text", placeholder: "PATH", description: "A wheel of onnxruntime-gpu, a folder with one, or a folder with its libraries." },
    force: { kind: "boolean", description: "Also where it is installed already." },
    json
  }
})

export const config = commandSpec({
  name: "config",
  summary: "Show the settings a server would take, and where each comes from.",
  examples: [
    { line: "glet config show", does: "Defaults and GLET_* variables." },
    { line: "glet config show --config glet.json --json", does: "With a file, as JSON." }
  ],
  positional: { name: "ACTION", description: "What to do.", required: true, choices: ["show"] },
  flags: { config: serve.flags.config, port: serve.flags.port, host: serve.flags.host, requestLog: serve.flags.requestLog, compatTritonErrors: serve.flags.compatTritonErrors, sharedMemory: serve.flags.sharedMemory, fronts: serve.flags.fronts, json }
})

export const demo = commandSpec({
  name: "demo",
  summary: "Serve four small models here and send them real load for half a minute.",
  examples: [
    { line: "glet demo", does: "500 handwritten digits and three more models on the CPU." },
    { line: "glet demo --json", does: "Ends with one JSON line of results." }
  ],
  flags: {
    duration: { kind: "number", placeholder: "S", default: 12, min: 1, max: 3600, description: "Seconds of load." },
    seed,
    json
  }
})

export const dev = commandSpec({
  name: "dev",
  summary: "Open scheduler, planners and simulator in a browser, on its own GPU.",
  examples: [
    { line: "glet dev", does: "Serve the page on port 4840 of this machine." },
    { line: "glet dev --port 0 --json", does: "Take a free port; the ready line is JSON." }
  ],
  flags: {
    port: { kind: "integer", placeholder: "N", default: 4840, min: 0, max: 65535, description: "Port to listen on; 0 takes a free one." },
    host: { kind: "text", placeholder: "ADDR", default: "127.0.0.1", description: "Address to listen on. Browsers give a GPU to localhost and HTTPS only." },
    json
  }
})

/** The demo's client, a process of its own. */
export const demoClient = commandSpec({
  name: "demo-client",
  summary: "Send the demo's load; its task comes on stdin.",
  examples: [],
  flags: {},
  hidden: true
})

/** In the order of help. */
export const specs: ReadonlyArray<CommandSpec> = [serve, demo, dev, bench, batch, status, models, plan, simulate, profile, run, doctor, cuda, config, demoClient]
