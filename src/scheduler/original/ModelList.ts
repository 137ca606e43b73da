/**
 * ModelList.txt: a plan as the original writes and reads it. Lines `gpu,part,dedup,model,batch,duty_ms`, one for every model of a partition;
 * a partition without models has `reserved` for the model, batch 32 and duty 0. `dedup` is 1 for the second of two equal partitions of a GPU. A
 * case without a plan is the word EMPTY.
 *
 * @since 0.1.0
 */
import type * as Either from "effect/Either"
import type { Plan } from "../../core/Plan.js"
import type { FixedGlet } from "../../core/PlanProblem.js"
import type { FormatError, SourceFile } from "./FormatError.js"
import { parsing, reject, shown } from "./FormatError.js"
import { cellAt, numberAt, rowsOf } from "./internal/csv.js"
import { largestBatch, modelNamed } from "./Models.js"

const empty = "EMPTY"
const reserved = "reserved"

/** Reads a ModelList.txt, for the planner `static`: no glets where it says EMPTY. @since 0.1.0 @category parsing */
export const parseModelList = (source: SourceFile): Either.Either<ReadonlyArray<FixedGlet>, FormatError> =>
  parsing(() => {
    if (source.text.trim() === empty) return []
    const glets = new Map<string, FixedGlet>()
    const shares = new Map<number, number>()
    for (const row of rowsOf(source)) {
      const gpu = numberAt(source, row, 0, "the GPU", { min: 0, max: 1e6, integer: true })
      const sharePct = numberAt(source, row, 1, "the part in percent", { min: 1, max: 100, integer: true })
      const dedup = numberAt(source, row, 2, "the mark of a second equal part", { min: 0, max: 100, integer: true })
      const cell = cellAt(source, row, 3, "the model")
      const isReserved = cell.text === reserved
      const batch = numberAt(source, row, 4, "the batch", { min: 1, max: largestBatch, integer: true })
      const dutyMs = numberAt(source, row, 5, "the duty cycle in ms", { min: 0, max: 1e9, above: !isReserved })
      const key = `${gpu},${sharePct},${dedup}`
      const before = glets.get(key)
      if (before === undefined) {
        const sumPct = (shares.get(gpu) ?? 0) + sharePct
        if (sumPct > 100) reject(source, row.cells[1]!, `the parts of GPU ${gpu} sum to ${sumPct} %`, "give at most 100 %; equal parts are told apart by the third value")
        shares.set(gpu, sumPct)
      } else if (isReserved || before.works.length === 0) {
        reject(source, cell, `part ${sharePct} % of GPU ${gpu} is both reserved and in use`, "give it once, or with other models")
      } else if (before.dutyMs !== dutyMs) {
        reject(source, row.cells[5]!, `the duty cycle is ${dutyMs} ms, that of the same part above ${before.dutyMs} ms`, "give one duty cycle a part")
      }
      if (isReserved) {
        glets.set(key, { gpu, sharePct, dutyMs: 0, works: [] })
        continue
      }
      const model = modelNamed(source, cell, cell.text)
      const works = before?.works ?? []
      if (works.some((work) => work.model === model)) reject(source, cell, `${shown(model)} stands twice in one part`, "give each model of a part once")
      glets.set(key, { gpu, sharePct, dutyMs, works: [...works, { model, batch }] })
    }
    if (glets.size === 0) reject(source, { line: 1, column: 1 }, "there are no parts", `give lines \`gpu,part,dedup,model,batch,duty_ms\`, or the word ${empty}`)
    return [...glets.values()]
  })

/** Writes a plan as ModelList.txt; share that no glet has becomes a reserved part. @since 0.1.0 @category writing */
export const writeModelList = (plan: Plan | undefined): string => {
  if (plan === undefined) return `${empty}\n`
  const lines: Array<string> = []
  plan.gpus.forEach(({ glets }, gpu) => {
    const counts = new Map<number, number>()
    const prefix = (sharePct: number): string => {
      const dedup = counts.get(sharePct) ?? 0
      counts.set(sharePct, dedup + 1)
      return `${gpu},${sharePct},${dedup}`
    }
    let leftPct = 100
    for (const glet of [...glets].sort((a, b) => a.sharePct - b.sharePct)) {
      leftPct -= glet.sharePct
      const start = prefix(glet.sharePct)
      for (const { batch, model } of glet.assignments) lines.push(`${start},${model},${batch},${glet.dutyMs.toFixed(6)}`)
      if (glet.assignments.length === 0) lines.push(`${start},${reserved},${largestBatch},0.000000`)
    }
    if (leftPct > 0) lines.push(`${prefix(leftPct)},${reserved},${largestBatch},0.000000`)
  })
  return `${lines.join("\n")}\n`
}
