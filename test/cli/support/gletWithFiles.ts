/** What tests of `glet plan` begin with: the command, and a folder in gpulet's formats. */
import { afterAll, beforeAll } from "@effect/vitest"
import type { Glet } from "./glet.js"
import { buildGlet } from "./glet.js"
import type { OriginalFolder } from "./originalFiles.js"
import { writeOriginalFolder } from "./originalFiles.js"

/** Made before the tests of the file that asks, and gone after them. */
export const gletWithFiles = (): { readonly glet: Glet; readonly files: OriginalFolder } => {
  const there: { glet: Glet; files: OriginalFolder } = { glet: undefined!, files: undefined! }
  beforeAll(async () => {
    there.glet = await buildGlet()
    there.files = writeOriginalFolder(there.glet.folder)
  })
  afterAll(() => there.glet.close())
  return there
}
