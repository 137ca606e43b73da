import * as fs from "node:fs"
import * as path from "node:path"
import { fileURLToPath } from "node:url"

/** The folder of package.json above this module: in a checkout and once installed alike. */
export const packageRoot = (): string => {
  let folder = path.dirname(fileURLToPath(import.meta.url))
  while (!fs.existsSync(path.join(folder, "package.json"))) {
    const parent = path.dirname(folder)
    if (parent === folder) throw new Error("package.json of glet-orion not found above its own files")
    folder = parent
  }
  return folder
}

/** A file or folder of `resource/`. */
export const resourcePath = (...parts: ReadonlyArray<string>): string => path.join(packageRoot(), "resource", ...parts)
