/**
 * Events in the order of their times: a binary heap in typed arrays, so that an event costs no allocation. Events of one time come in the order
 * in which they were added.
 */

/** What happens; with it goes a number, e.g. a glet's index. */
export const EventKind = { arrival: 0, batchEnd: 1, sweep: 2, control: 3, planned: 4, gletReady: 5, gletReopen: 6, failure: 7, switch: 8, sample: 9, gletTurn: 10, gathered: 11 } as const
export type EventKind = typeof EventKind[keyof typeof EventKind]

export class EventQueue {
  /** Of the event that `next` took. */
  timeMs = 0
  kind: EventKind = EventKind.arrival
  subject = 0
  size = 0
  private times = new Float64Array(64)
  private orders = new Float64Array(64)
  private kinds = new Uint8Array(64)
  private subjects = new Int32Array(64)
  private added = 0

  add(timeMs: number, kind: EventKind, subject: number): void {
    if (this.size === this.times.length) this.grow()
    this.up(this.size++, timeMs, this.added++, kind, subject)
  }

  /** Takes the earliest event; false where there is none. */
  next(): boolean {
    if (this.size === 0) return false
    this.timeMs = this.times[0]!
    this.kind = this.kinds[0]! as EventKind
    this.subject = this.subjects[0]!
    const last = --this.size
    if (last > 0) this.down(this.times[last]!, this.orders[last]!, this.kinds[last]!, this.subjects[last]!)
    return true
  }

  private up(from: number, time: number, order: number, kind: number, subject: number): void {
    let at = from
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (this.times[parent]! <= time) break
      this.move(parent, at)
      at = parent
    }
    this.put(at, time, order, kind, subject)
  }

  private down(time: number, order: number, kind: number, subject: number): void {
    const { orders, size, times } = this
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= size) break
      const right = child + 1
      if (right < size && (times[right]! < times[child]! || (times[right]! === times[child]! && orders[right]! < orders[child]!))) child = right
      if (times[child]! > time || (times[child]! === time && orders[child]! > order)) break
      this.move(child, at)
      at = child
    }
    this.put(at, time, order, kind, subject)
  }

  private move(from: number, to: number): void {
    this.times[to] = this.times[from]!
    this.orders[to] = this.orders[from]!
    this.kinds[to] = this.kinds[from]!
    this.subjects[to] = this.subjects[from]!
  }

  private put(at: number, time: number, order: number, kind: number, subject: number): void {
    this.times[at] = time
    this.orders[at] = order
    this.kinds[at] = kind
    this.subjects[at] = subject
  }

  private grow(): void {
    const size = 2 * this.times.length
    const larger = <A extends Float64Array | Uint8Array | Int32Array>(to: A, from: A): A => {
      to.set(from)
      return to
    }
    this.times = larger(new Float64Array(size), this.times)
    this.orders = larger(new Float64Array(size), this.orders)
    this.kinds = larger(new Uint8Array(size), this.kinds)
    this.subjects = larger(new Int32Array(size), this.subjects)
  }
}
