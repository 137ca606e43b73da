import * as Either from "effect/Either"
import type * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"
import { assert, describe, it } from "vitest"
import { decodeProblem, fieldName } from "../../src/core/internal/decodeProblem.js"
import { ServiceClass } from "../../src/core/Model.js"
import { PlanEffort } from "../../src/core/PlanEffort.js"
import { Arrivals } from "../../src/simulator/Scenario.js"

const problemOf = <A, I>(schema: Schema.Schema<A, I>, value: unknown): string => {
  const decoded = Schema.decodeUnknownEither(schema, { onExcessProperty: "error" })(value)
  const { message, path } = decodeProblem(Either.getOrThrow(Either.flip(decoded)) as ParseResult.ParseError)
  return `${fieldName(path)}: ${message}`
}

const File = Schema.Struct({
  class: Schema.optionalWith(ServiceClass, { default: () => "best-effort" as const }),
  effort: Schema.optionalWith(PlanEffort, { exact: true }),
  arrivals: Schema.optional(Arrivals),
  list: Schema.optional(Schema.Array(Schema.Struct({ n: Schema.Positive })))
})

describe("decodeProblem", () => {
  it("names all words of a choice", () => {
    assert.strictEqual(problemOf(File, { class: "fast" }), "class: Expected \"latency-critical\" or \"best-effort\", actual \"fast\"")
    assert.include(problemOf(File, { effort: "huge" }), "\"quick\" or \"normal\" or \"thorough\"")
  })

  it("says what is wrong with the member of a union that was meant", () => {
    assert.strictEqual(problemOf(File, { arrivals: { process: "poisson", rateRps: -5 } }), "arrivals.rateRps: Expected a non-negative number, actual -5")
    assert.match(problemOf(File, { arrivals: { process: "closed", clients: 0 } }), /^arrivals\.clients: Expected .*, actual 0$/)
const unclear = problemOf(File, { arrivals: { process: "often" } })
    for (const word of ["arrivals.process: Expected ", "\"poisson\"", "\"trace\"", "\"closed\"", ", actual \"often\""]) assert.include(unclear, word)
  })

  it("finds the field that a check of the whole names", () => {
    const Checked = Schema.Struct({ list: Schema.Array(Schema.Struct({ a: Schema.Number }).pipe(Schema.filter(({ a }) => a > 0 || { path: ["a"], message: "is too small" }))) })
    assert.strictEqual(problemOf(Checked, { list: [{ a: 1 }, { a: 0 }] }), "list[1].a: is too small")
  })

  it("tells objects, lists and values apart", () => {
    assert.strictEqual(problemOf(File, []), ": Expected an object, actual an empty list")
    assert.strictEqual(problemOf(File, null), ": Expected an object, actual null")
    assert.strictEqual(problemOf(File, { list: {} }), "list: Expected a list, actual an object")
    assert.strictEqual(problemOf(File, { list: [{ n: 1 }, { n: "2" }] }), "list[1].n: Expected number, actual \"2\"")
    assert.strictEqual(problemOf(File, { list: [{}] }), "list[0].n: is missing")
    assert.match(problemOf(File, { lost: 1 }), /^lost: is unexpected, expected: "class"/)
  })
})
