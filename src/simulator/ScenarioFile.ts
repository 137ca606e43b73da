/**
 * Reads scenarios; what is wrong is told with file, line and column.
 *
 * @since 0.1.0
 */
import type * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import { decodeProblem, fieldName } from "../core/internal/decodeProblem.js"
import { suggest } from "../core/internal/suggest.js"
import type { FormatError, SourceFile } from "../scheduler/original/FormatError.js"
import { parsing, reject, shown } from "../scheduler/original/FormatError.js"
import type { JsonNode } from "../scheduler/original/internal/json.js"
import { parseJson } from "../scheduler/original/internal/json.js"
import { parseRates, parseTrace } from "./ArrivalSchedule.js"
import { Scenario } from "./Scenario.js"

type Path = ReadonlyArray<PropertyKey>

/** The innermost value on the path that is in the file. */
const nodeAt = (root: JsonNode, path: Path): JsonNode => {
  let node = root
  for (const key of path) {
    const { value } = node
    const next: JsonNode | undefined = value instanceof Map
      ? (value as ReadonlyMap<string, JsonNode>).get(String(key))
      : Array.isArray(value) ? (value as ReadonlyArray<JsonNode>)[Number(key)] : undefined
    if (next === undefined) return node
    node = next
  }
  return node
}

const plain = ({ value }: JsonNode): unknown =>
  value instanceof Map
    ? Object.fromEntries([...value as ReadonlyMap<string, JsonNode>].map(([key, node]) => [key, plain(node)]))
    : Array.isArray(value) ? (value as ReadonlyArray<JsonNode>).map(plain) : value


const decode = Schema.decodeUnknownEither(Scenario, { onExcessProperty: "error", errors: "first" })

interface Fault {
  readonly path: Path
  readonly problem: string
  readonly hint: string
}

const didYouMean = (name: string, known: ReadonlyArray<string>, otherwise: string): string => {
  const near = suggest(name, known)
  return near === undefined ? otherwise : `did you mean ${shown(near)}?`
}

const firstTwice = (names: ReadonlyArray<string>): number => names.findIndex((name, i) => names.indexOf(name) < i)


/** What the schema cannot say: names that must exist, fields that go together. */
const faultOf = (scenario: Scenario): Fault | undefined => {
  const models = scenario.models.map(({ name }) => name as string)
  const applications = scenario.applications.map(({ name }) => name)
  const twice = firstTwice(models)
  if (twice >= 0) return { path: ["models", twice, "name"], problem: `model ${shown(models[twice]!)} stands twice`, hint: "give every model a name of its own; `profile` says what it is measured as" }
  const same = firstTwice(applications)
  if (same >= 0) return { path: ["applications", same, "name"], problem: `application ${shown(applications[same]!)} stands twice`, hint: "rename one" }
  for (const [i, model] of scenario.models.entries()) {
    if (model.class === "latency-critical" && model.sloMs === undefined) return { path: ["models", i], problem: `the latency-critical model ${shown(model.name)} has no sloMs`, hint: "give it one, or \"class\": \"best-effort\"" }
    if (model.class === "best-effort" && model.sloMs !== undefined) return { path: ["models", i, "sloMs"], problem: `the best-effort model ${shown(model.name)} has an SLO`, hint: "take it away, or make the model latency-critical" }
  }
  for (const [a, { steps }] of scenario.applications.entries()) {
    const ids = steps.map(({ id }) => id)
    const again = firstTwice(ids)
    if (again >= 0) return { path: ["applications", a, "steps", again, "id"], problem: `step ${shown(ids[again]!)} stands twice`, hint: "give every step an id of its own" }
    for (const [s, step] of steps.entries()) {
      const path = ["applications", a, "steps", s]
      if (!models.includes(step.model)) return { path: [...path, "model"], problem: `there is no model ${shown(step.model)}`, hint: didYouMean(step.model, models, "list it under models") }
      for (const [b, before] of step.after.entries()) {
        const at = ids.indexOf(before)
        if (at < 0) return { path: [...path, "after", b], problem: `there is no step ${shown(before)}`, hint: didYouMean(before, ids, "name a step above") }
        if (at >= s) return { path: [...path, "after", b], problem: `step ${shown(before)} does not stand above`, hint: "list steps in an order in which they can run; none may wait for itself" }
      }
    }
  }
  for (const [i, load] of scenario.loads.entries()) {
    const { application, arrivals, model } = load
    if ((model === undefined) === (application === undefined)) return { path: ["loads", i], problem: "a load asks for one model or one application", hint: "give either `model` or `application`" }
    if (model !== undefined && !models.includes(model)) return { path: ["loads", i, "model"], problem: `there is no model ${shown(model)}`, hint: didYouMean(model, models, "list it under models") }
    if (application !== undefined && !applications.includes(application)) return { path: ["loads", i, "application"], problem: `there is no application ${shown(application)}`, hint: didYouMean(application, applications, "list it under applications") }
    const path = ["loads", i, "arrivals"]
    if (arrivals.process === "trace") {
      if ((arrivals.timesMs === undefined) === (arrivals.file === undefined)) return { path, problem: "a trace has no times, or two lists of them", hint: "give either `timesMs` or `file`" }
      const down = arrivals.timesMs?.findIndex((time, at, times) => at > 0 && time < times[at - 1]!) ?? -1
      if (down >= 0) return { path: [...path, "timesMs", down], problem: "stands after a later time", hint: "times ascend" }
    } else if (arrivals.process !== "closed") {
      const given = [arrivals.rateRps, arrivals.ratesRps, arrivals.ratesFile].filter((value) => value !== undefined)
      if (given.length !== 1) return { path, problem: given.length === 0 ? "has no rate" : "has several rates", hint: "give one of `rateRps`, `ratesRps` and `ratesFile`" }
      if (arrivals.cv !== undefined && arrivals.process !== "gamma") return { path: [...path, "cv"], problem: `${arrivals.process} arrivals have no cv`, hint: "write \"process\": \"gamma\"" }
      if (arrivals.process === "gamma" && arrivals.cv === undefined) return { path, problem: "gamma arrivals have no cv", hint: "give the deviation of gaps over their mean; above 1 they come in bursts" }
      if (arrivals.rateRps !== undefined && arrivals.periodMs !== undefined) return { path: [...path, "periodMs"], problem: "one rate has no period", hint: "take it away, or give ratesRps" }
    }
  }
  for (const [i, failure] of scenario.failures.entries()) {
    if (failure.gpu >= scenario.gpus) return { path: ["failures", i, "gpu"], problem: `there is no GPU ${failure.gpu}`, hint: `they are numbered from 0 to ${scenario.gpus - 1}` }
  }
  return undefined
}

/**
 * Reads a scenario and the files it names, whose rates and times then stand in it.
 * @since 0.1.0
 * @category scenarios
 */
export const parseScenario = (source: SourceFile, read: (file: string) => SourceFile): Either.Either<Scenario, FormatError> =>
  parsing(() => {
    const root = parseJson(source)
    const decoded = decode(plain(root))
    if (decoded._tag === "Left") {
      const { message, path } = decodeProblem(decoded.left)
      return reject(source, nodeAt(root, path), `${path.length === 0 ? "the scenario" : fieldName(path)}: ${message}`, "docs/simulator.md has the format")
    }
    const scenario = decoded.right
    const fault = faultOf(scenario)
    if (fault !== undefined) return reject(source, nodeAt(root, fault.path), `${fieldName(fault.path)}: ${fault.problem}`, fault.hint)
    const parsed = <A extends object>(file: string, parse: (text: string) => A | { readonly line: number; readonly problem: string }): A => {
      const part = read(file)
      const answer = parse(part.text)
      return "problem" in answer ? reject(part, { line: answer.line, column: 1 }, answer.problem, "one number per line") : answer as A
    }
    const [first, ...others] = scenario.loads.map((load): Scenario["loads"][number] => {
      const { arrivals } = load
      if (arrivals.process === "trace" && arrivals.file !== undefined) {
        const { file, ...rest } = arrivals
        const [time, ...times] = parsed(file, parseTrace).timesMs
        return { ...load, arrivals: { ...rest, timesMs: [time!, ...times] } }
      }
      if (arrivals.process !== "trace" && arrivals.process !== "closed" && arrivals.ratesFile !== undefined) {
        const { ratesFile, ...rest } = arrivals
        const [rate, ...rates] = parsed(ratesFile, parseRates).rates
        return { ...load, arrivals: { ...rest, ratesRps: [rate!, ...rates] } }
      }
      return load
    })
    return { ...scenario, loads: [first!, ...others] }
  })
