/**
 * Splits the JSON of an infer request: the numbers of each input's `data` stay bytes, the rest becomes plain values.
 *
 * Only `data` arrays are cut out, and what is left (with `null` in their places) goes through `JSON.parse`, the cut arrays through
 * `readNumbers`. Both are strict, so a body that is not JSON cannot pass, whatever this scan made of it.
 */
import { isUtf8 } from "node:buffer"
import { InvalidRequest } from "../../core/RequestError.js"

/** Bytes of one `data` array, brackets included. */
export interface DataRange {
  readonly start: number
  readonly end: number
}

/** The request without its numbers. */
export interface ScannedRequest {
  readonly json: unknown
  /** By index in `inputs`; undefined where an input has no `data` array. */
  readonly data: ReadonlyArray<DataRange | undefined>
}

const openBrace = 123, closeBrace = 125, openBracket = 91, closeBracket = 93, quote = 34, backslash = 92, colon = 58, comma = 44

/** Position after the string that begins at `at`; `bytes.length` where it does not end. */
const skipString = (bytes: Buffer, at: number): number => {
  let end = at
  for (;;) {
    end = bytes.indexOf(quote, end + 1)
    if (end < 0) return bytes.length
    let slashes = 0
    while (bytes[end - 1 - slashes] === backslash) slashes++
    if (slashes % 2 === 0) return end + 1
  }
}

/** Position after the array that begins at `at`, by its brackets alone. */
const skipArray = (bytes: Buffer, at: number): number => {
  const close = bytes.indexOf(closeBracket, at)
  if (close < 0) return bytes.length
  // Almost every array is flat: two native searches instead of a loop over its bytes.
  const inner = bytes.subarray(at + 1, close).indexOf(openBracket)
  if (inner < 0) return close + 1
  let depth = 0
  for (let i = at; i < bytes.length; i++) {
    const c = bytes[i]
    if (c === openBracket) depth++
    else if (c === closeBracket && --depth === 0) return i + 1
  }
  return bytes.length
}

const isSpace = (c: number | undefined): boolean => c === 32 || c === 10 || c === 13 || c === 9

const keyText = (bytes: Buffer, start: number, end: number): string => {
  const text = bytes.toString("utf8", start + 1, end - 1)
  if (!text.includes("\\")) return text
  try {
    return String(JSON.parse(`"${text}"`))
  } catch {
    return text
  }
}

/** `inputs[i].data` of the body, and the text around them. */
const cut = (bytes: Buffer): { readonly text: string; readonly data: Array<DataRange | undefined> } | InvalidRequest => {
  const data: Array<DataRange | undefined> = []
  let text = ""
  let copied = 0
  let depth = 0
  let at = 0
  // True inside the array `inputs` of the root object, and the index of the input there.
  let inInputs = false
  let seenInputs = false
  let input = 0
  let key = ""
  let keyDepth = 0
  while (at < bytes.length) {
    const c = bytes[at]!
    if (c === quote) {
      const end = skipString(bytes, at)
      if (depth === 1 || (depth === 3 && inInputs)) {
        let next = end
        while (isSpace(bytes[next])) next++
        if (bytes[next] === colon) {
          key = keyText(bytes, at, end)
          keyDepth = depth
          at = next + 1
          continue
        }
      }
      at = end
    } else if (c === openBracket && depth === 3 && inInputs && keyDepth === 3 && key === "data") {
      if (data[input] !== undefined) return new InvalidRequest({ field: `inputs[${input}].data`, problem: "stands twice in one input" })
      const end = skipArray(bytes, at)
      data[input] = { start: at, end }
      text += bytes.toString("utf8", copied, at) + "null"
      copied = end
      at = end
      key = ""
    } else {
      if (c === openBrace || c === openBracket) {
        depth++
        if (depth === 2 && c === openBracket && keyDepth === 1 && key === "inputs") {
          if (seenInputs) return new InvalidRequest({ field: "inputs", problem: "stands twice in the request" })
          seenInputs = true
          inInputs = true
        }
        key = ""
      } else if (c === closeBrace || c === closeBracket) {
        depth--
        if (depth === 1) inInputs = false
        key = ""
      } else if (c === comma) {
        if (depth === 2 && inInputs) input++
        key = ""
      }
      at++
    }
  }
  return { text: text + bytes.toString("utf8", copied), data }
}

/** Reads the JSON part of an infer request, or says what is wrong with it. */
export const scanRequest = (bytes: Buffer, field: string): ScannedRequest | InvalidRequest => {
  if (!isUtf8(bytes)) return new InvalidRequest({ field, problem: "is not valid UTF-8" })
  const parts = cut(bytes)
  if (parts instanceof InvalidRequest) return parts
  try {
    return { json: JSON.parse(parts.text) as unknown, data: parts.data }
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message.replace(/ in JSON at position \d+.*$/s, "").slice(0, 120) : "unreadable"
    return new InvalidRequest({ field, problem: bytes.length === 0 ? "is empty, JSON was expected" : `is not valid JSON: ${reason}` })
  }
}
