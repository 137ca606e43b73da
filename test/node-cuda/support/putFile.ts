import * as fs from "node:fs"
import * as path from "node:path"
import type { PutFile } from "../../contract/models.js"

/** Files of contract models in a folder. */
export const putIn = (folder: string): PutFile => (name, bytes) => {
  const file = path.join(folder, name)
  fs.writeFileSync(file, bytes)
  return file
}
