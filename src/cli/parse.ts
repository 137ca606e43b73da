/**
 * From specifications to @effect/cli commands. It splits the command line, corrects typing mistakes and writes completions; the values are
 * decoded here, so that every message names its flag.
 *
 * @since 0.1.0
 */
import * as Args from "@effect/cli/Args"
import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { CliError } from "./CliError.js"
import { usageError } from "./CliError.js"
import type { CommandSpec, FlagSpec, ParsedArgs } from "./CommandSpec.js"
import { flagName } from "./CommandSpec.js"
import { suggest } from "../core/internal/suggest.js"

type Raw = boolean | ReadonlyArray<string>

const optionOf = (key: string, flag: FlagSpec): Options.Options<Raw> => {
  const name = flagName(key)
  const option: Options.Options<Raw> = flag.kind === "boolean" ? Options.boolean(name) : Options.repeated(Options.text(name))
  return option.pipe(Options.withDescription(flag.description))
}

type Decoded = { readonly value: unknown } | { readonly problem: string }

const decodeScalar = (flag: FlagSpec, text: string): Decoded => {
  switch (flag.kind) {
    case "integer":
    case "number": {
      const value = Number(text)
      const isNumber = text.trim() !== "" && Number.isFinite(value) && (flag.kind === "number" || Number.isInteger(value))
      if (!isNumber) return { problem: `"${text}" is not ${flag.kind === "integer" ? "a whole number" : "a number"}` }
      if (flag.min !== undefined && value < flag.min) return { problem: `${text} is below the smallest value ${flag.min}` }
      if (flag.max !== undefined && value > flag.max) return { problem: `${text} is above the largest value ${flag.max}` }
      return { value }
    }
    case "choice": {
      if (flag.choices.includes(text)) return { value: text }
      const near = suggest(text, flag.choices)
      return { problem: `"${text}" is not one of ${flag.choices.join(", ")}${near === undefined ? "" : `; did you mean "${near}"?`}` }
    }
    default:
      return { value: text }
  }
}

const decodePairs = (placeholder: string, texts: ReadonlyArray<string>): Decoded => {
  const pairs = new Map<string, string>()
  for (const text of texts) {
    const at = text.lastIndexOf("=")
    if (at <= 0 || at === text.length - 1) return { problem: `"${text}" is not of the form ${placeholder}` }
    if (pairs.has(text.slice(0, at))) return { problem: `"${text.slice(0, at)}" stands twice` }
    pairs.set(text.slice(0, at), text.slice(at + 1))
  }
  return { value: pairs }
}

const decodeFlag = (flag: FlagSpec, raw: Raw): Decoded => {
  if (typeof raw === "boolean") return { value: raw }
  if (flag.kind === "texts") return { value: raw }
  if (flag.kind === "pairs") return decodePairs(flag.placeholder, raw)
  if (raw.length > 1) return { problem: "stands twice" }
  const text = raw[0]
  if (text !== undefined) return decodeScalar(flag, text)
  if ("required" in flag && flag.required === true) return { problem: "is missing" }
  return { value: "default" in flag ? flag.default : undefined }
}

/** Decodes what the parser split; fails with the flag named. @since 0.1.0 @category parsing */
export const decodeArgs = <S extends CommandSpec>(
  spec: S,
  flags: Readonly<Record<string, Raw>>,
  positional: string | undefined
): Effect.Effect<ParsedArgs<S>, CliError> => {
  const args: Record<string, unknown> = { positional }
  const hint = `see glet ${spec.name} --help`
  const expected = spec.positional
  if (expected !== undefined) {
    if (positional === undefined && expected.required) return Effect.fail(usageError(`${expected.name} is missing: ${expected.description.replace(/\.$/, "").toLowerCase()}`, hint))
    if (positional !== undefined && expected.choices !== undefined && !expected.choices.includes(positional)) {
      return Effect.fail(usageError(`${expected.name} "${positional}" is not one of ${expected.choices.join(", ")}`, hint))
    }
  }
  for (const [key, flag] of Object.entries(spec.flags)) {
    const decoded = decodeFlag(flag, flags[key] ?? [])
    if ("problem" in decoded) return Effect.fail(usageError(`--${flagName(key)} ${decoded.problem}`, hint))
    args[key] = decoded.value
  }
  return Effect.succeed(args as ParsedArgs<S>)
}

/** An @effect/cli command for a specification. @since 0.1.0 @category parsing */
export const makeCommand = <S extends CommandSpec>(
  spec: S,
  handle: (args: ParsedArgs<S>) => Effect.Effect<void, unknown>
) => {
  const entries = Object.entries(spec.flags).map(([key, flag]) => [key, optionOf(key, flag)] as const)
  const flags: Options.Options<Readonly<Record<string, Raw>>> = entries.length === 0
    ? Options.none.pipe(Options.map(() => ({})))
    : Options.all(Object.fromEntries(entries))
  const positional = spec.positional === undefined
    ? Args.none.pipe(Args.map(() => Option.none<string>()))
    : Args.optional(Args.text({ name: spec.positional.name }).pipe(Args.withDescription(spec.positional.description)))
  return Command.make(spec.name, { flags, positional }, (raw) =>
    decodeArgs(spec, raw.flags, Option.getOrUndefined(raw.positional)).pipe(Effect.flatMap(handle))
  ).pipe(Command.withDescription(spec.summary))
}
