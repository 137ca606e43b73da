/** Scenarios and hardware for benches: what the package brings, and the original's tables where a folder of them is given. */
import * as Either from "effect/Either"
import * as fs from "node:fs"
import * as path from "node:path"
import type { Profile } from "../../src/core/Profile.js"
import { otherNames } from "../../src/cli/gpuSuite/SuiteModels.js"
import { loadResource } from "../../src/scheduler/original/Resource.js"
import type { Hardware, HardwareDescription } from "../../src/simulator/Hardware.js"
import { originalHardware, profileHardware } from "../../src/simulator/Hardware.js"
import type { Scenario } from "../../src/simulator/Scenario.js"
import { parseScenario } from "../../src/simulator/ScenarioFile.js"

const resource = path.join(process.cwd(), "resource")
const json = <A>(...parts: ReadonlyArray<string>): A => JSON.parse(fs.readFileSync(path.join(resource, ...parts), "utf8")) as A

export const shippedHardware = (gridPct?: number): Hardware =>
  profileHardware(json<Profile>("profiles", "h200", "mps.json"), json<HardwareDescription>("profiles", "h200", "hardware.json"), gridPct)

/** Shares that a server under MPS has, percent: multiples of it. */
const mpsGridPct = 10

/** One kind of GPU as the GPU suite finds it: models of the zoo under the scenarios' names, an H200's memory. */
export const zooHardware = (): Hardware => {
  let text = fs.readFileSync(path.join(resource, "zoo", "h200", "mps.json"), "utf8")
  for (const [name, other] of otherNames) text = text.replaceAll(JSON.stringify(other), JSON.stringify(name))
  return profileHardware(JSON.parse(text) as Profile, {
    apiVersion: "glet/v1alpha1", kind: "Hardware", gpuType: "h200", isolation: "mps", memoryBytes: 141e9, gletMemoryBytes: 0, openMs: 500
  }, mpsGridPct)
}

/** A device of a folder of the original's tables. */
export const tablesHardware = (folder: string, type: string): Hardware => {
  const tables = Either.getOrThrow(loadResource((file) => Either.right(fs.readFileSync(path.join(folder, file), "utf8"))))
  const hardware = originalHardware(tables, type)
  if (hardware === undefined) throw new Error(`${folder} describes no ${type}`)
  return hardware
}

export const shippedScenario = (name: string): Scenario => {
  const file = path.join(resource, "scenarios", `${name}.json`)
  return Either.getOrThrow(parseScenario({ file, text: fs.readFileSync(file, "utf8") }, () => {
    throw new Error("scenarios that come along name no files")
  }))
}

/** The original's workloads. */
export const originalScenarios = ["scen1", "scen2", "scen3", "scen4", "scen5", "game", "traffic"] as const
