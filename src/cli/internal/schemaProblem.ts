import * as ParseResult from "effect/ParseResult"

/** What is wrong with a decoded document, as one line: the first field, and how many more there are. */
export const schemaProblem = (error: ParseResult.ParseError): string => {
  const issues = ParseResult.ArrayFormatter.formatErrorSync(error)
  const [issue] = issues
  if (issue === undefined) return error.message
  const where = issue.path.map((key, i) => (typeof key === "number" ? `[${key}]` : `${i === 0 ? "" : "."}${String(key)}`)).join("")
  const message = issue.message.replace(/\s+/g, " ").slice(0, 300)
  const others = new Set(issues.map(({ path }) => path.join("."))).size - 1
  return `${where === "" ? "" : `${where}: `}${message}${others > 0 ? ` (and ${others} more)` : ""}`
}
