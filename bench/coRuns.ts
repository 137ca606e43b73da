/**
 * How well slow-downs are predicted for co-runs that the fit has not seen, of ten models under MPS on an H200 at several batches and shares: ours, ours
 * with one part less, gpulet's linear form and one constant.
 *
 * command: node bench/run.mjs coRuns [FILE] [--json] [--check]
 *
 * FILE is as bench/results/h200/coruns-mps.json. Held out are a pair (both ways, at all shares and batches), a model (beside whom and by whom), all but
 * halves at batch 8, and GPUs with four and eight glets, predicted from pairs. gpulet's form has types times shares for its utilisations, which were not
 * measured here. `--check` fails where fewer than 90 % of the pairs held out are predicted within 8 %.
 */
import * as Schema from "effect/Schema"
import * as fs from "node:fs"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import { ModelName } from "../src/core/Ids.js"
import { CoRun, WorkloadType } from "../src/core/Profile.js"
import type { Observation, Typed } from "../src/scheduler/InterferenceFit.js"
import { defaultForm, fitInterference, predictSlowdown, unknownType } from "../src/scheduler/InterferenceFit.js"
import { unmeasuredPresence } from "../src/scheduler/ProfileLatencyModel.js"
import { errorsOf } from "./lib/heldOut.js"
import { leastSquares } from "./lib/leastSquares.js"

const CoRuns = Schema.Struct({
  models: Schema.Array(Schema.Struct({ model: ModelName, workloadType: Schema.optional(WorkloadType), coRuns: Schema.Array(CoRun) })),
  several: Schema.Array(Schema.Struct({
    case: Schema.String,
    glets: Schema.Array(Schema.Struct({ models: Schema.Array(ModelName), batch: Schema.Int, sharePct: Schema.Int, slowdown: Schema.Number }))
  }))
})
const file = process.argv.slice(2).find((arg) => !arg.startsWith("--")) ?? path.join(path.dirname(fileURLToPath(import.meta.url)), "../../../bench/results/h200/coruns-mps.json")
const { models, several } = Schema.decodeUnknownSync(CoRuns)(JSON.parse(fs.readFileSync(file, "utf8")))

const types = new Map(models.map(({ model, workloadType }) => [model, workloadType ?? unknownType]))
const typed = (execution: Typed["execution"]): Typed => ({ execution, type: types.get(execution.model)! })
const pairs = models.flatMap(({ coRuns, model }) => coRuns.map(({ batch, neighbours, sharePct, slowdown }): Observation => ({
  victim: typed({ model, batch, sharePct }), neighbours: neighbours.map(typed), slowdown
})))
/** Of a glet that runs two models in turn, what the first does to others; what it suffers is of neither. */
const crowds = several.flatMap(({ glets }) => glets.flatMap(({ batch, models, sharePct, slowdown }, i): ReadonlyArray<Observation> =>
  models.length > 1
    ? []
    : [{
      victim: typed({ model: models[0]!, batch, sharePct }), slowdown,
      neighbours: glets.filter((_, j) => j !== i).map((other) => typed({ model: other.models[0]!, batch: other.batch, sharePct: other.sharePct }))
    }]))

type Predict = (observation: Observation) => number
const fitted = (form: Partial<typeof defaultForm>) => (kept: ReadonlyArray<Observation>): Predict => {
  const fit = fitInterference(kept, { ...defaultForm, ...form })!
  return ({ neighbours, victim }) => predictSlowdown(fit, victim, neighbours)
}
const features = ({ neighbours, victim }: Observation): ReadonlyArray<number> => {
  const of = ({ execution, type }: Typed): readonly [number, number] => [(type.compute * execution.sharePct) / 100, (type.memory * execution.sharePct) / 100]
  const theirs = neighbours.map(of)
  return [...of(victim), theirs.reduce((sum, [compute]) => sum + compute, 0), theirs.reduce((sum, [, memory]) => sum + memory, 0), 1]
}
/** So strong that what models cause stays 1. */
const noPressures = { pressurePrior: 1e9 }
const proportional = { ownPower: 0, neighbourPower: 1 }
const forms: ReadonlyArray<readonly [string, (kept: ReadonlyArray<Observation>) => Predict]> = [
  ["ours", fitted({})],
  ["what each causes left out", fitted(noPressures)],
  ["in proportion to the neighbour's share", fitted(proportional)],
  ["both left out", fitted({ ...proportional, ...noPressures })],
  ["gpulet's", (kept) => {
    const weights = leastSquares(kept.map(features), kept.map(({ slowdown }) => slowdown))
    return (observation) => Math.max(1, features(observation).reduce((sum, value, i) => sum + value * weights[i]!, 0))
  }],
  ["one constant", (kept) => {
    const constant = kept.reduce((sum, { slowdown }) => sum + slowdown, 0) / kept.length
    return () => constant
  }],
  ["nothing measured", () => ({ neighbours }) => 1 + (unmeasuredPresence.get("mps")! * neighbours.reduce((sum, { execution }) => sum + execution.sharePct, 0)) / 100]
]

interface Fold {
  readonly kept: ReadonlyArray<Observation>
  readonly held: ReadonlyArray<Observation>
}
const without = (all: ReadonlyArray<Observation>, isHeld: (observation: Observation) => boolean): Fold => ({ kept: all.filter((one) => !isHeld(one)), held: all.filter(isHeld) })
const names = [...types.keys()].sort()
const takesPart = (name: ModelName) => ({ neighbours, victim }: Observation): boolean =>
  victim.execution.model === name || neighbours.some(({ execution }) => execution.model === name)
const eachPair = (all: ReadonlyArray<Observation>): ReadonlyArray<Fold> =>
  names.flatMap((a, i) => names.slice(i).map((b) => without(all, ({ neighbours, victim }) => {
    const one = victim.execution.model
    return (one === a || one === b) && neighbours.every(({ execution }) => execution.model === (one === a ? b : a))
  })))
const ofHalves = pairs.filter(({ victim: { execution } }) => execution.batch === 8 && execution.sharePct === 50)
const holdOuts: ReadonlyArray<readonly [string, ReadonlyArray<Fold>]> = [
  ["a pair", eachPair(pairs)],
  ["a pair, of halves at batch 8", eachPair(ofHalves)],
  ["a model", names.map((name) => without(pairs, takesPart(name)))],
  ["all but halves at batch 8", [{ kept: ofHalves, held: pairs.filter((pair) => !ofHalves.includes(pair)) }]],
  ["four and eight glets", [{ kept: pairs, held: crowds }]]
]
const rows = holdOuts.flatMap(([heldOut, folds]) => forms.map(([form, fit]) => ({
  heldOut, form,
  ...errorsOf(folds.flatMap(({ held, kept }) => {
    const predict = fit(kept)
    return held.map((observation) => predict(observation) / observation.slowdown)
  }))
})))
if (process.argv.includes("--json")) console.log(JSON.stringify({ bench: "coRuns", rows }))
else console.table(rows)
if (process.argv.includes("--check") && !(rows[0]!["within 8 %"] >= 0.9)) process.exit(1)
