/**
 * The original's configurations: scheduler (sim-config.json), devices (device-config.json), memory (mem-config.json), proxies
 * (proxy_config.json).
 *
 * @since 0.1.0
 */
import type * as Either from "effect/Either"
import type { ModelName } from "../../core/Ids.js"
import type { FormatError, SourceFile } from "./FormatError.js"
import { parsing, reject, shown } from "./FormatError.js"
import type { JsonNode } from "./internal/json.js"
import { jsonReader, parseJson } from "./internal/json.js"
import { modelNamed } from "./Models.js"

/** GPUs of one type. @since 0.1.0 @category configurations */
export interface GpuCount {
  readonly type: string
  readonly count: number
}

/** How the original plans. @since 0.1.0 @category configurations */
export interface SchedConfig {
  /** Empty where the file does not say. */
  readonly gpus: ReadonlyArray<GpuCount>
  /** Models that may share a partition. */
  readonly maxModels: number
  /** Whether GPUs are cut at all. */
  readonly partition: boolean
  readonly latencyRatio: number
  readonly interference: boolean
  readonly selfTuning: boolean
  /** Percent, ascending, with 100. */
  readonly sharesPct: ReadonlyArray<number>
}

const positive = { min: 1, max: 1e6, integer: true }

/**
 * Reads a scheduler configuration. As in the original's offline planner, the shares are 20, 40, 50, 60, 80 and 100 % where GPUs are cut, 100 %
 * else, unless `ownShares` asks for the file's. What the original does not read, this does not either.
 * @since 0.1.0
 * @category parsing
 */
export const parseSchedConfig = (source: SourceFile, options: { readonly ownShares?: boolean } = {}): Either.Either<SchedConfig, FormatError> =>
  parsing(() => {
    const { arrayOf, booleanOf, member, numberOf, objectOf, textOf } = jsonReader(source)
    const root = parseJson(source)
    const fields = objectOf(root, "the scheduler configuration")
    const optional = <A>(key: string, otherwise: A, read: (node: JsonNode) => A): A => {
      const node = fields.get(key)
      return node === undefined ? otherwise : read(node)
    }
    const types = new Set<string>()
    const gpus = optional<ReadonlyArray<GpuCount>>("GPUs", [], (node) =>
      arrayOf(node, "\"GPUs\"").map((entry) => {
        const typeNode = member(entry, "Type", "a GPU")
        const type = textOf(typeNode, "\"Type\"")
        if (types.has(type)) reject(source, typeNode, `${shown(type)} stands twice`, "give each type once, with its \"Num\"")
        types.add(type)
        return { type, count: numberOf(member(entry, "Num", "a GPU"), "\"Num\"", { min: 0, max: 100_000, integer: true }) }
      }))
    const partition = booleanOf(member(root, "Part", "the scheduler configuration"), "\"Part\"")
    const selfTuning = optional("Self Tuning", false, (node) => booleanOf(node, "\"Self Tuning\""))
    const given = optional<ReadonlyArray<number>>("Avail_Parts", [], (node) =>
      arrayOf(node, "\"Avail_Parts\"").map((part) => numberOf(part, "a part", { min: 1, max: 100, integer: true })))
    const shares = !partition ? [] : options.ownShares === true ? given : [20, 40, 50, 60, 80]
    return {
      gpus,
      maxModels: numberOf(member(root, "Max Model", "the scheduler configuration"), "\"Max Model\"", positive),
      partition,
      latencyRatio: numberOf(member(root, "Latency Ratio", "the scheduler configuration"), "\"Latency Ratio\"", { min: 1, max: 1000 }),
      interference: optional("Interference", false, (node) => booleanOf(node, "\"Interference\"")) && !selfTuning,
      selfTuning,
      sharesPct: [...new Set([...shares, 100])].sort((a, b) => a - b)
    }
  })

/** A type of GPU, with the files that describe it. @since 0.1.0 @category configurations */
export interface DeviceSpec {
  readonly type: string
  readonly memoryBytes: number
  /** Relative to the resource folder, as are the others. */
  readonly latencyFile: string
  readonly interferenceFile: string
  readonly utilizationFile: string
}

/** The original counts memory in MB. */
const mb = 1e6

/** Reads device-config.json. @since 0.1.0 @category parsing */
export const parseDeviceConfig = (source: SourceFile): Either.Either<ReadonlyArray<DeviceSpec>, FormatError> =>
  parsing(() => {
    const { arrayOf, member, numberOf, textOf } = jsonReader(source)
    const specs = arrayOf(member(parseJson(source), "device_specs", "the device configuration"), "\"device_specs\"")
    const types = new Set<string>()
    return specs.map((spec): DeviceSpec => {
      const text = (key: string): string => textOf(member(spec, key, "a device"), `"${key}"`)
      const typeNode = member(spec, "type", "a device")
      const type = text("type")
      if (types.has(type)) reject(source, typeNode, `${shown(type)} stands twice`, "describe each type once")
      types.add(type)
      return {
        type,
        memoryBytes: mb * numberOf(member(spec, "mem_mb", "a device"), "\"mem_mb\"", { min: 0, max: 1e9, above: true }),
        latencyFile: text("latency_prof_file"),
        interferenceFile: text("interference_const_file"),
        utilizationFile: text("interference_util_file")
      }
    })
  })

/** The entries of a list of models, each known and given once. */
const modelEntries = <A>(source: SourceFile, key: string, read: (entry: JsonNode, reader: ReturnType<typeof jsonReader>) => A): ReadonlyMap<ModelName, A> => {
  const reader = jsonReader(source)
  const entries = new Map<ModelName, A>()
  for (const entry of reader.arrayOf(reader.member(parseJson(source), key, "the file"), `"${key}"`)) {
    const node = reader.member(entry, "name", "a model")
    const model = modelNamed(source, node, reader.textOf(node, "\"name\""))
    if (entries.has(model)) reject(source, node, `${shown(model)} stands twice`, "give each model once")
    entries.set(model, read(entry, reader))
  }
  return entries
}

/** Reads mem-config.json: memory in bytes by model. @since 0.1.0 @category parsing */
export const parseMemConfig = (source: SourceFile): Either.Either<ReadonlyMap<ModelName, number>, FormatError> =>
  parsing(() =>
    modelEntries(source, "models", (entry, { member, numberOf }) =>
      mb * numberOf(member(entry, "mem", "a model"), "\"mem\" in MB", { min: 0, max: 1e9 })))

/** What goes in and out of a model. @since 0.1.0 @category configurations */
export interface ProxySpec {
  readonly id: number
  readonly inputShape: ReadonlyArray<number>
  readonly outputShape: ReadonlyArray<number>
  readonly inputType: "FP32" | "INT64"
  readonly outputType: "FP32" | "INT64"
}

/** Reads proxy_config.json. @since 0.1.0 @category parsing */
export const parseProxyConfig = (source: SourceFile): Either.Either<ReadonlyMap<ModelName, ProxySpec>, FormatError> =>
  parsing(() => {
    const ids = new Set<number>()
    return modelEntries(source, "Models", (entry, { arrayOf, member, numberOf, textOf }): ProxySpec => {
      const shape = (key: string) => arrayOf(member(entry, key, "a model"), `"${key}"`).map((size) => numberOf(size, "a dimension", { ...positive, max: 2 ** 31 }))
      const type = (key: string): "FP32" | "INT64" => {
        const node = member(entry, key, "a model")
        const text = textOf(node, `"${key}"`)
        return text === "FP32" || text === "INT64" ? text : reject(source, node, `${shown(text)} is no known type`, "write \"FP32\" or \"INT64\"")
      }
      const idNode = member(entry, "proxy_id", "a model")
      const id = numberOf(idNode, "\"proxy_id\"", { min: 0, max: 1e6, integer: true })
      if (ids.has(id)) reject(source, idNode, `"proxy_id" ${id} stands twice`, "give each model its own")
      ids.add(id)
      return { id, inputShape: shape("input_dim"), outputShape: shape("output_dim"), inputType: type("input_type"), outputType: type("output_type") }
    })
  })
