/**
 * What a subcommand takes, as plain data: help is written from it without loading anything, and the parser is built from it.
 *
 * @since 0.1.0
 */

interface Described {
  readonly description: string
}

/** @since 0.1.0 @category commands */
export type FlagSpec =
  | Described & { readonly kind: "boolean" }
  | Described & { readonly kind: "text"; readonly placeholder: string; readonly default?: string; readonly required?: true }
  | Described & {
    readonly kind: "integer" | "number"
    readonly placeholder: string
    readonly default?: number
    readonly required?: true
    readonly min?: number
    readonly max?: number
  }
  | Described & { readonly kind: "choice"; readonly choices: ReadonlyArray<string>; readonly default?: string; readonly required?: true }
  /** May stand several times. */
  | Described & { readonly kind: "texts"; readonly placeholder: string }
  /** `--slo lenet=50`; may stand several times. */
  | Described & { readonly kind: "pairs"; readonly placeholder: string }

/** @since 0.1.0 @category commands */
export interface CommandSpec {
  readonly name: string
  readonly summary: string
  /** Shown first in its help. */
  readonly examples: ReadonlyArray<{ readonly line: string; readonly does: string }>
  /** What stands without a flag: at most one value. */
  readonly positional?: { readonly name: string; readonly description: string; readonly required: boolean; readonly choices?: ReadonlyArray<string> }
  /** Keys in camel case; `maxBatch` is the flag `--max-batch`. */
  readonly flags: Readonly<Record<string, FlagSpec>>
  /** Not listed in help. */
  readonly hidden?: true
}

type Scalar<F extends FlagSpec> = F extends { readonly choices: ReadonlyArray<infer C> } ? C
  : F extends { readonly kind: "integer" | "number" } ? number
  : string

/** The value of a flag once parsed. @since 0.1.0 @category commands */
export type FlagValue<F extends FlagSpec> = F["kind"] extends "boolean" ? boolean
  : F["kind"] extends "texts" ? ReadonlyArray<string>
  : F["kind"] extends "pairs" ? ReadonlyMap<string, string>
  : F extends { readonly default: unknown } | { readonly required: true } ? Scalar<F>
  : Scalar<F> | undefined

/** Everything a command's handler gets. @since 0.1.0 @category commands */
export type ParsedArgs<S extends CommandSpec> =
  & { readonly [K in keyof S["flags"]]: FlagValue<S["flags"][K]> }
  & (S extends { readonly positional: { readonly required: true } } ? { readonly positional: string } : { readonly positional: string | undefined })

/** Keeps the literal types of a specification. @since 0.1.0 @category commands */
export const commandSpec = <const S extends CommandSpec>(spec: S): S => spec

/** `maxBatch` to `max-batch`. @since 0.1.0 @category commands */
export const flagName = (key: string): string => key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
