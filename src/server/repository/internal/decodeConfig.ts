/** Checks what a text says against a descriptor and gives it as JSON, in the form in which Triton shows configurations. */
import type { Position, TextNode } from "./textNode.js"
import { suggest } from "../../../core/internal/suggest.js"
import { TextError } from "./textNode.js"
import type { Descriptor, FieldRule, FieldType } from "./tritonSchema.js"

export interface DecodedConfig {
  readonly json: Readonly<Record<string, unknown>>
  /** Where every value stands, by path, e.g. `input[0].dims`. */
  readonly positions: ReadonlyMap<string, Position>
  /** What is accepted and decides nothing, one line each. */
  readonly notes: ReadonlyArray<string>
}

export const decodeConfig = (node: TextNode, descriptor: Descriptor): DecodedConfig => {
  const positions = new Map<string, Position>()
  const notes = new Set<string>()
  const json = decodeMessage({ positions, notes }, node, descriptor, "")
  return { json, positions, notes: [...notes] }
}

interface Sink {
  readonly positions: Map<string, Position>
  readonly notes: Set<string>
}

const wrong = (at: Position, path: string, detail: string): never => {
  throw new TextError(at, detail, "invalid", path === "" ? undefined : path)
}

const decodeMessage = (sink: Sink, node: TextNode, descriptor: Descriptor, path: string): Readonly<Record<string, unknown>> => {
  if (node.kind !== "message") return wrong(node.at, path, "expected a block of fields")
  const values = new Map<string, unknown>()
  for (const field of node.fields) {
    const rule = descriptor.get(field.name)
    if (rule === undefined) {
      const near = suggest(field.name, descriptor.keys())
      return wrong(field.at, path, `unknown field "${field.name}"${near === undefined ? "" : `; did you mean "${near}"?`}`)
    }
    const fieldPath = path === "" ? field.name : `${path}.${field.name}`
    if (rule.unsupported !== undefined && rule.type !== "bool") {
      throw new TextError(field.at, `is not supported: ${rule.unsupported}`, "unsupported", fieldPath)
    }
    if (isRepeated(rule)) {
      values.set(field.name, decodeRepeated(sink, field.value, rule, fieldPath, values.get(field.name)))
    } else {
      if (values.has(field.name)) return wrong(field.at, fieldPath, "is given twice")
      const value = decodeValue(sink, field.value, rule.type, fieldPath)
      if (rule.unsupported !== undefined && value !== false) throw new TextError(field.at, `is not supported: ${rule.unsupported}`, "unsupported", fieldPath)
      values.set(field.name, value)
    }
    if (!sink.positions.has(fieldPath)) sink.positions.set(fieldPath, field.at)
    if (rule.noEffect !== undefined && values.get(field.name) !== false && values.get(field.name) !== rule.unless) sink.notes.add(`${fieldPath} has no effect here: ${rule.noEffect}`)
  }
  // Object.fromEntries defines own properties: a key "__proto__" is a key like any other.
  return Object.fromEntries(values)
}

const isRepeated = (rule: FieldRule): boolean => rule.repeated === true || (typeof rule.type === "object" && "map" in rule.type)

/** Repeated fields and maps gather over all their occurrences. */
const decodeRepeated = (sink: Sink, node: TextNode, rule: FieldRule, path: string, before: unknown): unknown => {
  if (typeof rule.type === "object" && "map" in rule.type) {
    const entries = new Map(Object.entries((before ?? {}) as object))
    for (const [name, value, at] of mapEntries(node, path)) {
      if (entries.has(name)) return wrong(at, path, `key "${name}" is given twice`)
      const entryPath = `${path}["${name}"]`
      if (rule.type.key === "uint64" && !/^\d+$/.test(name)) return wrong(at, path, `expected a whole number as key, found "${name}"`)
      sink.positions.set(entryPath, at)
      entries.set(name, value === undefined ? emptyValue(rule.type.map) : decodeValue(sink, value, rule.type.map, entryPath))
    }
    return Object.fromEntries(entries)
  }
  const items = [...((before ?? []) as ReadonlyArray<unknown>)]
  for (const item of node.kind === "list" ? node.items : [node]) {
    const itemPath = `${path}[${items.length}]`
    sink.positions.set(itemPath, item.at)
    items.push(decodeValue(sink, item, rule.type, itemPath))
  }
  return items
}

const emptyValue = (type: FieldType): unknown => (typeof type === "object" && "message" in type ? {} : "")

/** A map is entries of key and value in text format, an object in JSON. */
const mapEntries = (node: TextNode, path: string): ReadonlyArray<readonly [string, TextNode | undefined, Position]> => {
  if (node.kind === "list") return node.items.flatMap((item) => mapEntries(item, path))
  if (node.kind !== "message") return wrong(node.at, path, "expected entries of key and value")
  const key = node.fields.find((field) => field.name === "key")
  if (key === undefined || key.value.kind !== "scalar") {
    if (node.fields.every((field) => field.name !== "value")) return node.fields.map((field) => [field.name, field.value, field.at] as const)
    return wrong(node.at, path, "an entry without key")
  }
  const other = node.fields.find((field) => field !== key && field.name !== "value")
  if (other !== undefined) return wrong(other.at, path, `expected key and value, found "${other.name}"`)
  if (node.fields.length > 2) return wrong(node.at, path, "an entry has one key and one value")
  return [[key.value.text, node.fields.find((field) => field.name === "value")?.value, node.at]]
}

const ranges: Readonly<Record<string, readonly [bigint, bigint]>> = {
  int32: [-(2n ** 31n), 2n ** 31n - 1n],
  uint32: [0n, 2n ** 32n - 1n],
  int64: [-(2n ** 63n), 2n ** 63n - 1n],
  uint64: [0n, 2n ** 64n - 1n]
}

const decodeValue = (sink: Sink, node: TextNode, type: FieldType, path: string): unknown => {
  if (typeof type === "object" && "message" in type) return decodeMessage(sink, node, type.message, path)
  if (node.kind !== "scalar") return wrong(node.at, path, `expected ${nameOf(type)}, found a ${node.kind === "list" ? "list" : "block"}`)
  const expected = (): never => wrong(node.at, path, `expected ${nameOf(type)}, found ${node.form === "string" ? `"${node.text.slice(0, 60)}"` : node.text.slice(0, 60)}`)
  if (typeof type === "object" && "values" in type) {
    // Protobuf's JSON writes enums as strings.
    if (type.values.includes(node.text) && node.form !== "number") return node.text
    const near = suggest(node.text, type.values)
    return wrong(node.at, path, `unknown value "${node.text.slice(0, 60)}"; ${near === undefined ? `expected one of ${type.values.join(", ")}` : `did you mean ${near}?`}`)
  }
  switch (type) {
    case "string": return node.form === "string" ? node.text : expected()
    case "bool": {
      if (node.form === "word" && /^(true|True|t)$/.test(node.text)) return true
      if (node.form === "word" && /^(false|False|f)$/.test(node.text)) return false
      return node.form === "number" && /^[01]$/.test(node.text) ? node.text === "1" : expected()
    }
    case "double": {
      const value = Number(node.text)
      return node.form === "number" && Number.isFinite(value) ? value : expected()
    }
    case "int32": case "uint32": case "int64": case "uint64": {
      // Protobuf's JSON writes 64-bit integers as strings.
      const quoted = node.form === "string" && type.endsWith("64")
      if (!(node.form === "number" || quoted) || !/^-?\d{1,20}$/.test(node.text)) return expected()
      const value = BigInt(node.text)
      const [low, high] = ranges[type]!
      return value < low || value > high ? wrong(node.at, path, `${node.text} does not fit ${type}`) : Number(value)
    }
    default: return wrong(node.at, path, "expected entries of key and value")
  }
}

const nameOf = (type: FieldType): string => {
  if (typeof type === "object") return "values" in type ? `one of ${type.values.join(", ")}` : "entries"
  return type === "string" ? "a quoted string" : type === "bool" ? "true or false" : type === "double" ? "a number" : `a whole number (${type})`
}
