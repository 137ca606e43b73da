/** Requests of an offline job as they are sent: as they stand in their file, but for one parameter. */

const serviceClass = { "service-class": "best-effort" }

const [quote, backslash, comma, colon, open, close, openList, closeList] = Array.from("\"\\,:{}[]", (char) => char.charCodeAt(0)) as [
  number, number, number, number, number, number, number, number
]
const isSpace = (code: number): boolean => code === 32 || (code >= 9 && code <= 13)

/** Of the JSON string that begins at `at`. */
const endOfString = (text: string, at: number): number => {
  let i = at + 1
  while (text.charCodeAt(i) !== quote) i += text.charCodeAt(i) === backslash ? 2 : 1
  return i + 1
}

/** Of the JSON value that begins at `at`. */
const endOfValue = (text: string, at: number): number => {
  let depth = 0
  for (let i = at;;) {
    const code = text.charCodeAt(i)
    if (code === quote) {
      i = endOfString(text, i)
      if (depth === 0) return i
      continue
    }
    if (code === open || code === openList) depth++
    else if (code === close || code === closeList) {
      if (depth === 0) return i
      if (--depth === 0) return i + 1
    } else if (depth === 0 && (code === comma || isSpace(code))) return i
    i++
  }
}

/** Where the values of a key stand in the text of a JSON object. */
const valuesOf = (text: string, key: string): ReadonlyArray<readonly [start: number, end: number]> => {
  const found: Array<readonly [number, number]> = []
  for (let i = text.indexOf("{") + 1;;) {
    const code = text.charCodeAt(i)
    if (code === close) return found
    if (code !== quote) {
      i++
      continue
    }
    const nameEnd = endOfString(text, i)
    const name = JSON.parse(text.slice(i, nameEnd)) as string
    let start = nameEnd
    while (isSpace(text.charCodeAt(start)) || text.charCodeAt(start) === colon) start++
    const end = endOfValue(text, start)
    if (name === key) found.push([start, end])
    i = end
  }
}

/**
 * The request as best-effort work, or why it is none. The rest of the text stays as it is: parsed and written again, integers beyond 2^53 would be
 * others.
 */
export const asBestEffort = (text: string): { readonly body: string } | { readonly problem: string } => {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    return { problem: `not JSON: ${error instanceof Error ? error.message : String(error)}` }
  }
  if (typeof value !== "object" || value === null || !("inputs" in value)) return { problem: 'not a request: {"inputs": [...]} is needed' }
  const parameters = "parameters" in value ? value.parameters ?? {} : undefined
  if (parameters === undefined) {
    const start = text.indexOf("{") + 1
    return { body: `${text.slice(0, start)}"parameters":${JSON.stringify(serviceClass)},${text.slice(start)}` }
  }
  // What else stands there the server refuses.
  if (typeof parameters !== "object" || Array.isArray(parameters)) return { body: text }
  const written = JSON.stringify({ ...parameters, ...serviceClass })
  let body = ""
  let at = 0
  for (const [start, end] of valuesOf(text, "parameters")) {
    body += text.slice(at, start) + written
    at = end
  }
  return { body: body + text.slice(at) }
}
