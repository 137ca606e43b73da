/**
 * Files of an offline job: what goes in, and where its answers go.
 *
 * @since 0.1.0
 */
import * as fs from "node:fs"
import * as path from "node:path"
import { reasonOf } from "../internal/files.js"

/** One input file. @since 0.1.0 @category batch */
export interface BatchFile {
  readonly input: string
  /** `lines`: a request on each line (.jsonl, .jsonl.gz); `single`: one request (.json). */
  readonly kind: "lines" | "single"
  /** Path of its answers below the output folder. */
  readonly output: string
  readonly bytes: number
}

/** Files of a job, or what is wrong with what was named. @since 0.1.0 @category batch */
export type ListedFiles = { readonly files: ReadonlyArray<BatchFile> } | { readonly problem: string }

// A job of more files is better given as lines.
const mostFiles = 1_000_000

const outputOf = (relative: string): string => relative.replace(/\.gz$/, "")

const kindOf = (file: string): BatchFile["kind"] | undefined =>
  /\.(jsonl|ndjson)(\.gz)?$/.test(file) ? "lines" : file.endsWith(".json") ? "single" : undefined

/**
 * The files that inputs name: themselves, and all .json, .jsonl and .jsonl.gz in folders, subfolders included, in the order of their names; hidden
 * ones are left out. Files whose answers would go to the same place are refused, as is an output folder inside of an input folder.
 * @since 0.1.0
 * @category batch
 */
export const listFiles = (inputs: ReadonlyArray<string>, outputFolder: string): ListedFiles => {
  const files: Array<BatchFile> = []
  const taken = new Map<string, string>()
  const output = path.resolve(outputFolder)
  const add = (input: string, relative: string, kind: BatchFile["kind"]): string | undefined => {
    const place = outputOf(relative)
    const other = taken.get(place)
    if (other !== undefined) return `${other} and ${input} would both be answered in ${path.join(outputFolder, place)}: rename one, or give each an --output of its own`
    if (files.length === mostFiles) return `there are more than ${mostFiles} files: put requests on lines of .jsonl files instead`
    taken.set(place, input)
    files.push({ input, kind, output: place, bytes: fs.statSync(input).size })
    return undefined
  }
  for (const input of inputs) {
    try {
      if (fs.statSync(input).isDirectory()) {
        const root = path.resolve(input)
        if (output === root || output.startsWith(root + path.sep)) return { problem: `the output folder ${outputFolder} is inside of the input folder ${input}: its answers would be taken for requests` }
        const names = fs.readdirSync(input, { recursive: true, withFileTypes: true })
          .filter((entry) => !entry.name.startsWith(".") && kindOf(entry.name) !== undefined)
          .map((entry) => path.join(entry.parentPath, entry.name))
          // Links to files too: folders of data are often made of them.
          .filter((file) => fs.statSync(file).isFile())
          .map((file) => path.relative(input, file))
          .sort()
        if (names.length === 0) return { problem: `the folder ${input} holds no .json, .jsonl or .jsonl.gz file` }
        for (const name of names) {
          const problem = add(path.join(input, name), name, kindOf(name)!)
          if (problem !== undefined) return { problem }
        }
      } else {
        const kind = kindOf(input)
        if (kind === undefined) return { problem: `the input ${input} is neither a folder nor a .json, .jsonl or .jsonl.gz file` }
        const problem = add(input, path.basename(input), kind)
        if (problem !== undefined) return { problem }
      }
    } catch (error) {
      return { problem: `the input ${input} cannot be read: ${reasonOf(error)}` }
    }
  }
  return { files }
}
