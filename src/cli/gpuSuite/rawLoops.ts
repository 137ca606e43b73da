/**
 * What the glets of a plan do at most: each runs full batches of its models in turn, one after the other, with nothing of a server around it. All run
 * at once, as they do when they serve.
 */
import * as Effect from "effect/Effect"
import type { GletHandle } from "../../core/Executor.js"
import { Executor } from "../../core/Executor.js"
import { GpuInventory } from "../../core/Gpu.js"
import { makeSampleRequests } from "../../core/internal/sampleInputs.js"
import { makeRandom } from "../../core/internal/random.js"
import type { Batch } from "../../core/Executor.js"
import type { Plan } from "../../core/Plan.js"
import { gletsOf } from "../../core/Plan.js"
import { CliError } from "../CliError.js"
import { readModels } from "../internal/localModels.js"

/** A part of the arena is enough: requests of a batch may share slots. */
const arenaPart = 0.1

/** Of free dimensions, e.g. tokens of a sentence: of what is asked and what is looped. */
export const freeSize = 128

interface Turn {
  readonly batch: Batch
  items: number
}

/** Keeps the glet's depth of batches in flight until told to stop; answers when the last has ended. */
const loop = (handle: GletHandle, turns: ReadonlyArray<Turn>, isOver: () => boolean): Effect.Effect<void, CliError> =>
  Effect.async((resume) => {
    let next = 0
    let inFlight = 0
    let failed: CliError | undefined
    const start = (): void => {
      const turn = turns[next++ % turns.length]!
      inFlight++
      handle.start(turn.batch, (end) => {
        inFlight--
        if (!end.ok) failed ??= new CliError({ reason: "failed", problem: `a batch failed: ${end.error._tag === "BatchFailed" ? end.error.detail : end.error.message}` })
        else if (!isOver()) turn.items += turn.batch.items
        if (failed === undefined && !isOver()) start()
        else if (inFlight === 0) resume(failed === undefined ? Effect.void : Effect.fail(failed))
      })
    }
    for (let i = 0; i < handle.depth; i++) start()
  })

/** Items per second of all glets together, for the plan's models as they stand in a repository folder. */
export const rawLoops = (plan: Plan, repository: string, options: { readonly warmUpMs: number; readonly durationMs: number }) =>
  Effect.gen(function*() {
    const { arena, open } = yield* Executor
    const { gpus } = yield* GpuInventory
    const models = new Map((yield* readModels(repository, new Map())).map((read) => [String(read.model.name), read]))
    const opened = yield* Effect.forEach(gletsOf(plan), ({ glet, gpu: planned }) =>
      Effect.gen(function*() {
        const on = gpus.find(({ id }) => id === planned.gpu)
        if (on === undefined) return yield* new CliError({ reason: "failed", problem: `the plan has a glet on ${planned.gpu}, which is not there` })
        const handle = yield* open({ id: glet.id, gpu: on, sharePct: glet.sharePct, priority: glet.priority })
        const turns = yield* Effect.forEach(glet.assignments, ({ batch, model }) =>
          Effect.gen(function*() {
            const read = models.get(String(model))
            if (read === undefined) return yield* new CliError({ reason: "failed", problem: `the plan has model ${model}, which is not in ${repository}` })
            yield* handle.load(read.model, [batch])
            const samples = makeSampleRequests(arena, read.layout, batch, arenaPart, { sizeOf: () => freeSize, maxInteger: 1, random: makeRandom(1) })
            if (samples === undefined) return yield* new CliError({ reason: "failed", problem: "no request of one item fits into the tensor memory" })
            yield* Effect.addFinalizer(() => Effect.sync(samples.release))
            return { batch: { model: read.model, entries: samples.entries(batch), items: batch }, items: 0 }
          }))
        return { handle, turns }
      }))
    const state = { over: false }
    const counted = opened.map(({ handle, turns }) => loop(handle, turns, () => state.over))
    const clock = Effect.gen(function*() {
      yield* Effect.sleep(options.warmUpMs)
      for (const { turns } of opened) for (const turn of turns) turn.items = 0
      const startMs = performance.now()
      yield* Effect.sleep(options.durationMs)
      state.over = true
      return performance.now() - startMs
    })
    const [elapsedMs] = yield* Effect.all([clock, Effect.all(counted, { concurrency: "unbounded" })], { concurrency: "unbounded" })
    return opened.flatMap(({ turns }) => turns).reduce((sum, { items }) => sum + items, 0) / (elapsedMs / 1000)
  }).pipe(Effect.scoped)
