/** Reads the files of a model, if they are those that it was loaded from. */
import type { FileStat, ModelFile } from "../ModelFile.js"
import { fileChange } from "../ModelFile.js"
import { LoadFailure } from "./loadFailure.js"

/** Rejects where there is no such file. */
export type StatFile = (path: string) => Promise<FileStat>

const changeOf = async (files: ReadonlyArray<ModelFile>, stat: StatFile): Promise<string | undefined> => {
  for (const file of files) {
    const change = fileChange(file, await stat(file.path).catch(() => undefined))
    if (change !== undefined) return change
  }
  return undefined
}

/**
 * What `read` makes of the files. Rejects with a `LoadFailure` where they are not as they were, also where that came while they were read: then what
 * `read` made is dropped, and what went wrong with it is no matter.
 */
export const readUnchanged = async <A>(
  files: ReadonlyArray<ModelFile>, stat: StatFile, read: () => Promise<A>, drop: (made: A) => Promise<void> = () => Promise.resolve()
): Promise<A> => {
  const refuse = async (): Promise<void> => {
    const change = await changeOf(files, stat)
    if (change !== undefined) throw new LoadFailure("changed", change)
  }
  await refuse()
  const made = await read().catch(async (error: unknown) => {
    await refuse()
    throw error
  })
  try {
    await refuse()
  } catch (error) {
    await drop(made)
    throw error
  }
  return made
}
