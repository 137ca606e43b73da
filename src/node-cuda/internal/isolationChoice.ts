/** Which isolation a GPU can have, and which one `auto` takes. Pure. */
import * as Either from "effect/Either"

export type CudaIsolation = "mps" | "green" | "stream"

/** What decides. */
export interface IsolationFacts {
  readonly computeMode: "Default" | "Exclusive_Process" | "Prohibited" | "Exclusive_Thread"
  /** Groups of SMs for green contexts; 0 where the driver has none. */
  readonly smGroups: number
  /** Whether nvidia-cuda-mps-control is there. */
  readonly mpsControl: boolean
  /** Whether an MPS daemon serves this GPU already. */
  readonly mpsRuns: boolean
}

export interface IsolationChoice {
  readonly isolation: CudaIsolation
  /** For people: why this one. */
  readonly why: string
}

const problems: Readonly<Record<CudaIsolation, (facts: IsolationFacts) => string | undefined>> = {
  green: ({ computeMode, mpsRuns, smGroups }) =>
    smGroups < 2
      ? "this driver has no green contexts for this GPU (they need a driver of CUDA 12.4 or newer)"
      : computeMode === "Exclusive_Process" && mpsRuns
      ? "the GPU is in exclusive mode and belongs to an MPS daemon; stop it, or set nvidia-smi -c DEFAULT"
      : undefined,
  mps: ({ mpsControl }) => (mpsControl ? undefined : "nvidia-cuda-mps-control is not on PATH; it comes with the driver's compute utilities"),
  stream: () => undefined
}

/**
 * Green contexts reserve SMs, and a share changes in milliseconds; on an H200 they kept a latency-critical model's tail nearest to that of the
 * model alone. MPS only caps shares, and each needs a process of its own, but a glet's process can die alone. Streams enforce nothing.
 */
export const chooseIsolation = (wanted: CudaIsolation | "auto", facts: IsolationFacts): Either.Either<IsolationChoice, string> => {
  if (facts.computeMode === "Prohibited") return Either.left("its compute mode is Prohibited; set nvidia-smi -c DEFAULT")
  if (wanted !== "auto") {
    const problem = problems[wanted](facts)
    return problem === undefined ? Either.right({ isolation: wanted, why: "asked for" }) : Either.left(problem)
  }
  const green = problems.green(facts)
  if (green === undefined) {
    return Either.right({ isolation: "green", why: `SMs are reserved in ${facts.smGroups} groups, and shares change in milliseconds; --isolation mps gives each glet a process of its own` })
  }
  const mps = problems.mps(facts)
  if (mps === undefined) return Either.right({ isolation: "mps", why: `${green}; MPS caps the shares` })
  return Either.right({ isolation: "stream", why: `${green}; ${mps}; all models share the whole GPU, ordered by priority alone` })
}
