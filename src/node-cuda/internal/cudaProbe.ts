/** Asks the driver about one GPU, in a process of its own: agents make no CUDA calls. */
import * as Effect from "effect/Effect"
import { CudaUnavailable } from "../CudaError.js"
import type { Probed } from "../runner/probe.js"
import { libraryPath } from "./cudaLibraries.js"
import { runCommand } from "./runCommand.js"
import { findRunner } from "./runnerPath.js"

export type ProbedGpu = Extract<Probed, { readonly ok: true }>

/** The first initialisation of a driver without persistence takes seconds per GPU. */
const timeoutMs = 60_000

/** No daemon's: a probe must not become an MPS client, nor start a server. */
export const noPipeDirectory = "/nonexistent/glet-orion"

export const probeGpu = (uuid: string, options: { readonly runnerPath?: string | undefined; readonly env?: Readonly<Record<string, string>> } = {}): Effect.Effect<ProbedGpu, CudaUnavailable> =>
  Effect.gen(function*() {
    const failed = (detail: string) => new CudaUnavailable({ reason: "probe-failed", subject: uuid, detail })
    const runner = options.runnerPath ?? findRunner()
    if (runner === undefined) return yield* failed("dist/runner.js is missing: run `npm run build`")
    const { code, stderr, stdout } = yield* runCommand(process.execPath, [runner, "probe"], {
      timeoutMs,
      env: { CUDA_VISIBLE_DEVICES: uuid, CUDA_MPS_PIPE_DIRECTORY: noPipeDirectory, LD_LIBRARY_PATH: libraryPath(["/usr/local/nvidia/lib64"]), ...options.env }
    }).pipe(Effect.mapError(({ detail }) => failed(detail)))
    const answer = yield* Effect.try({
      try: () => JSON.parse(stdout) as Probed,
      catch: () => failed(`the probe ended with code ${code}: ${stderr.trim().slice(-500)}`)
    })
    return answer.ok ? answer : yield* failed(answer.detail)
  })
