import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { GpuInventory } from "../../core/Gpu.js"
import type { ModelName } from "../../core/Ids.js"
import type { PlanProblem } from "../../core/PlanProblem.js"
import { defaultPlanOptions } from "../../core/PlanProblem.js"
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

type PlanArgs = Omit<ParsedArgs<typeof plan>, "models"> & { readonly models: string }

/** The problem a server on this machine would plan for: its cores, a folder's models, the profiles that are kept. */
export const localProblem = (args: PlanArgs): Effect.Effect<PlanProblem, CliError | RepositoryError | ProfileError> =>
  Effect.gen(function*() {
    const { gpus } = yield* GpuInventory
    const store = yield* ProfileStore
    const read = yield* readModels(yield* modelFolder(args.models), yield* modelSettings(args, {}))
    const profiles = new Map<string, Map<ModelName, ModelProfile>>(gpus.map((gpu) => [gpu.type, new Map()]))
    for (const { model } of read) {
      const sha256 = yield* fileSha256(model.path)
      for (const gpu of gpus) {
        const found = yield* store.get({ gpuType: gpu.type, isolation: gpu.isolation, units: gpu.units, model: model.name, sha256 })
        if (Option.isNone(found)) {
          return yield* new CliError({ reason: "infeasible", problem: `model "${model.name}" has no profile for ${gpu.type}`, hint: `measure it with glet profile --models ${args.models}` })
        }
        profiles.get(gpu.type)!.set(model.name, found.value)
      }
    }
    const latency = ProfileLatencyModel.makeFor(profiles, gpus)
    const models = read.map(({ model }) => model)
    const rates = new Map(models.map(({ expectedRateRps, name }) => [name, expectedRateRps]))
    return {
      gpus,
      demands: demandsOf(models, (name) => rates.get(name) ?? 0, {
        meanPart: (model) => meanPartOf(latency, gpus, model),
        allowance: { part: 0, wayMs: (model) => overlapAllowanceMs(latency, gpus, model) }
      }),
      latency,
      options: defaultPlanOptions
    }
  }).pipe(Effect.provide(layerMachine(args)))
