/**
 * Protobuf's text format, as in `config.pbtxt`. https://protobuf.dev/reference/protobuf/textformat-spec/
 *
 * Without a schema: a field given twice stays two fields; extensions and `Any` are refused, for Triton's configuration has none.
 */
import type { Position, TextField, TextNode } from "./textNode.js"
import { deepestText, TextCursor, TextError } from "./textNode.js"

export const parsePbtxt = (text: string): TextNode => {
  const cursor = new TextCursor(text.startsWith("\uFEFF") ? text.slice(1) : text)
  const at = cursor.at
  const fields = parseFields(cursor, "", 0)
  return { kind: "message", fields, at }
}

const blank = /(?:[ \t\r\n\f\v]+|#[^\n]*)+/y
const identifier = /[A-Za-z_][A-Za-z0-9_]*/y
const separator = /[,;]/y
const number = /-?[ \t]*(?:0[xX][0-9a-fA-F]+|(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?[fF]?)(?![A-Za-z0-9_.])/y
const negativeWord = /-[ \t]*(?:inf|infinity|nan)\b/iy

const closing: Readonly<Record<string, string>> = { "{": "}", "<": ">" }

/** Fields up to the closing bracket `end`, which is consumed; to the end of the text where `end` is empty. */
const parseFields = (cursor: TextCursor, end: string, depth: number, opened?: Position): ReadonlyArray<TextField> => {
  if (depth > deepestText) throw new TextError(cursor.at, `blocks are nested deeper than ${deepestText}`)
  const fields: Array<TextField> = []
  for (;;) {
    cursor.take(blank)
    if (cursor.peek() === "") {
      if (end === "") return fields
      return cursor.fail(`"${end}" for the block opened at ${opened!.line}:${opened!.column}`)
    }
    if (end !== "" && cursor.peek() === end) {
      cursor.advance()
      return fields
    }
    fields.push(parseField(cursor, depth))
    cursor.take(blank)
    cursor.take(separator)
  }
}

const parseField = (cursor: TextCursor, depth: number): TextField => {
  const at = cursor.at
  if (cursor.peek() === "[") throw new TextError(at, "extensions and Any are not supported", "unsupported")
  const name = cursor.take(identifier)
  if (name === "") cursor.fail("a field name")
  cursor.take(blank)
  const hasColon = cursor.peek() === ":"
  if (hasColon) {
    cursor.advance()
    cursor.take(blank)
  }
  if (!hasColon && closing[cursor.peek()] === undefined && cursor.peek() !== "[") cursor.fail(`":" or a block after "${name}"`)
  const value = parseValue(cursor, depth)
  if (!hasColon && value.kind === "list" && value.items.some((item) => item.kind !== "message")) {
    throw new TextError(value.at, `expected ":" after "${name}"`)
  }
  return { name, value, at }
}

const parseValue = (cursor: TextCursor, depth: number): TextNode => {
  const at = cursor.at
  const close = closing[cursor.peek()]
  if (close !== undefined) {
    cursor.advance()
    return { kind: "message", fields: parseFields(cursor, close, depth + 1, at), at }
  }
  if (cursor.peek() === "[") return parseList(cursor, depth, at)
  if (cursor.peek() === "\"" || cursor.peek() === "'") return { kind: "scalar", form: "string", text: parseStrings(cursor), at }
  const digits = cursor.take(number) || cursor.take(negativeWord)
  if (digits !== "") return { kind: "scalar", form: "number", text: canonicalNumber(digits, at), at }
  const word = cursor.take(identifier)
  if (word === "") cursor.fail("a value")
  return { kind: "scalar", form: "word", text: word, at }
}

const parseList = (cursor: TextCursor, depth: number, at: Position): TextNode => {
  const items: Array<TextNode> = []
  cursor.advance()
  cursor.take(blank)
  while (cursor.peek() !== "]") {
    if (cursor.peek() === "[") throw new TextError(cursor.at, "a list within a list")
    items.push(parseValue(cursor, depth))
    cursor.take(blank)
    if (cursor.peek() === ",") {
      cursor.advance()
      cursor.take(blank)
      if (cursor.peek() === "]") cursor.fail("a value after \",\"")
    } else if (cursor.peek() !== "]") cursor.fail(`"," or "]" in the list opened at ${at.line}:${at.column}`)
  }
  cursor.advance()
  return { kind: "list", items, at }
}

/** Decimal text of what may be hexadecimal, octal, or carry a float's suffix. */
const canonicalNumber = (text: string, at: Position): string => {
  const sign = text.startsWith("-") ? "-" : ""
  const digits = text.replace(/^-\s*/, "")
  if (/^0x/i.test(digits)) return sign + BigInt(digits).toString()
  if (/^0\d/.test(digits) && !/[.eE]/.test(digits)) {
    if (!/^[0-7]+$/.test(digits)) throw new TextError(at, `"${digits}" begins like an octal number and is none`)
    return sign + BigInt(`0o${digits.slice(1)}`).toString()
  }
  return sign + digits.replace(/[fF]$/, "")
}

/** Adjacent strings are one. Escapes may make any bytes; together they must be UTF-8. */
const parseStrings = (cursor: TextCursor): string => {
  const at = cursor.at
  const parts: Array<Uint8Array> = []
  while (cursor.peek() === "\"" || cursor.peek() === "'") {
    parseString(cursor, parts)
    cursor.take(blank)
  }
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(Buffer.concat(parts))
  } catch {
    throw new TextError(at, "the string is not UTF-8")
  }
}

const plainDouble = /[^"\\\n]+/y
const plainSingle = /[^'\\\n]+/y
const octal = /[0-7]{1,3}/y
const hexByte = /[0-9a-fA-F]{1,2}/y
const hex4 = /[0-9a-fA-F]{4}/y
const hex8 = /[0-9a-fA-F]{8}/y
const simpleEscapes: Readonly<Record<string, string>> = {
  a: "\x07", b: "\b", f: "\f", n: "\n", r: "\r", t: "\t", v: "\v", "?": "?", "\\": "\\", "'": "'", "\"": "\""
}

const parseString = (cursor: TextCursor, parts: Array<Uint8Array>): void => {
  const at = cursor.at
  const quote = cursor.peek()
  cursor.advance()
  for (;;) {
    const plain = cursor.take(quote === "\"" ? plainDouble : plainSingle)
    if (plain !== "") parts.push(Buffer.from(plain))
    if (cursor.peek() === quote) return cursor.advance()
    if (cursor.peek() !== "\\") throw new TextError(at, "the string does not end on its line")
    parts.push(parseEscape(cursor))
  }
}

const parseEscape = (cursor: TextCursor): Uint8Array => {
  const at = cursor.at
  cursor.advance()
  const bytes = cursor.take(octal)
  if (bytes !== "") return Uint8Array.of(Number.parseInt(bytes, 8) & 0xff)
  const letter = cursor.peek()
  const simple = Object.hasOwn(simpleEscapes, letter) ? simpleEscapes[letter] : undefined
  cursor.advance()
  if (simple !== undefined) return Buffer.from(simple)
  if (letter === "x" || letter === "X") {
    const digits = cursor.take(hexByte)
    if (digits !== "") return Uint8Array.of(Number.parseInt(digits, 16))
  } else if (letter === "u" || letter === "U") {
    const point = Number.parseInt(cursor.take(letter === "u" ? hex4 : hex8), 16)
    if (point <= 0x10ffff) return Buffer.from(String.fromCodePoint(point))
  }
  throw new TextError(at, `"\\${letter}" is no escape sequence`)
}
