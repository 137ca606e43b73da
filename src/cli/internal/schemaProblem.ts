import type * as ParseResult from "effect/ParseResult"
import { decodeProblem, fieldName } from "../../core/internal/decodeProblem.js"

/** What is wrong with a decoded document, as one line: the first field that is not what it should be. */
export const schemaProblem = (error: ParseResult.ParseError): string => {
  const { message, path } = decodeProblem(error)
  return path.length === 0 ? message : `${fieldName(path)}: ${message}`
}
