import { commandSpec } from "../CommandSpec.js"
import { backend, json, seed, server } from "./internal/flags.js"
import { serve } from "./serve.js"
import { simulate } from "./simulate.js"

/** What `glet bench` takes. @since 0.1.0 @category commands */
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
    sharedMemoryDirect: { ...serve.flags.sharedMemoryDirect, description: "For --gpu-suite with --body shared: whether glets read and write large tensors in the client's memory themselves (as `glet serve` has it)." },
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
    threads: { kind: "integer", placeholder: "N", min: 1, max: 64, description: "Threads that send, with --scenario and --gpu-suite (default: one for four processors, four at most)." },
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
