import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as path from "node:path"
import type { FixedGlet, PlanProblem } from "../../core/PlanProblem.js"
import type { SchedConfig } from "../../scheduler/original/Configs.js"
import { parseSchedConfig } from "../../scheduler/original/Configs.js"
import { FormatError } from "../../scheduler/original/FormatError.js"
import type { SourceFile } from "../../scheduler/original/FormatError.js"
import { parseModelList } from "../../scheduler/original/ModelList.js"
import type { NoSharesMeasured, UnknownGpuType } from "../../scheduler/original/OriginalProblem.js"
import { originalOptions, originalProblem } from "../../scheduler/original/OriginalProblem.js"
import { rate99Rps } from "../../scheduler/original/Rates.js"
import type { OriginalResource } from "../../scheduler/original/Resource.js"
import { defaultResourceFiles, loadResource } from "../../scheduler/original/Resource.js"
import { parseTasks } from "../../scheduler/original/Tasks.js"
import type { CliError } from "../CliError.js"
import { usageError } from "../CliError.js"
import { readText } from "./files.js"

interface Where {
  readonly resource: string | undefined
  readonly resourceDir: string | undefined
  readonly deviceConfig?: string | undefined
  readonly memConfig?: string | undefined
  readonly proxyConfig?: string | undefined
}

const parsed = <A>(file: string, what: string, parse: (source: SourceFile) => Either.Either<A, FormatError>): Effect.Effect<A, CliError | FormatError> =>
  readText(file, what).pipe(Effect.flatMap((text) => parse({ file, text })))

/** Reads the resource folder. Configurations that are not given lie in it, and whatever they name is relative to it. */
export const readResource = ({ deviceConfig, memConfig, proxyConfig, resource, resourceDir }: Where): Effect.Effect<OriginalResource, CliError | FormatError> =>
  Effect.gen(function*() {
    const folder = resourceDir ?? resource ?? (deviceConfig === undefined ? undefined : path.dirname(deviceConfig))
    if (folder === undefined) return yield* usageError("--resource-dir is missing: the folder with latency tables and what describes the GPUs")
    const given = (file: string | undefined, otherwise: string): string => (file === undefined ? otherwise : path.resolve(file))
    // What is given on the command line is absolute by now.
    const placed = (file: string): string => path.isAbsolute(file) ? file : path.join(folder, file)
    return yield* loadResource((file) => Effect.runSync(Effect.either(readText(placed(file), "the file"))), {
      deviceConfig: given(deviceConfig, defaultResourceFiles.deviceConfig),
      memConfig: given(memConfig, defaultResourceFiles.memConfig),
      proxyConfig: given(proxyConfig, defaultResourceFiles.proxyConfig)
    }).pipe(Either.mapLeft((error) => error._tag === "FormatError" ? new FormatError({ ...error, file: placed(error.file) }) : error))
  })

/** The planner that a scheduler configuration describes, as gpulet's own program chooses. */
const plannerOf = ({ interference, partition, selfTuning }: SchedConfig): string =>
  !partition ? "time-share" : selfTuning ? "greedy" : interference ? "elastic-int" : "elastic"

/** The partition that planner `static` takes. */
export const readModelList = (file: string): Effect.Effect<ReadonlyArray<FixedGlet>, CliError | FormatError> => parsed(file, "the model list", parseModelList)

/** The problem in gpulet's files, at the 99th percentile of the rates, and who is to solve it. */
export const readOriginal = (
  args: Where & { readonly taskConfig: string; readonly schedConfig: string | undefined; readonly fullSearch: boolean }
): Effect.Effect<{ readonly problem: PlanProblem; readonly planner: string }, CliError | FormatError | UnknownGpuType | NoSharesMeasured> =>
  Effect.gen(function*() {
    const { schedConfig } = args
    if (schedConfig === undefined) return yield* usageError("--sched-config is missing: the file that says which GPUs there are")
    const tasks = yield* parsed(args.taskConfig, "the task file", parseTasks)
    const config = yield* parsed(schedConfig, "the scheduler configuration", parseSchedConfig)
    if (config.gpus.every(({ count }) => count === 0)) {
      return yield* new FormatError({ file: schedConfig, line: 1, column: 1, problem: "there are no GPUs", hint: "give \"GPUs\": [{ \"Type\": ..., \"Num\": ... }]" })
    }
    const problem = yield* originalProblem({
      resource: yield* readResource(args),
      gpus: config.gpus,
      sharesPct: config.sharesPct,
      tasks: tasks.map((task) => ({ ...task, rateRps: rate99Rps(task.rateRps) })),
      options: { ...originalOptions(config), fullSearch: args.fullSearch }
    })
    return { problem, planner: plannerOf(config) }
  })
