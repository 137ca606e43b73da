/** Which isolation a GPU can have, and which one `auto` takes. Pure. */
import * as Either from "effect/Either"

export type CudaIsolation = "mps" | "green" | "stream"

/** What decides. */
export interface IsolationFacts {
  readonly computeMode: "Default" | "Exclusive_Process" | "Prohibited" | "Exclusive_Thread"
  /** Groups of SMs for green contexts; 0 where the driver has none. */
  readonly smGroups: number
  /** Why no MPS daemon can serve this GPU; undefined where one can, as far as is known. */
  readonly mpsProblem: string | undefined
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
  mps: ({ mpsProblem }) => mpsProblem,
  stream: () => undefined
}

/** Where the driver's tools are not there. */
export const noMpsControl = "nvidia-cuda-mps-control is not on PATH; it comes with the driver's compute utilities"

/**
 * Under MPS each glet is a process of its own, and several on an H200 took the time that was predicted for them. Green contexts of one process held each
 * other up there, in ways that no profile of one glet shows: five glets carried a tenth of what they do under MPS. They change in milliseconds, though, and
 * for one glet a GPU it is the same. Streams enforce nothing.
 */
export const chooseIsolation = (wanted: CudaIsolation | "auto", facts: IsolationFacts): Either.Either<IsolationChoice, string> => {
  if (facts.computeMode === "Prohibited") return Either.left("its compute mode is Prohibited; set nvidia-smi -c DEFAULT")
  if (wanted !== "auto") {
    const problem = problems[wanted](facts)
    return problem === undefined ? Either.right({ isolation: wanted, why: "asked for" }) : Either.left(problem)
  }
  const mps = problems.mps(facts)
  if (mps === undefined) {
    return Either.right({ isolation: "mps", why: "each glet is a process with a cap on its SMs, and glets hold each other up least; --isolation green changes shares faster" })
  }
  const green = problems.green(facts)
  if (green === undefined) return Either.right({ isolation: "green", why: `${mps}; SMs are reserved in ${facts.smGroups} groups, and all glets are in one process` })
  return Either.right({ isolation: "stream", why: `${mps}; ${green}; all models share the whole GPU, ordered by priority alone` })
}
