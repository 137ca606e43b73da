/**
 * How glets of one GPU slow each other down, measured: each batch alone, then with the others of its group at the same time.
 *
 * Loading takes far longer than measuring. Where caps let any number of glets be open at once (`mps`), each model is loaded once for each share, and twice
 * where it meets itself, and all groups are measured with what is open; elsewhere, and where that does not fit, glets are opened for each group.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type { BatchEnd, GletHandle } from "../Executor.js"
import type { ExecutorError, GletExited } from "../ExecutorError.js"
import { ModelLoadFailed } from "../ExecutorError.js"
import type { Model } from "../Model.js"
import type { Neighbour } from "../Profile.js"
import type { CoRunRequest, MeasuredCoRun } from "../Profiler.js"
import { median } from "./latencyStatistics.js"
import type { Companion } from "./runTogether.js"
import { runTogether } from "./runTogether.js"
import type { SampleRequests } from "./sampleInputs.js"

/** Executions that do not count: the first of a shape are slow, until its kernels are recorded; beside others, until all have begun. */
const uncounted = { alone: 8, together: 3 }
/** Glets that load at the same time. */
const loadingAtOnce = 8

/** What measuring needs of the profiler. */
interface CoRunParts {
  readonly open: (sharePct: number) => Effect.Effect<GletHandle, ExecutorError, Scope.Scope>
  readonly samplesFor: (model: Model) => Effect.Effect<SampleRequests, ExecutorError, Scope.Scope>
}

type Group = ReadonlyArray<Neighbour>

const gletKey = ({ model, sharePct }: Neighbour, copy: number): string => `${sharePct} % ${copy} ${model}`

/** Each member with the glet that it runs on: a model that meets itself on a share has two. */
const placed = (group: Group): ReadonlyArray<{ readonly member: Neighbour; readonly key: string }> => {
  const copies = new Map<string, number>()
  return group.map((member) => {
    const same = gletKey(member, 0)
    const copy = copies.get(same) ?? 0
    copies.set(same, copy + 1)
    return { member, key: gletKey(member, copy) }
  })
}

const failureOf = (companions: ReadonlyArray<Companion>) => ({ error }: Extract<BatchEnd, { readonly ok: false }>): GletExited | ModelLoadFailed => {
  if (error._tag === "GletExited") return error
  const { batch, handle } = companions[0]!
  return new ModelLoadFailed({ model: batch.model.name, glet: handle.spec.id, reason: "warm-up-failed", detail: error.detail })
}

/** Slow-downs of all members of all groups. */
export const measureCoRuns = <E>(
  { forMs, gpu, groups, models, onMeasured }: CoRunRequest<E>, { open, samplesFor }: CoRunParts
): Effect.Effect<ReadonlyArray<MeasuredCoRun>, ExecutorError | E> => {
  const known = new Map(models.map((model) => [model.name, model]))
  let done = 0

  /** Glets for these groups, each with its model loaded for the batches that they have. */
  const openFor = (some: ReadonlyArray<Group>, samples: ReadonlyMap<string, SampleRequests>) =>
    Effect.gen(function*() {
      const wanted = new Map<string, { readonly member: Neighbour; readonly batches: Set<number> }>()
      for (const { key, member } of some.flatMap(placed)) {
        const at = wanted.get(key) ?? { member, batches: new Set<number>() }
        at.batches.add(member.batch)
        wanted.set(key, at)
      }
      const opened = yield* Effect.forEach(wanted, ([key, { batches, member }]) =>
        Effect.gen(function*() {
          const model = known.get(member.model)!
          const handle = yield* open(member.sharePct)
          yield* handle.load(model, [...batches])
          const companion = (items: number): Companion => ({ handle, batch: { model, entries: samples.get(model.name)!.entries(items), items } })
          return [key, companion] as const
        }), { concurrency: gpu.isolation === "mps" ? loadingAtOnce : 1 })
      return new Map(opened)
    })

  const run = (companions: ReadonlyArray<Companion>, skip: number) =>
    Effect.mapError(runTogether(companions, { forMs, uncounted: skip }), failureOf(companions))

  const measureAll = (some: ReadonlyArray<Group>, glets: ReadonlyMap<string, (items: number) => Companion>) =>
    Effect.gen(function*() {
      const aloneMs = new Map<string, number>()
      const measured: Array<MeasuredCoRun> = []
      for (const group of some) {
        const members = placed(group).map(({ key, member }) => ({ member, key: `${key} ${member.batch}`, companion: glets.get(key)!(member.batch) }))
        for (const { companion, key } of members) {
          if (aloneMs.has(key)) continue
          const [durations] = yield* run([companion], uncounted.alone)
          aloneMs.set(key, median(durations!))
        }
        const together = yield* run(members.map(({ companion }) => companion), uncounted.together)
        const found = members.map(({ key, member: { batch, model, sharePct } }, i): MeasuredCoRun => {
          const [first, ...others] = group.filter((_, j) => j !== i)
          const durations = together[i]!
          return { model, coRun: { batch, sharePct, neighbours: [first!, ...others], slowdown: median(durations) / aloneMs.get(key)!, count: durations.length } }
        })
        measured.push(...found)
        yield* onMeasured?.(++done, groups.length, found) ?? Effect.void
      }
      return measured
    })

  const measure = (some: ReadonlyArray<Group>, samples: ReadonlyMap<string, SampleRequests>) =>
    Effect.scoped(Effect.flatMap(openFor(some, samples), (glets) => measureAll(some, glets)))

  return Effect.gen(function*() {
    const samples = new Map<string, SampleRequests>()
    for (const model of models) samples.set(model.name, yield* samplesFor(model))
    if (gpu.isolation === "mps") {
      const all = yield* Effect.scoped(Effect.gen(function*() {
        const glets = yield* openFor(groups, samples).pipe(
          Effect.tapError((error) => Effect.logDebug(`glets of all groups do not fit beside each other: ${error.message}`)), Effect.option
        )
        return Option.isNone(glets) ? undefined : yield* measureAll(groups, glets.value)
      }))
      if (all !== undefined) return all
    }
    return (yield* Effect.forEach(groups, (group) => measure([group], samples))).flat()
  }).pipe(Effect.scoped)
}
