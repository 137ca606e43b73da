/** Which groups of SMs belong to which glet. Pure: a value and functions on it. */

/** SMs of each group, and how many glets run on it: more than one only while new glets are opened beside old ones. */
export interface SmAllocation {
  readonly units: ReadonlyArray<number>
  readonly users: ReadonlyArray<number>
}

export const emptyAllocation = (units: ReadonlyArray<number>): SmAllocation => ({ units, users: units.map(() => 0) })

const sumOf = (units: ReadonlyArray<number>, groups: ReadonlyArray<number>): number => groups.reduce((sum, i) => sum + units[i]!, 0)

/** The run of free groups with the fewest SMs that will do. */
const freeRun = ({ units, users }: SmAllocation, wanted: number): ReadonlyArray<number> | undefined => {
  let best: ReadonlyArray<number> | undefined
  for (let first = 0; first < units.length; first++) {
    const run: Array<number> = []
    for (let i = first; i < units.length && users[i] === 0 && sumOf(units, run) < wanted; i++) run.push(i)
    if (sumOf(units, run) >= wanted && (best === undefined || sumOf(units, run) < sumOf(units, best))) best = run
  }
  return best
}

/**
 * Groups for a glet of `wanted` SMs, ascending; undefined where the device has not so many. Free groups that follow each other if there are
 * such: the driver numbers them by the hardware's clusters, within which blocks can work together. Else the groups with the fewest users: when
 * a plan is replaced the new glets open while the old ones still run, and spread over their SMs evenly.
 */
export const chooseGroups = (allocation: SmAllocation, wanted: number): ReadonlyArray<number> | undefined => {
  const run = freeRun(allocation, wanted)
  if (run !== undefined) return run
  const { units, users } = allocation
  const chosen: Array<number> = []
  for (const i of units.map((_, i) => i).sort((a, b) => users[a]! - users[b]! || a - b)) {
    if (sumOf(units, chosen) >= wanted) break
    chosen.push(i)
  }
  return sumOf(units, chosen) >= wanted ? chosen.sort((a, b) => a - b) : undefined
}

/** With one more user, or one less, of these groups. */
export const changeUsers = (allocation: SmAllocation, groups: ReadonlyArray<number>, by: 1 | -1): SmAllocation => ({
  ...allocation,
  users: allocation.users.map((count, i) => groups.includes(i) ? count + by : count)
})

/** SMs of these groups that other glets run on too. */
export const sharedUnits = ({ units, users }: SmAllocation, groups: ReadonlyArray<number>): number =>
  groups.reduce((sum, i) => users[i]! > 1 ? sum + units[i]! : sum, 0)
