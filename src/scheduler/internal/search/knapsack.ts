/**
 * What of some things fills a room for the most: each at most once, sizes and room in whole parts.
 */

export type Knapsack = (count: number, sizes: ArrayLike<number>, valueOf: (n: number) => number) => Array<number>

/** Of the first `count` things the places of those that are taken, the last first; the arrays are kept from one question to the next. */
export const makeKnapsack = (most: number, parts: number): Knapsack => {
  const values = new Float64Array(parts + 1)
  const isTaken = new Uint8Array(most * (parts + 1))
  return (count, sizes, valueOf) => {
    values.fill(0)
    isTaken.fill(0, 0, count * (parts + 1))
    for (let n = 0; n < count; n++) {
      const size = sizes[n]!
      const value = valueOf(n)
      if (value <= 0) continue
      const row = n * (parts + 1)
      for (let room = parts; room >= size; room--) {
        const taken = values[room - size]! + value
        if (taken <= values[room]!) continue
        values[room] = taken
        isTaken[row + room] = 1
      }
    }
    const chosen: Array<number> = []
    for (let n = count - 1, room = parts; n >= 0; n--) {
      if (isTaken[n * (parts + 1) + room] === 0) continue
      chosen.push(n)
      room -= sizes[n]!
    }
    return chosen
  }
}
