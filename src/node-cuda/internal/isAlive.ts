/** Whether a process lives, and whether it is the one that it was: the number of one that ended is given to another some day. */
import * as fs from "node:fs"

/** What the system says of a process after its name, the state first; undefined where it says nothing. */
const statOf = (pid: number): ReadonlyArray<string> | undefined => {
  try {
    const stat = fs.readFileSync(`/proc/${pid}/stat`, "latin1")
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")
  } catch {
    return undefined
  }
}

/** When a process began, in ticks since the machine did; 0 where the system does not tell. */
export const startTicksOf = (pid: number): number => Number(statOf(pid)?.[19] ?? 0) || 0

/** Whether there is such a process, of whoever, that has not ended. */
export const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
  } catch (cause) {
    if (!(cause instanceof Error && "code" in cause && cause.code === "EPERM")) return false
  }
  // A process that ended and whose parent has not asked for its end (as in containers whose first process never does) is still listed.
  return statOf(pid)?.[0] !== "Z"
}
