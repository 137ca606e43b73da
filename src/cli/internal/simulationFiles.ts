import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as fs from "node:fs"
import * as path from "node:path"
import { suggest } from "../../core/internal/suggest.js"
import { Profile } from "../../core/Profile.js"
import { FormatError } from "../../scheduler/original/FormatError.js"
import type { SourceFile } from "../../scheduler/original/FormatError.js"
import type { Hardware } from "../../simulator/Hardware.js"
import { HardwareDescription, originalHardware, profileHardware } from "../../simulator/Hardware.js"
import type { Scenario } from "../../simulator/Scenario.js"
import { parseScenario } from "../../simulator/ScenarioFile.js"
import { CliError, usageError } from "../CliError.js"
import { parseJson, readText } from "./files.js"
import { readResource } from "./originalFiles.js"
import { resourcePath } from "./packageFiles.js"
import { schemaProblem } from "./schemaProblem.js"

const namesIn = (folder: string, ending: string): ReadonlyArray<string> =>
  fs.existsSync(folder) ? fs.readdirSync(folder).filter((file) => file.endsWith(ending)).map((file) => file.slice(0, file.length - ending.length)).sort() : []

/** Names of the scenarios that the package brings. */
const shippedScenarios = (): ReadonlyArray<string> => namesIn(resourcePath("scenarios"), ".json")

/** GPU types whose profiles the package brings. */
const shippedHardware = (): ReadonlyArray<string> => namesIn(resourcePath("profiles"), "")

/** A name of ours where it has no folder and no ending, else a file. */
const isName = (text: string): boolean => /^[\w-]+$/.test(text)

const unknownName = (what: string, name: string, known: ReadonlyArray<string>): CliError => {
  const near = suggest(name, known)
  return usageError(`there is no ${what} "${name}"${near === undefined ? "" : `; did you mean "${near}"?`}`, `known are ${known.join(", ")}; or give a file`)
}

/** A shipped scenario by its name, or a file. */
export const readScenario = (given: string): Effect.Effect<Scenario, CliError | FormatError> =>
  Effect.gen(function*() {
    if (isName(given) && !shippedScenarios().includes(given)) return yield* unknownName("scenario", given, shippedScenarios())
    const file = isName(given) ? resourcePath("scenarios", `${given}.json`) : given
    const text = yield* readText(file, "the scenario")
    const folder = file === "-" ? process.cwd() : path.dirname(path.resolve(file))
    return yield* Effect.suspend(() => {
      // The parser asks for files in the middle of its work: a failure passes through it.
      let failed: CliError | undefined
      const read = (name: string): SourceFile => {
        const placed = path.resolve(folder, name)
        const answer = Effect.runSync(Effect.either(readText(placed, "the file")))
        if (answer._tag === "Right") return { file: placed, text: answer.right }
        failed = answer.left
        throw new FormatError({ file: placed, line: 1, column: 1, problem: answer.left.message, hint: "name a file beside the scenario" })
      }
      return Effect.mapError(parseScenario({ file, text }, read), (error) => failed ?? error)
    })
  })

const decodeJson = <A, I>(schema: Schema.Schema<A, I>, file: string, what: string): Effect.Effect<A, CliError> =>
  readText(file, what).pipe(
    Effect.flatMap((text) => parseJson(text, file)),
    Effect.flatMap(Schema.decodeUnknown(schema)),
    Effect.mapError((error) => error instanceof CliError ? error : new CliError({ reason: "input", problem: `${file}: ${schemaProblem(error)}` }))
  )

interface HardwareArgs {
  readonly profile: string
  readonly resourceDir: string | undefined
  readonly gpuType: string | undefined
  /** Step of shares between the measured ones, percent; only measured ones where it is absent. */
  readonly grid: number | undefined
}

/** The original's tables where a folder of them is given, else a shipped profile by its GPU type, else a profile file. */
export const readHardware = (args: HardwareArgs): Effect.Effect<Hardware, unknown> =>
  Effect.gen(function*() {
    if (args.resourceDir !== undefined) {
      const resource = yield* readResource({ resourceDir: args.resourceDir, resource: undefined })
      const types = resource.devices.map(({ type }) => type)
      const type = args.gpuType ?? types[0]!
      const hardware = originalHardware(resource, type)
      if (hardware === undefined) return yield* usageError(`--gpu-type ${type} is none of the devices in ${args.resourceDir}`, `they are ${types.join(", ")}`)
      return hardware
    }
    if (args.gpuType !== undefined) return yield* usageError("--gpu-type goes with --resource-dir")
    if (isName(args.profile)) {
      if (!shippedHardware().includes(args.profile)) return yield* unknownName("profile", args.profile, shippedHardware())
      const folder = resourcePath("profiles", args.profile)
      const description = yield* decodeJson(HardwareDescription, path.join(folder, "hardware.json"), "the description of the GPU")
      const profile = yield* decodeJson(Profile, path.join(folder, `${description.isolation}.json`), "the profile")
      return profileHardware(profile, description, args.grid)
    }
    const profile = yield* decodeJson(Profile, args.profile, "the profile")
    const beside = path.join(path.dirname(path.resolve(args.profile)), "hardware.json")
    const description = fs.existsSync(beside) ? yield* decodeJson(HardwareDescription, beside, "the description of the GPU") : undefined
    return profileHardware(profile, description?.gpuType === profile.gpuType ? description : undefined, args.grid)
  })
