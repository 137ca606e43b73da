/** Finds sample inputs that a loaded model takes, by running one after the other. */
import * as Effect from "effect/Effect"
import type { BatchEnd, GletHandle } from "../Executor.js"
import { runBatch } from "../Executor.js"
import type { GletExited } from "../ExecutorError.js"
import { ModelLoadFailed } from "../ExecutorError.js"
import type { Model } from "../Model.js"
import { makeSlotLayout } from "../SlotLayout.js"
import type { TensorArena } from "../TensorArena.js"
import { makeRandom } from "./random.js"
import type { SampleRequests } from "./sampleInputs.js"
import { makeSampleRequests } from "./sampleInputs.js"
import type { SampleRecipe } from "./sampleRecipes.js"

export interface SampleSource {
  readonly arena: TensorArena
  readonly model: Model
  /** Requests at most. */
  readonly count: number
  /** The largest part of the arena that they may take. */
  readonly arenaPart: number
  readonly seed: number
  /** Sizes that are known. */
  readonly symbolSizes?: ReadonlyMap<string, number> | undefined
}

/** Sample requests by a recipe; undefined where there is no memory for one. */
export const samplesOf = ({ arena, arenaPart, count, model, seed, symbolSizes }: SampleSource, recipe: SampleRecipe): SampleRequests | undefined =>
  makeSampleRequests(arena, makeSlotLayout(model.signature), count, arenaPart, {
    ...recipe,
    sizeOf: (symbol) => symbolSizes?.get(symbol) ?? recipe.size,
    random: makeRandom(seed)
  })

export const noRoom = "no request of one item fits into the memory for tensors (setting tensorMemoryBytes)"

/** Whether there is memory for a request by any of the recipes: to be asked before a model is loaded, which runs it too. */
export const hasRoom = (source: SampleSource, recipes: ReadonlyArray<SampleRecipe>): boolean =>
  recipes.some((recipe) => {
    const samples = samplesOf({ ...source, count: 1 }, recipe)
    samples?.release()
    return samples !== undefined
  })

const problemOf = (end: BatchEnd): string | undefined => end.ok || end.error._tag === "GletExited" ? undefined : end.error.detail

/**
 * The first recipe by which the model runs. What fails with all of them fails with what the likeliest met; a glet that dies is not asked again.
 */
export const fitRecipe = (
  handle: GletHandle,
  source: SampleSource,
  recipes: readonly [SampleRecipe, ...ReadonlyArray<SampleRecipe>]
): Effect.Effect<SampleRecipe, ModelLoadFailed | GletExited> =>
  Effect.gen(function*() {
    // Nothing to choose: how the model runs, whoever runs it next will see.
    if (recipes.length === 1) return recipes[0]
    const { model } = source
    let problem: { readonly reason: "no-memory" | "warm-up-failed"; readonly detail: string } | undefined
    for (const recipe of recipes) {
      const samples = samplesOf(source, recipe)
      if (samples === undefined) {
        problem ??= { reason: "no-memory", detail: noRoom }
        continue
      }
      const end = yield* Effect.ensuring(runBatch(handle, { model, entries: samples.entries(1), items: 1 }), Effect.sync(samples.release))
      if (end.ok) return recipe
      if (end.error._tag === "GletExited") return yield* end.error
      // A size for which there was no memory says less than how the model failed with another.
      if (problem?.reason !== "warm-up-failed") problem = { reason: "warm-up-failed", detail: problemOf(end)! }
    }
    return yield* new ModelLoadFailed({ model: model.name, glet: handle.spec.id, ...problem! })
  })

