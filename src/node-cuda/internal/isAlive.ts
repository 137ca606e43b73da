/** Whether a process lives. */
import * as fs from "node:fs"

/** A process that ended and whose parent has not asked for its end (as in containers whose first process never does) is still listed. */
const isZombie = (pid: number): boolean => {
  try {
    const stat = fs.readFileSync(`/proc/${pid}/stat`, "latin1")
    return stat[stat.lastIndexOf(")") + 2] === "Z"
  } catch {
    return false
  }
}

/** Whether there is such a process, of whoever, that has not ended. */
export const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
  } catch (cause) {
    if (!(cause instanceof Error && "code" in cause && cause.code === "EPERM")) return false
  }
  return !isZombie(pid)
}
