/** Single letters to insert, delete, replace or swap with their neighbour to get from one text to the other. */
const editDistance = (a: string, b: string): number => {
  let before: Array<number> = []
  let last = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const replaced = last[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1] ? before[j - 2]! + 1 : Infinity
      row.push(Math.min(replaced, swapped, last[j]! + 1, row[j - 1]! + 1))
    }
    before = last
    last = row
  }
  return last[b.length]!
}

/** Longer words are no slips of a few letters, and comparing them costs. */
const longest = 64

/** The known name nearest to what was written, for "did you mean"; undefined where none is near. */
export const suggest = (written: string, known: Iterable<string>): string | undefined => {
  if (written.length > longest) return undefined
  let best: string | undefined
  let bestDistance = Math.max(2, Math.ceil(written.length * 0.4)) + 1
  for (const name of known) {
    // Half a name is as near as one wrong letter.
    const distance = written.length >= 3 && name.startsWith(written) ? 1 : editDistance(written, name.slice(0, longest))
    if (distance < bestDistance) {
      best = name
      bestDistance = distance
    }
  }
  return best
}
