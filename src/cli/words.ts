/**
 * Checks the words of a command line against a specification before they are parsed: a mistyped or misplaced option is named, with the one that
 * was meant.
 *
 * @since 0.1.0
 */
import type { CommandSpec } from "./CommandSpec.js"
import { flagName } from "./CommandSpec.js"
import { suggest } from "../core/internal/suggest.js"

const builtIn = ["--help", "--completions", "--wizard", "--log-level"]

/** Options of tritonserver's by which people who come from there mean one of ours. */
const tritonOptions = new Map([
  ["--model-repository", "--models"], ["--model-store", "--models"], ["--http-port", "--port"], ["--http-address", "--host"], ["--allow-client-shm", "--shared-memory"]
])

/**
 * The same words with `--flag=value` split in two, or the first that cannot be meant.
 * @since 0.1.0
 * @category parsing
 */
export const checkWords = (
  spec: CommandSpec,
  words: ReadonlyArray<string>
): { readonly words: ReadonlyArray<string> } | { readonly problem: string } => {
  const flags = new Map(Object.entries(spec.flags).map(([key, flag]) => [`--${flagName(key)}`, flag]))
  const checked: Array<string> = []
  let positionals = 0
  for (let i = 0; i < words.length; i++) {
    const word = words[i]!
    if (!word.startsWith("-") || word === "-") {
      positionals++
      if (positionals > (spec.positional === undefined ? 0 : 1)) {
        const expected = spec.positional === undefined ? "it takes options only" : `it takes one ${spec.positional.name}`
        return { problem: `unexpected word "${word}": ${expected}` }
      }
      checked.push(word)
      continue
    }
    const equals = word.indexOf("=")
    const given = equals < 0 ? word : word.slice(0, equals)
    const typed = /^-[a-z]$/.test(given) ? `-${given}` : given
    // gpulet's programs write their options with underscores.
    const dashed = typed.replaceAll("_", "-")
    const name = flags.has(dashed) ? dashed : typed
    const flag = flags.get(name)
    if (flag === undefined) {
      if (builtIn.includes(name)) return { words }
      const near = suggest(name, [...flags.keys()]) ?? [tritonOptions.get(name)].find((ours) => ours !== undefined && flags.has(ours))
      return { problem: `unknown option "${name}"${near === undefined ? "" : `; did you mean "${near}"?`}` }
    }
    // @effect/cli knows options of one letter with one dash only.
    checked.push(name.length === 3 ? name.slice(1) : name)
    if (flag.kind === "boolean") {
      if (equals >= 0) return { problem: `${name} takes no value` }
      continue
    }
    const value = equals >= 0 ? word.slice(equals + 1) : words[++i]
    // A word that is an option itself is never meant as a value; a negative number may be, and no option takes one.
    if (value === undefined || value === "" || flags.has(value)) return { problem: `${name} needs a value` }
    if (/^-./.test(value)) {
      return { problem: Number.isNaN(Number(value)) ? `${name} cannot be "${value}": no value begins with "-"; a file of that name is ./${value}` : `${name} ${value} is below 0` }
    }
    checked.push(value)
  }
  return { words: checked }
}
