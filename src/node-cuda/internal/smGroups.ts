/**
 * Shares under green contexts: the driver hands out SMs in groups (8 SMs on Hopper, 15 groups of an H200's 132 SMs), so a share is a number of
 * groups. Inventory and runner count by the same two functions.
 */

/** How the driver splits a device: `cuDevSmResourceSplitByCount` with no result array tells both. */
export interface SmGroups {
  readonly count: number
  readonly smsPerGroup: number
}

/** Groups of a share, at least one. Shares that add up to 100 % never need more groups than there are. */
export const groupsOfShare = (sharePct: number, count: number): number => Math.max(1, Math.floor((sharePct * count) / 100))

/** The smallest percent for each number of groups, ascending; the last is 100: the whole device, the SMs outside the groups too. */
export const sharesOfGroups = (count: number): readonly [number, ...Array<number>] => {
  const shares = Array.from({ length: Math.min(100, Math.max(1, count)) }, (_, i) => Math.ceil((100 * (i + 1)) / Math.max(1, count)))
  return [...new Set(shares)] as [number, ...Array<number>]
}
