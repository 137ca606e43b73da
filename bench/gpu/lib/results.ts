/** The results of a bench on a GPU: written after each, so that what was measured is there when the time is up. */
import * as fs from "node:fs"

export interface Results {
  readonly write: (result: object) => void
  /** Does a part, unless only others were asked for. What goes wrong there is a result, and the other parts go on. */
  readonly guarded: (what: string, work: () => Promise<void> | void) => Promise<void>
}

/** `parts`: those asked for; all where it is empty. */
export const openResults = (file: string, parts: ReadonlyArray<string> = []): Results => {
  const results: Array<unknown> = []
  const write = (result: object): void => {
    results.push(result)
    fs.writeFileSync(file, `${JSON.stringify(results, undefined, 1)}\n`)
    console.log(JSON.stringify(result))
  }
  const guarded: Results["guarded"] = async (what, work) => {
    if (parts.length > 0 && !parts.includes(what)) return
    try {
      await work()
    } catch (error) {
      write({ what, error: error instanceof Error ? error.stack : String(error) })
    }
  }
  return { write, guarded }
}

/** To four significant digits. */
export const round = (value: number): number => Number(value.toPrecision(4))
