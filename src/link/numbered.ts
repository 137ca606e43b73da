/**
 * What waits for an answer, by small numbers that are used again. A Map would do, but for the collector of garbage: its tables grow full of what was
 * deleted and are made anew, an old one keeps the next alive, and once one is old all that follow are kept with what was in them, until the whole heap
 * is collected. At thousands of requests a second that was most of them, and most of what the short collections took.
 */
export class Numbered<T> {
  private readonly values: Array<T | undefined> = []
  private readonly free: Array<number> = []
  size = 0

  /** Answers its number, from 1 on. */
  add(value: T): number {
    this.size += 1
    const number = this.free.pop()
    if (number === undefined) return this.values.push(value)
    this.values[number - 1] = value
    return number
  }

  get(number: number): T | undefined {
    return this.values[number - 1]
  }

  /** Takes it out; from now on the number may be another's. */
  take(number: number): T | undefined {
    const value = this.values[number - 1]
    if (value === undefined) return undefined
    this.values[number - 1] = undefined
    this.free.push(number)
    this.size -= 1
    return value
  }

  /** Takes out all. */
  takeAll(): ReadonlyArray<T> {
    const all = this.values.filter((value) => value !== undefined)
    this.values.length = this.free.length = this.size = 0
    return all as ReadonlyArray<T>
  }
}
