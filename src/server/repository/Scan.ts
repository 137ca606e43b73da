/**
 * Finds the models of a folder.
 *
 * - `<name>.onnx`: a model of version 1;
 * - `<name>/[config.pbtxt] <version>/model.onnx`: Triton's layout, versions are whole numbers from 1.
 *
 * Both may stand side by side. Names that begin with a dot and other files are skipped. A link is followed only if it leads to somewhere within
 * the repository, unless the caller allows more: who may write to the repository shall not thereby read the server's other files.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type { Stats } from "node:fs"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import { isWithin } from "./ExternalData.js"
import { fromFileSystem, RepositoryError } from "./RepositoryError.js"

/** A model's place in the repository; nothing of it was read yet. @since 0.1.0 @category repository */
export interface FoundModel {
  readonly name: string
  /** The .onnx file, or the model's folder in Triton's layout. */
  readonly path: string
  /** Versions there are, ascending; undefined for a plain file. */
  readonly versions: ReadonlyArray<number> | undefined
  readonly hasConfig: boolean
  /** Why it cannot be read at all. */
  readonly problem: RepositoryError | undefined
  /** Changes when one of its files does. */
  readonly fingerprint: string
}

/** @since 0.1.0 @category repository */
export interface ScanOptions {
  /** Follow links out of the repository. */
  readonly followLinks: boolean
}

/** Name of a model's configuration in Triton's layout. @since 0.1.0 @category repository */
export const configFileName = "config.pbtxt"

/** The models of a folder, sorted by name. @since 0.1.0 @category repository */
export const scanRepository = (directory: string, options: ScanOptions): Effect.Effect<ReadonlyArray<FoundModel>, RepositoryError> =>
  Effect.tryPromise({ try: () => scan(directory, options), catch: (cause) => cause }).pipe(
    Effect.mapError((cause) => cause instanceof RepositoryError ? cause : directoryError(directory, cause))
  )

const directoryError = (directory: string, cause: unknown): RepositoryError => {
  const error = fromFileSystem(directory, cause)
  return error.reason === "missing" ? new RepositoryError({ file: directory, reason: "missing", detail: "no such folder of models" }) : error
}

const scan = async (directory: string, options: ScanOptions): Promise<ReadonlyArray<FoundModel>> => {
  const root = await fs.realpath(directory)
  const found = new Map<string, FoundModel>()
  for (const entry of await listFolder(root)) {
    const model = await inspect(root, entry, options)
    if (model === undefined) continue
    const other = found.get(model.name)
    found.set(model.name, other === undefined ? model : {
      ...model,
      problem: new RepositoryError({
        file: model.path, reason: "invalid", detail: `${path.basename(other.path)} has the same name "${model.name}"; rename one of them`
      }),
      fingerprint: `${other.fingerprint}|${model.fingerprint}`
    })
  }
  return [...found.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
}

const listFolder = async (folder: string): Promise<ReadonlyArray<string>> =>
  (await fs.readdir(folder)).filter((name) => !name.startsWith(".")).sort()

const inspect = async (root: string, entry: string, options: ScanOptions): Promise<FoundModel | undefined> => {
  const target = path.join(root, entry)
  const isFile = entry.endsWith(".onnx")
  const name = isFile ? entry.slice(0, -".onnx".length) : entry
  const model: FoundModel = { name, path: target, versions: undefined, hasConfig: false, problem: undefined, fingerprint: "" }
  const broken = (reason: RepositoryError["reason"], detail: string): FoundModel => ({
    ...model, problem: new RepositoryError({ file: target, reason, detail }), fingerprint: detail
  })
  try {
    const stat = await fs.stat(target)
    if (!stat.isDirectory() && !isFile) return undefined
    if (name.length === 0 || name.length > 256) return broken("invalid", "a model's name has 1 to 256 characters")
    if (!options.followLinks && !isWithin(root, await fs.realpath(target))) {
      return broken("refused", "is a link that leads out of the repository")
    }
    if (stat.isDirectory()) return await inspectFolder(root, model, options)
    return { ...model, fingerprint: mark(entry, stat) }
  } catch (cause) {
    const error = fromFileSystem(target, cause)
    // A link to nowhere, or to itself, is a model only by its name; a folder that vanished meanwhile is none.
    if (!isFile && (error.reason === "missing" || (await fs.lstat(target).then((stat) => stat.isSymbolicLink(), () => true)))) return undefined
    return broken(error.reason, error.reason === "missing" ? "is a link to a file that does not exist" : error.detail)
  }
}

const mark = (name: string, stat: Stats): string => `${name}:${stat.ino}:${stat.size}:${stat.mtimeMs}`

/** Of a version's files, and of those in its folders: a model with its weights may stand in one. */
const marksWithin = async (folder: string, name: string, isDeepest = false): Promise<ReadonlyArray<string>> => {
  const marks: Array<string> = []
  for (const file of await listFolder(folder)) {
    const target = path.join(folder, file)
    const stat = await fs.stat(target).catch(() => undefined)
    marks.push(stat === undefined ? file : mark(`${name}/${file}`, stat))
    // Not where a link leads: that may be anywhere.
    const isFolder = !isDeepest && await fs.lstat(target).then((own) => own.isDirectory(), () => false)
    if (isFolder) marks.push(...await marksWithin(target, `${name}/${file}`, true).catch(() => []))
  }
  return marks
}

const versionName = /^[1-9]\d{0,14}$/

/** Folders that are looked into for a model in the wrong place. */
const mostLookedInto = 16

/** A model file that stands in no version folder: beside them, or in a folder that is no number. */
const strayModel = async (folder: string, entries: ReadonlyArray<string>): Promise<string | undefined> => {
  const isModel = (entry: string): boolean => entry.endsWith(".onnx")
  const beside = entries.find(isModel)
  if (beside !== undefined) return beside
  for (const entry of entries.slice(0, mostLookedInto)) {
    const within = path.join(folder, entry)
    const isFolder = await fs.lstat(within).then((stat) => stat.isDirectory(), () => false)
    const inside = isFolder ? (await listFolder(within).catch(() => [])).find(isModel) : undefined
    if (inside !== undefined) return `${entry}/${inside}`
  }
  return undefined
}

const inspectFolder = async (root: string, model: FoundModel, options: ScanOptions): Promise<FoundModel | undefined> => {
  const entries = await listFolder(model.path)
  const versions: Array<number> = []
  const marks: Array<string> = []
  let hasConfig = false
  const broken = (file: string, reason: RepositoryError["reason"], detail: string): FoundModel => ({
    ...model, problem: new RepositoryError({ file, reason, detail }), fingerprint: detail
  })
  for (const entry of entries) {
    const isConfig = entry === configFileName
    const target = path.join(model.path, entry)
    if (!isConfig && !versionName.test(entry)) {
      // Files beside the versions may hold labels.
      const beside = await fs.stat(target).catch(() => undefined)
      if (beside?.isFile() === true) marks.push(mark(entry, beside))
      continue
    }
    const stat = await fs.stat(target).catch(() => undefined)
    if (stat === undefined) return broken(target, "missing", "is a link to a file that does not exist, or cannot be read")
    if (!isConfig && !stat.isDirectory()) continue
    if (!options.followLinks && !isWithin(root, await fs.realpath(target))) return broken(target, "refused", "is a link that leads out of the repository")
    if (isConfig) {
      hasConfig = true
      marks.push(mark(entry, stat))
      continue
    }
    versions.push(Number(entry))
    marks.push(...await marksWithin(target, entry))
  }
  const found: FoundModel = { ...model, versions: versions.sort((a, b) => a - b), hasConfig, fingerprint: marks.join("|") }
  if (versions.length > 0) return found
  const stray = await strayModel(model.path, entries)
  const folder = path.basename(model.path)
  // A folder of other things is no model.
  if (!hasConfig && stray === undefined) return undefined
  return {
    ...found,
    problem: new RepositoryError({
      file: model.path,
      reason: "invalid",
      detail: `has no version folder; put the model in ${folder}/1/model.onnx${stray === undefined ? "" : ` (found ${folder}/${stray})`}`
    }),
    fingerprint: `${marks.join("|")}|${stray ?? ""}`
  }
}
