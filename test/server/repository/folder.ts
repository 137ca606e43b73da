/** A repository in a temporary folder. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"

export type Files = Readonly<Record<string, string | Uint8Array>>

export const writeFiles = (directory: string, files: Files): void => {
  for (const [name, content] of Object.entries(files)) {
    const file = path.join(directory, name)
    fs.mkdirSync(path.dirname(file), { recursive: true })
    fs.writeFileSync(file, content)
  }
}

/** A folder with these files, removed with the scope. */
export const folderOf = (files: Files): Effect.Effect<string, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const directory = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), "glet-repository-")))
      writeFiles(directory, files)
      return directory
    }),
    (directory) => Effect.sync(() => fs.rmSync(directory, { recursive: true, force: true }))
  )
