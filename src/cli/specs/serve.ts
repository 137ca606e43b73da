import { commandSpec } from "../CommandSpec.js"
import { backend, bestEffort, effort, json } from "./internal/flags.js"

/** What `glet serve` takes. @since 0.1.0 @category commands */
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
    preempt: { kind: "text", placeholder: "MS|off", description: "Best-effort batches on emulated GPUs give way to latency-critical ones within so many ms (default: off, they run to their end)." },
    engine: { kind: "choice", choices: ["auto", "ort-c", "ort-js"], default: "auto", description: "How runners call onnxruntime." },
    ...bestEffort,
    preemption: { kind: "choice", choices: ["on", "off"], default: "on", description: "Whether best-effort batches on NVIDIA GPUs give way to latency-critical ones between two kernels; off is for experiments." },
    overlay: { kind: "integer", placeholder: "PCT", min: 1, max: 100, description: "Planner orion: run best-effort work on this share of a GPU over its latency-critical glets (default: on the best share where batches give way, else none)." },
    edgeToken: { kind: "text", placeholder: "TOKEN", description: "Let edge nodes join with this token (default: GLET_EDGE_TOKEN, else none may)." },
    edgeOrigin: { kind: "texts", placeholder: "ORIGIN", description: "Pages of this origin may join besides those of this machine. Repeatable." },
    edge: { kind: "texts", placeholder: "MODEL", description: "This model may run on edge nodes: its weights and requests go there. Repeatable." },
    requestLog: { kind: "text", placeholder: "FILE", description: "Append one line per request." },
    compatTritonErrors: { kind: "boolean", description: "Answer dropped requests with 503, as Triton does, instead of 429." },
    sharedMemory: { kind: "boolean", description: "Let clients on this host pass tensors in shared memory (Linux)." },
    sharedMemoryDirect: { kind: "choice", choices: ["auto", "on", "off"], description: "With --shared-memory: whether glets read and write large tensors there themselves, instead of having them copied (default: auto, on with --executor cpu)." },
    fronts: { kind: "text", placeholder: "N|auto", description: "Processes that read and answer requests, for hosts with cores to spare; auto: one per four cores, at most 8 (default: auto with --executor cuda, else 0, none but the server's own)." },
    config: { kind: "text", placeholder: "FILE", description: "JSON file with settings; flags and GLET_* variables win." },
    json
  }
})
