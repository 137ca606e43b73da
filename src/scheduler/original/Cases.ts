/**
 * Cases: planning problems as lines of JSON, one for every task set and number of GPUs.
 *
 * @since 0.1.0
 */
import * as Either from "effect/Either"
import type { ModelName } from "../../core/Ids.js"
import type { GpuCount } from "./Configs.js"
import type { SourceFile } from "./FormatError.js"
import { FormatError, parsing, reject, shown } from "./FormatError.js"
import { jsonReader, parseJson } from "./internal/json.js"
import { modelNamed } from "./Models.js"

/** One model of a case. @since 0.1.0 @category cases */
export interface CaseTask {
  readonly model: ModelName
  readonly sloMs: number
  /** The rate that is planned for. */
  readonly rateRps: number
}

/** What of a case concerns planning. @since 0.1.0 @category cases */
export interface PlanningCase {
  readonly setId: string
  readonly gpus: readonly [GpuCount, ...Array<GpuCount>]
  /** Instead of what the device configuration says. */
  readonly memoryBytes: number | undefined
  readonly tasks: ReadonlyArray<CaseTask>
}

/** Reads one line; `line` is its number in the file. @since 0.1.0 @category parsing */
export const parseCase = (source: SourceFile, line = 1): Either.Either<PlanningCase, FormatError> =>
  parsing((): PlanningCase => {
    const { arrayOf, member, numberOf, objectOf, textOf } = jsonReader(source)
    const root = parseJson(source)
    const gpuNodes = member(root, "gpus", "the case")
    const gpus = arrayOf(gpuNodes, "\"gpus\"").map((gpu): GpuCount => ({
      type: textOf(member(gpu, "type", "a GPU"), "\"type\""),
      count: numberOf(member(gpu, "num", "a GPU"), "\"num\"", { min: 1, max: 100_000, integer: true })
    }))
    const [first, ...others] = gpus
    if (first === undefined) return reject(source, gpuNodes, "there are no GPUs", "give at least one type")
    const memory = objectOf(root, "the case").get("mem_mb")
    const seen = new Set<ModelName>()
    const taskNodes = member(root, "tasks", "the case")
    const tasks = arrayOf(taskNodes, "\"tasks\"").map((task): CaseTask => {
      const node = member(task, "model", "a task")
      const model = modelNamed(source, node, textOf(node, "\"model\""))
      if (seen.has(model)) reject(source, node, `${shown(model)} stands twice`, "give each model once")
      seen.add(model)
      return {
        model,
        sloMs: numberOf(member(task, "slo_ms", "a task"), "\"slo_ms\"", { min: 0, max: 1e9, above: true }),
        rateRps: numberOf(member(task, "rate_sched", "a task"), "\"rate_sched\"", { min: 0, max: 1e9 })
      }
    })
    if (tasks.length === 0) reject(source, taskNodes, "there are no tasks", "give at least one")
    return {
      setId: textOf(member(root, "set_id", "the case"), "\"set_id\""),
      gpus: [first, ...others],
      memoryBytes: memory === undefined || memory.value === null ? undefined : 1e6 * numberOf(memory, "\"mem_mb\"", { min: 0, max: 1e9, above: true }),
      tasks
    }
  }).pipe(Either.mapLeft((error) => (line === 1 ? error : new FormatError({ ...error, line: error.line + line - 1 }))))

/** Reads a file of cases: the first of every task set. @since 0.1.0 @category parsing */
export const parseCases = ({ file, text }: SourceFile): Either.Either<ReadonlyArray<PlanningCase>, FormatError> =>
  Either.gen(function*() {
    const sets = new Map<string, PlanningCase>()
    let line = 0
    for (const each of text.split("\n")) {
      line++
      if (each.trim() === "") continue
      const read = yield* parseCase({ file, text: each }, line)
      if (!sets.has(read.setId)) sets.set(read.setId, read)
    }
    if (sets.size === 0) return yield* parsing(() => reject({ file, text }, { line: 1, column: 1 }, "there are no cases", "give one JSON object a line"))
    return [...sets.values()]
  })
