/**
 * JSON whose values know where they stand, so that what is wrong with one can be said with its line and column.
 */
import type { Position, SourceFile } from "../FormatError.js"
import { reject, shown } from "../FormatError.js"
import type { NumberRule } from "./csv.js"
import { outside, ruleText } from "./csv.js"

type JsonValue = null | boolean | number | string | ReadonlyArray<JsonNode> | ReadonlyMap<string, JsonNode>

export interface JsonNode extends Position {
  readonly value: JsonValue
}

/** No file of these formats nests nearly as deep. */
const deepest = 64

const literals: ReadonlyMap<string, JsonValue> = new Map<string, JsonValue>([["true", true], ["false", false], ["null", null]])
const space = /[ \t\r\n]*/y
const word = /[a-z]+/y
const numeral = /-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?/y
const quoted = /"[^"\\\p{Cc}]*(?:\\.[^"\\\p{Cc}]*)*"/uy

export const parseJson = (source: SourceFile): JsonNode => {
  const { text } = source
  let at = text.charCodeAt(0) === 0xfeff ? 1 : 0
  // Lines are counted as the reading goes on, once for the whole text.
  let counted = at
  let line = 1
  let lineStart = at
  const position = (): Position => {
    for (let next = text.indexOf("\n", counted); next >= 0 && next < at; next = text.indexOf("\n", counted)) {
      line++
      counted = lineStart = next + 1
    }
    return { line, column: at - lineStart + 1 }
  }
  const fail = (problem: string, hint: string): never => reject(source, position(), problem, hint)
  const take = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = at
    const found = pattern.exec(text)?.[0]
    if (found !== undefined) at += found.length
    return found
  }
  const skip = (): string | undefined => {
    take(space)
    return text[at]
  }
  const found = (): string => (at >= text.length ? "the end of the file" : shown(text[at]!))

  const string = (): string => {
    const start = at
    const raw = take(quoted)
    if (raw === undefined) return fail(`${found()} begins no text`, "write a text in double quotes, on one line")
    try {
      return JSON.parse(raw) as string
    } catch {
      at = start
      return fail(`${shown(raw)} has an escape that JSON does not know`, "write a backslash twice")
    }
  }

  /** The members between brackets, told apart by commas. */
  const members = (end: string, member: () => void): void => {
    at++
    if (skip() === end) {
      at++
      return
    }
    for (;;) {
      skip()
      member()
      const next = skip()
      if (next !== "," && next !== end) fail(`${found()} after a value`, `write "," or "${end}"`)
      at++
      if (next === end) return
    }
  }

  const value = (depth: number): JsonNode => {
    const first = skip()
    const place = position()
    if (depth > deepest) fail(`values nest deeper than ${deepest}`, "nest them less")
    if (first === "{") {
      const entries = new Map<string, JsonNode>()
      members("}", () => {
        const keyPlace = position()
        const key = string()
        if (entries.has(key)) reject(source, keyPlace, `${shown(key)} stands twice`, "give it once")
        if (skip() !== ":") fail(`${found()} after ${shown(key)}`, "write \":\"")
        at++
        entries.set(key, value(depth + 1))
      })
      return { value: entries, ...place }
    }
    if (first === "[") {
      const items: Array<JsonNode> = []
      members("]", () => {
        items.push(value(depth + 1))
      })
      return { value: items, ...place }
    }
    if (first === "\"") return { value: string(), ...place }
    const number = take(numeral)
    if (number !== undefined) return { value: Number(number), ...place }
    const before = at
    const name = take(word)
    const literal = name === undefined ? undefined : literals.get(name)
    if (literal === undefined) {
      at = before
      return fail(`${name === undefined ? found() : shown(name)} is no JSON value`, "write a number, a text in double quotes, true, false, null, [...] or {...}")
    }
    return { value: literal, ...place }
  }

  const root = value(0)
  if (skip() !== undefined) fail(`${found()} after the end of the document`, "give one document a file")
  return root
}

/** Typed access to the values of one file. */
export const jsonReader = (source: SourceFile) => {
  const objectOf = (node: JsonNode, what: string): ReadonlyMap<string, JsonNode> =>
    node.value instanceof Map ? node.value : reject(source, node, `${what} is no object`, "write {...}")
  const arrayOf = (node: JsonNode, what: string): ReadonlyArray<JsonNode> =>
    Array.isArray(node.value) ? (node.value as ReadonlyArray<JsonNode>) : reject(source, node, `${what} is no list`, "write [...]")
  const textOf = (node: JsonNode, what: string): string =>
    typeof node.value === "string" && node.value !== "" ? node.value : reject(source, node, `${what} is no text`, "write a text in double quotes")
  const numberOf = (node: JsonNode, what: string, rule: NumberRule): number =>
    typeof node.value === "number" && !outside(node.value, rule)
      ? node.value
      : reject(source, node, `${what} is ${typeof node.value === "number" || typeof node.value === "string" ? shown(String(node.value)) : "no number"}`, ruleText(rule))
  /** Configurations say true and false, or 1 and 0. */
  const booleanOf = (node: JsonNode, what: string): boolean =>
    node.value === true || node.value === 1
      ? true
      : node.value === false || node.value === 0 ? false : reject(source, node, `${what} is neither true nor false`, "write true or false")
  const member = (node: JsonNode, key: string, what: string): JsonNode =>
    objectOf(node, what).get(key) ?? reject(source, node, `${what} has no ${shown(key)}`, "add it")
  return { objectOf, arrayOf, textOf, numberOf, booleanOf, member }
}
