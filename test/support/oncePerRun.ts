/** What several test files need built, built once: files run in processes of their own. */
import * as fs from "node:fs"
import * as path from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("../..", import.meta.url))
/** Set by test/globalSetup.ts, which removes the folder in the end. */
const runFolder = (): string => process.env["GLET_TEST_RUN"] ?? path.join(root, "node_modules/.cache/glet-test-run", String(process.pid))

const newestMs = (folder: string): number =>
  fs.readdirSync(folder, { withFileTypes: true }).reduce((latest, entry) => {
    const file = path.join(folder, entry.name)
    return Math.max(latest, entry.isDirectory() ? newestMs(file) : fs.statSync(file).mtimeMs)
  }, 0)

/**
 * The folder that `make` has filled: it is called by whoever comes first, others wait. When sources have changed since, as while tests are watched,
 * it is called again.
 */
export const oncePerRun = async (name: string, make: (folder: string) => Promise<void>): Promise<string> => {
  const folder = path.join(runFolder(), `${name}-${Math.round(newestMs(path.join(root, "src")))}`)
  const end = (how: string) => `${folder}.${how}`
  fs.mkdirSync(path.dirname(folder), { recursive: true })
  try {
    fs.mkdirSync(folder)
  } catch {
    while (!fs.existsSync(end("made"))) {
      if (fs.existsSync(end("failed"))) throw new Error(`${name} could not be built, as another test file says`)
      await sleep(50)
    }
    return folder
  }
  try {
    await make(folder)
    fs.writeFileSync(end("made"), "")
    return folder
  } catch (error) {
    fs.writeFileSync(end("failed"), "")
    throw error
  }
}
