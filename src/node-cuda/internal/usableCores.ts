/** How many cores this process can count on. */
import * as fs from "node:fs"
import * as os from "node:os"

/** Cores' worth of time that a container's limit gives (`cpu.max` of control groups, version 2); undefined where there is none. */
export const coresOfQuota = (cpuMax: string): number | undefined => {
  const [quota, period] = cpuMax.trim().split(" ").map(Number)
  return quota !== undefined && period !== undefined && quota > 0 && period > 0 ? quota / period : undefined
}

/** The limit of the container that this process is in. */
export const containerCores = (): number | undefined => {
  try {
    return coresOfQuota(fs.readFileSync("/sys/fs/cgroup/cpu.max", "utf8"))
  } catch {
    return undefined
  }
}

/** Whole cores: those it may run on, and no more than its container has the time of. With more threads than that all of them stand still together. */
export const usableCores = (available = os.availableParallelism(), limit = containerCores()): number =>
  Math.max(1, Math.min(available, Math.floor(limit ?? Infinity)))
