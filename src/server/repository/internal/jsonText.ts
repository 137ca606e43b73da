/** JSON with positions, for errors that say where. Strict; a key given twice is an error, for one of the two would be lost. */
import type { Position, TextField, TextNode } from "./textNode.js"
import { deepestText, TextCursor, TextError } from "./textNode.js"

export const parseJsonText = (text: string): TextNode => {
  const cursor = new TextCursor(text.startsWith("\uFEFF") ? text.slice(1) : text)
  const node = parseValue(cursor, 0)
  cursor.take(blank)
  if (cursor.peek() !== "") cursor.fail("the end of the file")
  return node
}

const blank = /[ \t\r\n]+/y
const string = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y
const number = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y
const word = /true|false|null/y

const parseValue = (cursor: TextCursor, depth: number): TextNode => {
  cursor.take(blank)
  const at = cursor.at
  if (depth > deepestText) throw new TextError(at, `values are nested deeper than ${deepestText}`)
  if (cursor.peek() === "{") return { kind: "message", fields: parseMembers(cursor, depth, at), at }
  if (cursor.peek() === "[") return { kind: "list", items: parseItems(cursor, depth, at), at }
  if (cursor.peek() === "\"") return { kind: "scalar", form: "string", text: parseString(cursor), at }
  const digits = cursor.take(number)
  if (digits !== "") return { kind: "scalar", form: "number", text: digits, at }
  const name = cursor.take(word)
  if (name === "") cursor.fail("a JSON value")
  return { kind: "scalar", form: "word", text: name, at }
}

const parseString = (cursor: TextCursor): string => {
  const at = cursor.at
  const raw = cursor.take(string)
  if (raw === "") throw new TextError(at, "the string does not end, or has an escape sequence or control character that JSON does not allow")
  return JSON.parse(raw) as string
}

const parseMembers = (cursor: TextCursor, depth: number, opened: Position): ReadonlyArray<TextField> => {
  const fields: Array<TextField> = []
  const seen = new Set<string>()
  separated(cursor, "}", opened, () => {
    const at = cursor.at
    if (cursor.peek() !== "\"") cursor.fail("a key in double quotes")
    const name = parseString(cursor)
    if (seen.has(name)) throw new TextError(at, `key "${name}" is given twice`)
    seen.add(name)
    cursor.take(blank)
    if (cursor.peek() !== ":") cursor.fail(`":" after key "${name}"`)
    cursor.advance()
    fields.push({ name, value: parseValue(cursor, depth + 1), at })
  })
  return fields
}

const parseItems = (cursor: TextCursor, depth: number, opened: Position): ReadonlyArray<TextNode> => {
  const items: Array<TextNode> = []
  separated(cursor, "]", opened, () => items.push(parseValue(cursor, depth + 1)))
  return items
}

/** `item, item, …` up to the closing bracket, both brackets consumed. */
const separated = (cursor: TextCursor, close: string, opened: Position, item: () => void): void => {
  cursor.advance()
  cursor.take(blank)
  if (cursor.peek() === close) return cursor.advance()
  for (;;) {
    item()
    cursor.take(blank)
    if (cursor.peek() === close) return cursor.advance()
    if (cursor.peek() !== ",") cursor.fail(`"," or "${close}" for the bracket opened at ${opened.line}:${opened.column}`)
    cursor.advance()
    cursor.take(blank)
  }
}

/** The plain value, as `JSON.parse` gives it. */
export const plainValue = (node: TextNode): unknown => {
  switch (node.kind) {
    case "message": return Object.fromEntries(node.fields.map((field) => [field.name, plainValue(field.value)]))
    case "list": return node.items.map(plainValue)
    case "scalar": return node.form === "string" ? node.text : JSON.parse(node.text) as unknown
  }
}

/** Where the value at a path stands; as near as the text goes along it. */
export const positionAt = (node: TextNode, path: ReadonlyArray<PropertyKey>): Position => {
  const [key, ...rest] = path
  if (key === undefined) return node.at
  if (node.kind === "message") {
    const field = node.fields.find(({ name }) => name === key)
    return field === undefined ? node.at : rest.length === 0 ? field.at : positionAt(field.value, rest)
  }
  const item = node.kind === "list" ? node.items[Number(key)] : undefined
  return item === undefined ? node.at : positionAt(item, rest)
}
