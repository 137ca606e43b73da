/** Finds the runner's file, which the build puts beside whatever uses it. */
import * as fs from "node:fs"
import * as path from "node:path"
import { fileURLToPath } from "node:url"

/** The built runner: beside this module where that is a bundle, else in the package's `dist`. Undefined where nothing was built. */
export const findRunner = (): string | undefined => {
  const beside = fileURLToPath(new URL("./runner.js", import.meta.url))
  if (fs.existsSync(beside)) return beside
  for (let folder = path.dirname(beside);; folder = path.dirname(folder)) {
    if (fs.existsSync(path.join(folder, "package.json"))) {
      const built = path.join(folder, "dist", "runner.js")
      return fs.existsSync(built) ? built : undefined
    }
    if (folder === path.dirname(folder)) return undefined
  }
}
