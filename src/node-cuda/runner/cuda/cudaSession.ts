/** Sessions of ONNX Runtime on the CUDA provider: their options, and the proof that they compute on the GPU. */
import * as fs from "node:fs"
import type { ModelSignature } from "../../../core/Model.js"
import { loadKoffi } from "../../internal/native.js"
import { LoadFailure } from "../../../core/internal/loadFailure.js"
import type { Ort } from "../OrtApi.js"
import type { OrtCSession, SessionThread } from "../OrtCSession.js"
import { cNames, createSession } from "../OrtCSession.js"
import type { Handle } from "./driver/CudaDriver.js"

export interface CudaSessionSettings {
  /** The stream that all its kernels run on. */
  readonly stream: Handle
  /** Convolutions on channels-last tensors, which Hopper's kernels prefer. */
  readonly nhwc: boolean
  /**
   * How cuDNN's kernels are chosen. On an H200 the default, HEURISTIC, gives kernels as fast as EXHAUSTIVE (within 6 %) in half of the time or
   * less; DEFAULT is five to a hundred times slower (bench/results/h200/search.json).
   */
  readonly search?: "EXHAUSTIVE" | "HEURISTIC" | "DEFAULT" | undefined
  /** Bound of the session's arena, in bytes. */
  readonly memoryLimitBytes: number
}

/**
 * Operators that may run on the CPU: they make shapes, which ONNX Runtime keeps there on purpose, since the CPU needs them to launch kernels.
 * Anything else there computes.
 */
const shapeOperators = new Set([
  "Shape", "Size", "Constant", "ConstantOfShape", "Gather", "Unsqueeze", "Squeeze", "Concat", "Slice", "Cast", "Range", "Equal", "Less", "LessOrEqual",
  "Greater", "GreaterOrEqual", "Not", "And", "Or", "Where", "Expand", "Reshape", "Flatten", "Identity", "Add", "Sub", "Mul", "Div", "Mod", "Min",
  "Max", "Floor", "Ceil", "Neg", "Abs", "ReduceProd", "ReduceSum", "ReduceMax", "ReduceMin", "Split", "Tile", "NonZero", "ScatterND", "If", "Loop",
  "MemcpyToHost", "MemcpyFromHost"
])

/** Operators by provider, as assigned. */
const assignmentOf = (ort: Ort, session: bigint): ReadonlyMap<string, ReadonlyArray<string>> => {
  const { check, functions: f, make } = ort
  const koffi = loadKoffi()
  const count = new BigUint64Array(1)
  /** An array of pointers that the session owns. */
  const list = (call: "Session_GetEpGraphAssignmentInfo" | "EpAssignedSubgraph_GetNodes", owner: unknown): ReadonlyArray<unknown> => {
    const out: [unknown] = [null]
    check(f[call](owner, out, count) as bigint | null)
    const length = Number(count[0])
    return length === 0 ? [] : koffi.decode(out[0], koffi.array("void *", length)) as ReadonlyArray<unknown>
  }
  const found = new Map<string, Array<string>>()
  for (const subgraph of list("Session_GetEpGraphAssignmentInfo", session)) {
    const provider = make<string>(f.EpAssignedSubgraph_GetEpName, subgraph)
    const operators = found.get(provider) ?? []
    found.set(provider, operators)
    for (const node of list("EpAssignedSubgraph_GetNodes", subgraph)) operators.push(make<string>(f.EpAssignedNode_GetOperatorType, node))
  }
  return found
}

/** What computes elsewhere than on the GPU, in words; undefined where nothing does. */
export const cpuProblem = (assignment: ReadonlyMap<string, ReadonlyArray<string>>): string | undefined => {
  const elsewhere = new Map<string, number>()
  for (const [provider, operators] of assignment) {
    if (provider === "CUDAExecutionProvider") continue
    for (const operator of operators) if (!shapeOperators.has(operator)) elsewhere.set(operator, (elsewhere.get(operator) ?? 0) + 1)
  }
  if (elsewhere.size === 0) return undefined
  const list = [...elsewhere].map(([operator, count]) => count === 1 ? operator : `${count} x ${operator}`).join(", ")
  return `the CUDA provider has no kernels for some of its operators, which would run on the CPU: ${list}`
}

const providerOptions = ({ memoryLimitBytes, nhwc, search = "HEURISTIC", stream }: CudaSessionSettings): ReadonlyArray<readonly [string, string]> => [
  ["device_id", "0"],
  ["has_user_compute_stream", "1"],
  ["user_compute_stream", String(stream)],
  ["arena_extend_strategy", "kSameAsRequested"],
  ["gpu_mem_limit", String(Math.floor(memoryLimitBytes))],
  ["prefer_nhwc", nhwc ? "1" : "0"],
  ["cudnn_conv_algo_search", search]
]

/** Creates a session on the GPU. Rejects with `LoadFailure`, also where it would compute on the CPU. */
export const createCudaSession = (
  ort: Ort,
  path: string,
  signature: ModelSignature,
  settings: CudaSessionSettings,
  thread: SessionThread
): Promise<OrtCSession> =>
  createSession(ort, path, signature, {
    threads: 1,
    thread,
    configure: (options) => {
      const { check, functions: f, make } = ort
      const entries = providerOptions(settings)
      const keys = cNames(entries.map(([key]) => key))
      const values = cNames(entries.map(([, value]) => value))
      const cuda = make(f.CreateCUDAProviderOptions)
      try {
        check(f.UpdateCUDAProviderOptions(cuda, keys.address, values.address, entries.length) as bigint | null)
        check(f.SessionOptionsAppendExecutionProvider_CUDA_V2(options, cuda) as bigint | null)
      } finally {
        f.ReleaseCUDAProviderOptions(cuda)
      }
      check(f.AddSessionConfigEntry(options, "session.record_ep_graph_assignment_info", "1") as bigint | null)
      // Weights outside the arena: it need not grow, and round up, for them.
      check(f.AddSessionConfigEntry(options, "session.use_device_allocator_for_initializers", "1") as bigint | null)
    },
    verify: (session) => {
      const problem = cpuProblem(assignmentOf(ort, session))
      if (problem !== undefined) throw new LoadFailure("unsupported", problem)
    }
  })

/** Nodes stand before weights in a file: so much of it names all operators. */
const searchedBytes = 32 << 20

/** Whether a file has convolutions, hence a choice of layouts. A wrong yes only costs a trial. */
export const hasConvolutions = (path: string): boolean => {
  const file = fs.openSync(path, "r")
  try {
    const head = Buffer.alloc(Math.min(searchedBytes, fs.fstatSync(file).size))
    const length = fs.readSync(file, head, 0, head.length, 0)
    // NodeProto.op_type is field 4: its tag, the length, the text.
    return ["Conv", "ConvTranspose"].some((name) => head.subarray(0, length).includes(Buffer.from(`\x22${String.fromCharCode(name.length)}${name}`, "latin1")))
  } finally {
    fs.closeSync(file)
  }
}
