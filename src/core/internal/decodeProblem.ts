/**
 * What is wrong with a document that was decoded by a schema, for people: the first fault, where it is, and what was expected there.
 *
 * The formatters of ParseResult name one member of a union that did not match, and structs by their whole type. Here a union answers with the member that the
 * value was meant to be, as far as that can be told, and else with all that was possible.
 */
import * as Option from "effect/Option"
import * as ParseResult from "effect/ParseResult"
import * as AST from "effect/SchemaAST"

export interface DecodeProblem {
  readonly path: ReadonlyArray<PropertyKey>
  readonly message: string
  /** The field is not known; it is the last of the path. */
  readonly isUnknown: boolean
}

interface Leaf extends DecodeProblem {
  /** It stands at a word that says which member of a union was meant. */
  readonly isChoice: boolean
  readonly expected: string
  readonly actual: unknown
}

const longest = 300

const shown = (value: unknown): string => {
  if (Array.isArray(value)) return value.length === 0 ? "an empty list" : "a list"
  if (typeof value === "object" && value !== null) return "an object"
  return value === undefined ? "nothing" : typeof value === "string" ? JSON.stringify(value.slice(0, 100)) : String(value)
}

const sidesOf = (ast: AST.AST): AST.AST => (AST.isTransformation(ast) ? sidesOf(ast.from) : ast)

const isWords = (ast: AST.AST): boolean => AST.isLiteral(ast) || (AST.isUnion(ast) && ast.types.every(isWords))

const expectedBy = (ast: AST.AST): string => {
  const side = sidesOf(ast)
  if (AST.isTypeLiteral(side)) return "an object"
  if (AST.isTupleType(side)) return "a list"
  if (AST.isUnion(side)) return [...new Set(side.types.filter((type) => !AST.isUndefinedKeyword(type)).map(expectedBy))].join(" or ")
  return String(ast)
}

const formatted = (issue: ParseResult.ParseIssue): string =>
  (ParseResult.ArrayFormatter.formatIssueSync(issue)[0]?.message ?? "is not what it should be").replace(/\s+/g, " ")

const isWorded = (issue: ParseResult.ParseIssue): boolean => "ast" in issue && Option.isSome(AST.getMessageAnnotation(issue.ast as AST.AST))

const leafAt = (issue: ParseResult.ParseIssue, path: ReadonlyArray<PropertyKey>): Leaf => {
  if (isWorded(issue)) return { path, message: formatted(issue), isUnknown: false, isChoice: false, expected: "", actual: undefined }
  switch (issue._tag) {
    case "Pointer":
      return leafAt(issue.issue, [...path, ...(Array.isArray(issue.path) ? issue.path : [issue.path])])
    case "Composite": {
      const { ast } = issue
      const issues: ReadonlyArray<ParseResult.ParseIssue> = "_tag" in issue.issues ? [issue.issues] : issue.issues
      return AST.isUnion(ast) ? leafOfUnion(ast, issue.actual, issues, path) : leafAt(issues[0]!, path)
    }
    case "Refinement":
      // What a check says of a field within is there; of the value itself its description says more.
      if (issue.kind === "From" || issue.issue._tag !== "Type") return leafAt(issue.issue, path)
      break
    case "Transformation":
      if (issue.kind !== "Transformation" || issue.issue._tag !== "Type") return leafAt(issue.issue, path)
      break
    case "Missing":
      return { path, message: "is missing", isUnknown: false, isChoice: false, expected: "something", actual: undefined }
    case "Unexpected":
      return { path, message: formatted(issue), isUnknown: true, isChoice: false, expected: "nothing", actual: undefined }
    case "Type":
      if (issue.message === undefined) {
        const expected = expectedBy(issue.ast)
        return { path, message: `Expected ${expected}, actual ${shown(issue.actual)}`, isUnknown: false, isChoice: isWords(issue.ast), expected, actual: issue.actual }
      }
  }
  return { path, message: formatted(issue), isUnknown: false, isChoice: false, expected: expectedBy(issue.ast), actual: issue.actual }
}

const leafOfUnion = (ast: AST.Union, actual: unknown, issues: ReadonlyArray<ParseResult.ParseIssue>, path: ReadonlyArray<PropertyKey>): Leaf => {
  // What may be left out is not what a value was meant to be.
  const isAbsence = (issue: ParseResult.ParseIssue): boolean => issue._tag === "Type" && AST.isUndefinedKeyword(issue.ast)
  const leaves = issues.filter((issue) => actual === undefined || !isAbsence(issue)).map((issue) => leafAt(issue, path))
  if (leaves.length === 1) return leaves[0]!
  const meant = leaves.filter(({ isChoice, path: at }) => at.length > path.length && !isChoice)
  // None of the members is one thing or the other: the value itself is of the wrong kind.
  if (leaves.every(({ path: at }) => at.length === path.length)) {
    const expected = expectedBy(ast)
    return { path, message: `Expected ${expected}, actual ${shown(actual)}`, isUnknown: false, isChoice: isWords(ast), expected, actual }
  }
  const [deepest] = [...meant].sort((a, b) => b.path.length - a.path.length)
  if (deepest !== undefined) return deepest
  const choices = leaves.filter(({ isChoice }) => isChoice)
  const expected = [...new Set(choices.map((leaf) => leaf.expected))].join(" or ")
  return { ...choices[0]!, expected, message: `Expected ${expected}, actual ${shown(choices[0]!.actual)}` }
}

/** The first fault of a document. */
export const decodeProblem = (error: ParseResult.ParseError): DecodeProblem => {
  const { isUnknown, message, path } = leafAt(error.issue, [])
  return { path, message: message.slice(0, longest), isUnknown }
}

/** A path as one writes it: `models[0].points`. */
export const fieldName = (path: ReadonlyArray<PropertyKey>): string =>
  path.map((key, i) => (typeof key === "number" ? `[${key}]` : /^\w+$/.test(String(key)) ? `${i === 0 ? "" : "."}${String(key)}` : `["${String(key)}"]`)).join("")
