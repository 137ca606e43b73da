/** Flags that several commands take. */

export const json = { kind: "boolean", description: "Write one JSON document to stdout instead of text." } as const
export const server = { kind: "text", placeholder: "URL", default: "http://127.0.0.1:8000", description: "The server to ask." } as const
export const seed = { kind: "integer", placeholder: "N", default: 1, min: 0, description: "Seed of everything random." } as const

export const backend = {
  models: { kind: "text", placeholder: "DIR", required: true, description: "Folder of .onnx files, or a model repository in Triton's layout." },
  slo: { kind: "pairs", placeholder: "MODEL=MS", description: "Latency objective of a model. Repeatable." },
  rate: { kind: "pairs", placeholder: "MODEL=RPS", description: "Rate to plan for before any request was seen; room for bursts comes on top. Repeatable." },
  class: { kind: "pairs", placeholder: "MODEL=CLASS", description: "latency-critical or best-effort. Repeatable." },
  maxBatch: { kind: "pairs", placeholder: "MODEL=N", description: "Largest batch of a model. Repeatable." },
  cores: { kind: "integer", placeholder: "N", min: 1, max: 1024, description: "Cores of the CPU that are the GPU (default: all that this process, or its container, may use)." },
  profileBudget: { kind: "integer", placeholder: "MS", default: 500, min: 10, max: 600_000, description: "Time to measure a model that has no profile; as much for each share where executions are long." },
  profiles: { kind: "text", placeholder: "DIR", description: "Where profiles are kept (default: the user's cache folder)." }
} as const

/** What is done for latency-critical models beside best-effort work; each can be taken away, to see what it brings. */
export const bestEffort = {
  bestEffort: { kind: "choice", choices: ["gate", "slack", "open"], default: "gate", description: "When best-effort batches may start: as the gate allows; for experiments within the plan's slack alone, or whenever their glet is free." },
  floor: { kind: "number", placeholder: "PCT", default: 1, min: 0, max: 100, description: "Part of a glet's time that best-effort work gets even where latency-critical work always waits, as far as SLOs allow; needs --best-effort gate." },
  gather: { kind: "choice", choices: ["on", "off"], default: "on", description: "Whether latency-critical requests wait for larger batches, as far as their SLOs allow, while best-effort batches that give way can use the GPU; off answers sooner." },
  interference: { kind: "choice", choices: ["on", "off"], default: "on", description: "Whether plans count on glets of one GPU slowing each other down; off is for experiments." },
  priorities: { kind: "choice", choices: ["on", "off"], default: "on", description: "Whether best-effort glets get a lower priority of the GPU; off is for experiments." }
} as const

export const effort = { kind: "choice", choices: ["quick", "normal", "thorough"] } as const
