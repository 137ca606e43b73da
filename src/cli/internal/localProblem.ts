import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { GpuInventory } from "../../core/Gpu.js"
import type { ModelName } from "../../core/Ids.js"
import type { Model } from "../../core/Model.js"
import type { PlanProblem } from "../../core/PlanProblem.js"
import { defaultPlanOptions, onlinePlanOptions } from "../../core/PlanProblem.js"
import type { ModelProfile, ProfileError } from "../../core/Profile.js"
import { ProfileStore } from "../../core/Profile.js"
import * as ProfileLatencyModel from "../../scheduler/ProfileLatencyModel.js"
import { meanPartOf } from "../../scheduler/BurstHeadroom.js"
import { overlapAllowanceMs } from "../../scheduler/OverlapAllowance.js"
import { demandsOf } from "../../scheduler/PlanSuccession.js"
import type { RepositoryError } from "../../server/repository/RepositoryError.js"
import { CliError } from "../CliError.js"
import type { ParsedArgs } from "../CommandSpec.js"
import { layerMachine } from "../compose.js"
import type { plan } from "../specs/plan.js"
import { modelFolder } from "./files.js"
import { readModels } from "./localModels.js"
import { modelSettings } from "./settings.js"
import { fileSha256 } from "./sha256.js"
import { note } from "./terminal.js"

type PlanArgs = Omit<ParsedArgs<typeof plan>, "models"> & { readonly models: string }

/** The problem a server on this machine would plan for: its cores, a folder's models, the profiles that are kept. */
export const localProblem = (args: PlanArgs): Effect.Effect<PlanProblem, CliError | RepositoryError | ProfileError> =>
  Effect.gen(function*() {
    const { gpus } = yield* GpuInventory
    const store = yield* ProfileStore
    const read = yield* readModels(yield* modelFolder(args.models), yield* modelSettings(args, {}))
    const profiles = new Map<string, Map<ModelName, ModelProfile>>(gpus.map((gpu) => [gpu.type, new Map()]))
    const models: Array<Model> = []
    const unmeasured: Array<string> = []
    for (const { model } of read) {
      const sha256 = yield* fileSha256(model.path)
      const found: Array<readonly [gpuType: string, profile: ModelProfile]> = []
      let missing: string | undefined
      for (const gpu of gpus) {
        const profile = yield* store.get({ gpuType: gpu.type, isolation: gpu.isolation, units: gpu.units, model: model.name, sha256 })
        if (Option.isSome(profile)) found.push([gpu.type, profile.value])
        else missing ??= gpu.type
      }
      if (missing !== undefined) {
        unmeasured.push(`model "${model.name}" has no profile for ${missing}`)
        continue
      }
      models.push(model)
      for (const [gpuType, profile] of found) profiles.get(gpuType)!.set(model.name, profile)
    }
    const measureIt = `measure ${unmeasured.length === 1 ? "it" : "them"} with glet profile --models ${args.models}`
    if (unmeasured.length > 0 && (models.length === 0 || !args.degrade)) {
      return yield* new CliError({
        reason: "infeasible", problem: unmeasured.join(", "), hint: models.length === 0 ? measureIt : `${measureIt}, or plan the others with --degrade`
      })
    }
    for (const line of unmeasured) note(`${line} and is left out; ${measureIt}`)
    const latency = ProfileLatencyModel.makeFor(profiles, gpus)
    const rates = new Map(models.map(({ expectedRateRps, name }) => [name, expectedRateRps]))
    return {
      gpus,
      demands: demandsOf(models, (name) => rates.get(name) ?? 0, {
        meanPart: (model) => meanPartOf(latency, gpus, model),
        allowance: { part: 0, wayMs: (model) => overlapAllowanceMs(latency, gpus, model) }
      }),
      latency,
      // On glets as a server has them.
      options: { ...defaultPlanOptions, maxModelsPerGlet: onlinePlanOptions.maxModelsPerGlet }
    }
  }).pipe(Effect.provide(layerMachine(args)))
