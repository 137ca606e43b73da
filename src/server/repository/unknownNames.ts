import { suggest } from "../../core/internal/suggest.js"
import type { ModelSettings, RepositorySettings } from "./ModelSettings.js"
import { settingsFileName } from "./ModelSettings.js"
import type { FoundModel } from "./Scan.js"

/** Settings for models that are not there, which most likely are typing mistakes: a line for each. */
export const unknownNames = (
  found: ReadonlyArray<FoundModel>,
  settings: RepositorySettings,
  flags: ReadonlyMap<string, ModelSettings>
): ReadonlyArray<string> => {
  const names = new Set(found.map(({ name }) => name))
  const linesFor = (source: string, given: Iterable<string>): ReadonlyArray<string> =>
    [...given].filter((name) => !names.has(name)).map((name) => {
      const near = suggest(name, names)
      return `${source} a model "${name}" that is not in the repository${near === undefined ? "" : `; did you mean "${near}"?`}`
    })
  return [...linesFor("flags name", flags.keys()), ...linesFor(`${settingsFileName} names`, settings.models.keys())]
}
