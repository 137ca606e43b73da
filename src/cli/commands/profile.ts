import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import { GpuInventory } from "../../core/Gpu.js"
import type { Model } from "../../core/Model.js"
import type { ModelProfile, Profile } from "../../core/Profile.js"
import { ProfileStore } from "../../core/Profile.js"
import { Profiler } from "../../core/Profiler.js"
import { CliError, usageError } from "../CliError.js"
import type { ParsedArgs } from "../CommandSpec.js"
import { layerCpu, layerCuda } from "../compose.js"
import { joinedOrAlone } from "../../server/repository/JoinedOrAlone.js"
import { checkWritable, modelFolder, writeText } from "../internal/files.js"
import { readModels } from "../internal/localModels.js"
import { modelSettings } from "../internal/settings.js"
import { fileSha256 } from "../internal/sha256.js"
import { rooflinePicture } from "../internal/rooflinePicture.js"
import { colourOut, makeProgress, ms, note, out, rps, table } from "../internal/terminal.js"
import type { profile } from "../specs/profile.js"
import { measurePairs, renderPairs } from "./profilePairs.js"
import { measureRoofline, measureTypes, renderTypes } from "./profileTypes.js"

type ProfileArgs = ParsedArgs<typeof profile>

const none: ReadonlyMap<string, string> = new Map()

const chosen = (args: ProfileArgs) =>
  Effect.gen(function*() {
    const settings = yield* modelSettings({ slo: none, rate: none, class: none, maxBatch: args.maxBatch }, {})
    const models = yield* readModels(yield* modelFolder(args.models), settings)
    const unknown = args.only.find((name) => !models.some(({ model }) => model.name === name))
    if (unknown !== undefined) return yield* usageError(`--only ${unknown}: there is ${models.map(({ model }) => model.name).join(", ")}`)
    return models.filter(({ model }) => args.only.length === 0 || args.only.includes(model.name))
  })

const render = (profiles: ReadonlyArray<ModelProfile>, colour: boolean): string =>
  table(
    ["model", "share", "batch", "p50 ms", "p99 ms", "items/s", "runs"],
    profiles.flatMap((measured) =>
      [...measured.points].sort((a, b) => a.sharePct - b.sharePct || a.batch - b.batch).map((point, i) => [
        i === 0 ? measured.model : "", `${point.sharePct} %`, String(point.batch), ms(point.p50Ms), ms(point.p99Ms), rps((1000 * point.batch) / point.meanMs), String(point.count)
      ])),
    { align: "lrrrrrr", colour }
  )

/** `glet profile` */
export const handle = (args: ProfileArgs): Effect.Effect<void, unknown> =>
  Effect.gen(function*() {
    if (args.output === "-" && args.json) return yield* usageError("--json and --output - both want stdout")
    if (args.svg !== undefined && !args.types) return yield* usageError("--svg draws types: it goes with --types")
    if (args.output !== undefined) yield* checkWritable(args.output, "the profile file")
    if (args.svg !== undefined) yield* checkWritable(args.svg, "the picture")
    const found = yield* chosen(args)
    const { gpus: [gpu] } = yield* GpuInventory
    const store = yield* ProfileStore
    const profiler = yield* Profiler
    const progress = makeProgress(1000)
    const key = { gpuType: gpu!.type, isolation: gpu!.isolation, units: gpu!.units }
    const models: Array<Model> = []
    const measuredAlone: Array<ModelProfile> = []
    const keep = (model: Model, profile: ModelProfile): void => {
      models.push(model)
      measuredAlone.push(profile)
    }
    for (const [i, read] of found.entries()) {
      const { model } = read
      const sha256 = yield* fileSha256(model.path)
      const known = args.force ? Option.none() : yield* store.get({ ...key, model: model.name, sha256 })
      if (Option.isSome(known)) {
        note(`${model.name} has a profile; --force measures it again`)
        keep(model, known.value)
        continue
      }
      const measured = yield* Effect.either(joinedOrAlone(read, (read, mayJoin) =>
        Effect.map(profiler.profile({
          model: read.model, mayJoin, gpu: gpu!, sha256, budgetMs: args.budget,
          onProgress: (done, total, point) =>
            progress.show(`[${i + 1}/${found.length}] ${model.name}: ${done} of ${total}, share ${point.sharePct} %, batch ${point.batch}, p99 ${ms(point.p99Ms)} ms`)
        }), (profile) => ({ model: read.model, profile }))))
      progress.clear()
      if (Either.isLeft(measured)) {
        // One broken model never stops the others, as in a server. Of a glet that cannot be opened all others would say the same.
        if (measured.left._tag !== "ModelLoadFailed") return yield* measured.left
        note(`${model.name} is left out: ${model.path}: ${measured.left.message}`)
        continue
      }
      yield* store.put(key, measured.right.profile)
      keep(measured.right.model, measured.right.profile)
    }
    if (models.length === 0) return yield* new CliError({ reason: "input", problem: `no model in ${args.models} can be measured` })
    const roofline = args.types ? yield* measureRoofline(gpu!, args.budget) : undefined
    for (const [i, model] of models.entries()) {
      let measured = measuredAlone[i]!
      // What an earlier run has found stays: one that was stopped goes on.
      if (roofline !== undefined && (args.force || measured.types === undefined)) {
        progress.show(`[${i + 1}/${models.length}] ${model.name}: its type`)
        measured = yield* measureTypes(model, gpu!, measured, roofline, args.budget)
      }
      if (measured !== measuredAlone[i]) yield* store.put(key, measured)
      measuredAlone[i] = measured
    }
    const profiles = !args.pairs ? measuredAlone : yield* measurePairs({
      models, gpu: gpu!, profiles: measuredAlone, budgetMs: args.budget, force: args.force,
      onMeasured: (done, total, changed) => {
        progress.show(`pair ${done} of ${total}: ${changed.map(({ model }) => model).join(" beside ")}`)
        // What is kept after each pair need not be measured again.
        return Effect.forEach(changed, (profile) => store.put(key, profile), { discard: true })
      }
    })
    progress.clear()
    const file: Profile = {
      apiVersion: "glet/v1alpha1", kind: "Profile", gpuType: gpu!.type, isolation: gpu!.isolation, units: gpu!.units,
      provenance: `glet profile${args.gpu ? ` --gpu --isolation ${gpu!.isolation}` : ""} --budget ${args.budget}${args.types ? " --types" : ""}${args.pairs ? " --pairs" : ""}`, models: profiles
    }
    if (args.output !== undefined) yield* (writeText(args.output, `${JSON.stringify(file, null, 2)}\n`, "the profile file") satisfies Effect.Effect<void, CliError>)
    if (args.svg !== undefined && roofline !== undefined) {
      yield* writeText(args.svg, rooflinePicture(profiles, roofline, `${gpu!.type}: what limits each model`), "the picture")
    }
    if (args.json) out(JSON.stringify(file))
    else if (args.output !== "-") {
      out(render(profiles, colourOut()))
      if (args.types) out(`\n${renderTypes(profiles, roofline, colourOut())}`)
      if (args.pairs) out(`\n${renderPairs(profiles, colourOut())}`)
    }
  }).pipe(Effect.provide(args.gpu ? layerCuda(args) : layerCpu(args)))
