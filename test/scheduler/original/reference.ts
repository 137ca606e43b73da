/**
 * Reads a folder of reference runs of the original: its profile, cases and tables. Nothing of it is part of the project.
 */
import * as Either from "effect/Either"
import { readFileSync } from "node:fs"
import * as path from "node:path"
import { gunzipSync } from "node:zlib"
import type { PlanProblem } from "../../../src/core/PlanProblem.js"
import type { PlanningCase } from "../../../src/scheduler/original/Cases.js"
import { parseCases } from "../../../src/scheduler/original/Cases.js"
import type { DeviceSpec } from "../../../src/scheduler/original/Configs.js"
import { parseDeviceConfig, parseMemConfig, parseProxyConfig } from "../../../src/scheduler/original/Configs.js"
import type { FormatError, SourceFile } from "../../../src/scheduler/original/FormatError.js"
import type { OriginalLatencyModel } from "../../../src/scheduler/original/OriginalLatencyModel.js"
import * as Original from "../../../src/scheduler/original/OriginalLatencyModel.js"
import { originalOptions, originalProblem, partsOf } from "../../../src/scheduler/original/OriginalProblem.js"
import { parseInterference, parseLatencyTable, parseOverhead, parseUtilization } from "../../../src/scheduler/original/Tables.js"

export interface Reference {
  readonly devices: ReadonlyArray<DeviceSpec>
  readonly latency: OriginalLatencyModel
  readonly partsByType: ReadonlyMap<string, ReadonlyArray<number>>
  readonly read: (file: string) => string
  readonly cases: () => ReadonlyArray<PlanningCase>
}

export const readReference = (folder: string): Reference => {
  const read = (file: string): string => {
    const bytes = readFileSync(path.join(folder, file))
    return (file.endsWith(".gz") ? gunzipSync(bytes) : bytes).toString("utf8")
  }
  const parsed = <A>(parse: (source: SourceFile) => Either.Either<A, FormatError>, file: string): A =>
    Either.getOrThrow(parse({ file, text: read(path.join("profile", file)) }))
  const devices = parsed(parseDeviceConfig, "device-config.json")
  parsed(parseProxyConfig, "proxy_config.json")
  parsed(parseOverhead, "1_28_28.txt")
  const tables = new Map(devices.map((device) => [device.type, {
    latency: parsed(parseLatencyTable, device.latencyFile),
    utilization: parsed(parseUtilization, device.utilizationFile),
    interference: parsed(parseInterference, device.interferenceFile)
  }]))
  return {
    devices,
    latency: Original.make({
      devices: tables,
      overhead224: parsed(parseOverhead, "3_224_224.txt"),
      overhead300: parsed(parseOverhead, "3_300_300.txt"),
      memoryBytes: parsed(parseMemConfig, "mem-config.json")
    }),
    partsByType: new Map([...tables].map(([type, { latency }]) => [type, partsOf(latency)])),
    read,
    cases: () => Either.getOrThrow(parseCases({ file: "cases.jsonl.gz", text: read("cases.jsonl.gz") }))
  }
}

/** The problem of a case on GPUs of its first type, by the options of the original's configurations. */
export const problemOfCase = (reference: Reference, each: PlanningCase, gpus: number, interference = true): PlanProblem => {
  const [{ type }] = each.gpus
  return Either.getOrThrow(originalProblem({
    devices: reference.devices,
    gpus: [{ type, count: gpus }],
    sharesPct: reference.partsByType.get(type) ?? [],
    memoryBytes: each.memoryBytes,
    tasks: each.tasks,
    latency: reference.latency,
    options: originalOptions({ interference, latencyRatio: 1.1, maxModels: 3 })
  }))
}
