/**
 * The models of a scenario as a repository: the folder of `scripts/make-zoo`, under the scenario's names.
 */
import * as fs from "node:fs"
import * as path from "node:path"
import type { Scenario } from "../../simulator/Scenario.js"
import { resourcePath } from "../internal/packageFiles.js"

/** Where models of a profile stand under another name, or come along with this program. */
export const otherNames: ReadonlyMap<string, string> = new Map([["bert", "bert-base"], ["lenet1", "lenet-digits"]])

/** A hard link where that can be: weights are gigabytes. */
const place = (from: string, to: string): void => {
  try {
    fs.linkSync(from, to)
  } catch {
    fs.copyFileSync(from, to)
  }
}

const placeTree = (from: string, to: string): void => {
  fs.mkdirSync(to, { recursive: true })
  for (const entry of fs.readdirSync(from, { withFileTypes: true })) {
    const [source, target] = [path.join(from, entry.name), path.join(to, entry.name)]
    if (entry.isDirectory()) placeTree(source, target)
    else place(source, target)
  }
}

/** Fills a folder with a scenario's models; answers the names for which the zoo has none. */
export const placeModels = (scenario: Scenario, zoo: string, folder: string): ReadonlyArray<string> =>
  scenario.models.flatMap(({ name, profile }) => {
    const wanted = profile ?? name
    for (const known of [wanted, otherNames.get(wanted)]) {
      if (known === undefined) continue
      for (const root of [zoo, resourcePath("demo")]) {
        const [tree, file] = [path.join(root, known), path.join(root, `${known}.onnx`)]
        if (fs.existsSync(tree)) placeTree(tree, path.join(folder, name))
        else if (fs.existsSync(file)) place(file, path.join(folder, `${name}.onnx`))
        else continue
        return []
      }
    }
    return [name]
  })
