/** What `glet profile --pairs` adds to profiles: how models slow each other down. */
import * as Effect from "effect/Effect"
import type { ExecutorError } from "../../core/ExecutorError.js"
import type { Gpu } from "../../core/Gpu.js"
import type { Model } from "../../core/Model.js"
import type { CoRun, ModelProfile, Neighbour } from "../../core/Profile.js"
import { Profiler } from "../../core/Profiler.js"
import { ms, table } from "../internal/terminal.js"
import { corunBatch, halfOf } from "./profileTypes.js"

/** Batches that meet each other; the larger one where it costs only its own time, for glets need not be opened anew. */
const metBatches = ({ isolation }: Gpu): ReadonlyArray<number> => (isolation === "mps" ? [corunBatch, 4 * corunBatch] : [corunBatch])
/** The smaller of two unequal shares. */
const smallShare = 20

/** Who is to be measured beside whom: each model beside each, itself among them, on halves; where glets are open anyway also on a small share beside the rest. */
export const pairsOf = (models: ReadonlyArray<Model>, gpu: Gpu): ReadonlyArray<ReadonlyArray<Neighbour>> => {
  const at = (model: Model, batch: number, sharePct: number): Neighbour => ({ model: model.name, batch: Math.min(batch, model.maxBatch), sharePct })
  const half = halfOf(gpu)
  const halves = half === undefined ? [] : metBatches(gpu).flatMap((batch) =>
    models.flatMap((one, i) => models.slice(i).map((other) => [at(one, batch, half), at(other, batch, half)])))
  const small = gpu.sharesPct.find((share) => share >= smallShare)
  const rest = small === undefined ? undefined : gpu.sharesPct.findLast((share) => share <= 100 - small)
  const batch = metBatches(gpu).at(-1)!
  const unequal = gpu.isolation !== "mps" || small === undefined || rest === undefined || rest <= small ? [] :
    models.flatMap((one) => models.map((other) => [at(one, batch, small), at(other, batch, rest)]))
  return [...halves, ...unequal]
}

const sameNeighbours = (one: ReadonlyArray<Neighbour>, other: ReadonlyArray<Neighbour>): boolean =>
  one.length === other.length && one.every(({ batch, model, sharePct }, i) => {
    const like = other[i]!
    return batch === like.batch && model === like.model && sharePct === like.sharePct
  })

/** A profile with what was measured, in the place of what was known of the same. */
const withCoRun = (profile: ModelProfile, coRun: CoRun): ModelProfile => ({
  ...profile,
  coRuns: [
    ...(profile.coRuns ?? []).filter(({ batch, neighbours, sharePct }) =>
      batch !== coRun.batch || sharePct !== coRun.sharePct || !sameNeighbours(neighbours, coRun.neighbours)),
    coRun
  ]
})

/** Whether a group was measured: its first member tells of the others. */
const isKnown = (profiles: ReadonlyMap<string, ModelProfile>, [member, ...others]: ReadonlyArray<Neighbour>): boolean =>
  (profiles.get(member!.model)?.coRuns ?? []).some(({ batch, neighbours, sharePct }) =>
    batch === member!.batch && sharePct === member!.sharePct && sameNeighbours(neighbours, others))

/** What is asked of measuring pairs. */
interface PairsRequest<E> {
  readonly models: ReadonlyArray<Model>
  readonly gpu: Gpu
  readonly profiles: ReadonlyArray<ModelProfile>
  readonly budgetMs: number
  /** Measures again what is known. */
  readonly force: boolean
  readonly onMeasured: (done: number, total: number, changed: ReadonlyArray<ModelProfile>) => Effect.Effect<void, E>
}

/** How models slow each other down, two at a time; profiles in the order given. */
export const measurePairs = <E>(
  { budgetMs, force, gpu, models, onMeasured, profiles }: PairsRequest<E>
): Effect.Effect<ReadonlyArray<ModelProfile>, ExecutorError | E, Profiler> =>
  Effect.gen(function*() {
    const profiler = yield* Profiler
    const after = new Map(profiles.map((profile) => [profile.model as string, profile]))
    const groups = pairsOf(models, gpu).filter((group) => force || !isKnown(after, group))
    if (groups.length > 0) {
      yield* profiler.coRuns({
        gpu, models, groups, forMs: budgetMs / (models.length + 1),
        onMeasured: (done, total, measured) => {
          for (const { coRun, model } of measured) after.set(model, withCoRun(after.get(model)!, coRun))
          return onMeasured(done, total, [...new Set(measured.map(({ model }) => model as string))].map((model) => after.get(model)!))
        }
      })
    }
    return profiles.map(({ model }) => after.get(model)!)
  })

export const renderPairs = (profiles: ReadonlyArray<ModelProfile>, colour: boolean): string =>
  table(
    ["model", "batch", "share", "beside", "slow-down", "runs"],
    profiles.flatMap(({ coRuns = [], model }) => coRuns.map(({ batch, count, neighbours, sharePct, slowdown }, i) => [
      i === 0 ? model : "", String(batch), `${sharePct} %`, neighbours.map((each) => each.model).join(", "), `${ms(slowdown)}x`, String(count)
    ])),
    { align: "lrrlrr", colour }
  )
