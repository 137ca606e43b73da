/**
 * The original's resource folder: what was measured of all models on all devices.
 *
 * @since 0.1.0
 */
import * as Either from "effect/Either"
import type { DeviceSpec, ProxySpec } from "./Configs.js"
import { parseDeviceConfig, parseMemConfig, parseProxyConfig } from "./Configs.js"
import type { ModelName } from "../../core/Ids.js"
import { FormatError } from "./FormatError.js"
import type { SourceFile } from "./FormatError.js"
import type { OriginalDevice, OriginalLatencyModel } from "./OriginalLatencyModel.js"
import * as Original from "./OriginalLatencyModel.js"
import { parseInterference, parseLatencyTable, parseOverhead, parseUtilization } from "./Tables.js"

/** What gpulet knows of its models and GPUs. @since 0.1.0 @category resources */
export interface OriginalResource {
  readonly devices: ReadonlyArray<DeviceSpec>
  readonly latency: OriginalLatencyModel
  readonly proxies: ReadonlyMap<ModelName, ProxySpec>
  /** Parts that were measured of every model, ascending, by GPU type. */
  readonly partsByType: ReadonlyMap<string, ReadonlyArray<number>>
}

/** Names of configuration files, relative to the folder as far as `read` takes them so. @since 0.1.0 @category resources */
export interface ResourceFiles {
  readonly deviceConfig: string
  readonly memConfig: string
  readonly proxyConfig: string
}

/** Where that stands below its resource folder. @since 0.1.0 @category resources */
export const defaultResourceFiles: ResourceFiles = { deviceConfig: "device-config.json", memConfig: "mem-config.json", proxyConfig: "proxy_config.json" }

/** Reads the folder's files through `read`. @since 0.1.0 @category resources */
export const loadResource = <E>(
  read: (file: string) => Either.Either<string, E>,
  files: ResourceFiles = defaultResourceFiles
): Either.Either<OriginalResource, E | FormatError> =>
  Either.gen(function*() {
    const parsed = <A>(parse: (source: SourceFile) => Either.Either<A, FormatError>, file: string): Either.Either<A, E | FormatError> =>
      Either.flatMap(read(file), (text): Either.Either<A, E | FormatError> => parse({ file, text }))
    const devices = yield* parsed(parseDeviceConfig, files.deviceConfig)
    const measured = new Map<string, OriginalDevice>()
    const partsByType = new Map<string, ReadonlyArray<number>>()
    for (const device of devices) {
      const latency = yield* parsed(parseLatencyTable, device.latencyFile)
      const [first, ...others] = [...latency.values()]
      const parts = [...first!.keys()].filter((part) => others.every((model) => model.has(part))).sort((a, b) => a - b)
      if (parts.length === 0) {
        return yield* Either.left(new FormatError({ file: device.latencyFile, line: 1, column: 1, problem: "no part was measured of every model", hint: "measure all models at the same parts" }))
      }
      partsByType.set(device.type, parts)
      measured.set(device.type, {
        latency,
        utilization: yield* parsed(parseUtilization, device.utilizationFile),
        interference: yield* parsed(parseInterference, device.interferenceFile)
      })
    }
    return {
      devices,
      proxies: yield* parsed(parseProxyConfig, files.proxyConfig),
      latency: Original.make({
        devices: measured,
        overhead224: yield* parsed(parseOverhead, "3_224_224.txt"),
        overhead300: yield* parsed(parseOverhead, "3_300_300.txt"),
        memoryBytes: yield* parsed(parseMemConfig, files.memConfig)
      }),
      partsByType
    }
  })
