/**
 * Shares under green contexts: the driver hands out SMs in groups, so a share is a number of groups. An H200 of 132 SMs splits into 15 groups of
 * 8 and a rest of 12, which counts as one more: 16 groups, a grid of 6.25 %.
 */
import type { Gpu } from "../../core/Gpu.js"

/** Groups of a share, at least one. Shares that add up to 100 % never need more groups than there are. */
export const groupsOfShare = (sharePct: number, count: number): number => Math.max(1, Math.floor((sharePct * count) / 100))

/** The smallest percent for each number of groups, ascending; the last is 100. */
export const sharesOfGroups = (count: number): readonly [number, ...Array<number>] => {
  const shares = Array.from({ length: Math.min(100, Math.max(1, count)) }, (_, i) => Math.ceil((100 * (i + 1)) / Math.max(1, count)))
  return [...new Set(shares)] as [number, ...Array<number>]
}

/** SMs of a green share, in whole groups: the grid of a GPU under `green` has one share per group. All of them at 100 %. */
export const greenUnits = (gpu: Pick<Gpu, "units" | "sharesPct">, sharePct: number): number => {
  const count = gpu.sharesPct.length
  return sharePct >= 100 ? gpu.units : groupsOfShare(sharePct, count) * Math.floor(gpu.units / count)
}
