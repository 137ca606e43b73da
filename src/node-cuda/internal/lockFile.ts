/**
 * A file that stands for the right to do something, which one process has at a time. What a process leaves behind when it dies is taken away by whoever
 * comes next.
 *
 * Who finds a lock whose owner is dead must not simply remove it: another that found the same may have removed it already, and what is there now may be
 * that one's own. So a lock is removed only by who holds a second lock, on removing it, and has looked again then: nobody else removes a dead one, and a
 * dead owner does not. Then all try for the free place as for any other.
 */
import { randomUUID } from "node:crypto"
import * as fs from "node:fs"
import { isAlive, startTicksOf } from "./isAlive.js"

/** Who holds a lock. */
export interface LockOwner {
  /** NaN where it was not told. */
  readonly pid: number
  /** All that the file says: no two owners say the same. */
  readonly text: string
}

/** Locks on the removal of locks on removal: more than one is needed only where processes died within the same few microseconds. */
const levels = 3
/** Where a lock cannot appear together with its text, it may be empty for as long as its owner takes to write a line, ms. */
const emptyMs = 1000

const codeOf = (cause: unknown): string => cause instanceof Error && "code" in cause ? String(cause.code) : ""

const unlessMissing = <A>(run: () => A): A | undefined => {
  try {
    return run()
  } catch (cause) {
    if (codeOf(cause) !== "ENOENT") throw cause
    return undefined
  }
}

const read = (path: string): LockOwner | undefined =>
  unlessMissing(() => {
    const text = fs.readFileSync(path, "utf8")
    return { pid: Number.parseInt(text, 10), text }
  })

const ageMs = (path: string): number => {
  const stat = unlessMissing(() => fs.statSync(path))
  // The times of files are those of the wall clock, whatever clock the program runs by.
  return stat === undefined ? 0 : Date.now() - stat.mtimeMs
}

const lives = (path: string, { pid, text }: LockOwner): boolean => {
  if (Number.isNaN(pid)) return ageMs(path) <= emptyMs
  const began = Number(text.split(" ")[1] ?? 0)
  return isAlive(pid) && (!(began > 0) || [0, began].includes(startTicksOf(pid)))
}

/** Whether the file was made. It appears with its text, where the file system has links. */
const create = (path: string, text: string): boolean => {
  const draft = `${path}.${process.pid}.${randomUUID()}`
  try {
    fs.writeFileSync(draft, text, { flag: "wx" })
    try {
      fs.linkSync(draft, path)
    } finally {
      fs.rmSync(draft, { force: true })
    }
    return true
  } catch (cause) {
    if (codeOf(cause) === "EEXIST") return false
    if (!["EPERM", "ENOSYS", "ENOTSUP", "EOPNOTSUPP", "EMLINK"].includes(codeOf(cause))) throw cause
  }
  try {
    fs.writeFileSync(path, text, { flag: "wx" })
    return true
  } catch (cause) {
    if (codeOf(cause) === "EEXIST") return false
    throw cause
  }
}

const take = (path: string, text: string, level: number): LockOwner | undefined => {
  for (;;) {
    if (create(path, text)) return undefined
    const owner = read(path)
    if (owner === undefined) continue
    if (lives(path, owner) || level === 0) return owner
    const removal = `${path}.removal`
    const remover = take(removal, text, level - 1)
    if (remover !== undefined) return remover
    try {
      if (read(path)?.text === owner.text) fs.rmSync(path, { force: true })
    } finally {
      fs.rmSync(removal, { force: true })
    }
  }
}

/**
 * Takes a lock: undefined where this process has it now, or else who has it, or is about to remove what a dead process left. Throws where the system
 * does not let it be made. An owner in another process namespace looks dead.
 */
export const takeLock = (path: string): LockOwner | undefined => take(path, `${process.pid} ${startTicksOf(process.pid)} ${randomUUID()}`, levels)

/** Gives back a lock that this process took. */
export const releaseLock = (path: string): void => fs.rmSync(path, { force: true })
