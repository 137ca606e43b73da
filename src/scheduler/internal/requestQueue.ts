/** Requests that may run together, ordered by priority, deadline, arrival: a binary heap that knows each request's place. */

/** What admission and the order of a queue ask of a request. */
export interface Asked {
  readonly priority: number
  /** Monotonic ms when the execution must have ended. */
  readonly deadlineMs: number
  /** The limit it is held to, in ms after arrival. */
  readonly sloMs: number
  /** Order of arrival. */
  readonly seq: number
  readonly items: number
}

/** What stands in a queue. */
export interface Queueable extends Asked {
  /** Index in its queue's heap, -1 outside. */
  heapIndex: number
}

export const goesBefore = (a: Asked, b: Asked): boolean =>
  a.priority !== b.priority
    ? a.priority < b.priority
    : a.deadlineMs !== b.deadlineMs
      ? a.deadlineMs < b.deadlineMs
      : a.seq < b.seq

export class RequestQueue<T extends Queueable> {
  /** In heap order: only the first place is sorted. */
  readonly heap: Array<T> = []
  /** Sum of the requests' items. */
  items = 0
  /** There were requests of several priorities since it was last empty: the first one need not be the most urgent. */
  isMixed = false

  /** `key`: the bindings that all requests of this queue share. */
  constructor(readonly key: string) {}

  get head(): T | undefined {
    return this.heap[0]
  }

  push(ticket: T): void {
    if (this.heap.length === 0) this.isMixed = false
    else if (ticket.priority !== this.heap[0]!.priority) this.isMixed = true
    this.items += ticket.items
    this.heap.push(ticket)
    this.siftUp(ticket, this.heap.length - 1)
  }

  remove(ticket: T): void {
    const at = ticket.heapIndex
    const last = this.heap.pop()!
    ticket.heapIndex = -1
    this.items -= ticket.items
    if (last === ticket) return
    if (at > 0 && goesBefore(last, this.heap[(at - 1) >> 1]!)) this.siftUp(last, at)
    else this.siftDown(last, at)
  }

  /** Items of the requests that go before `asked`, which need not be in the queue. */
  itemsBefore(asked: Asked): number {
    let items = 0
    for (const other of this.heap) if (goesBefore(other, asked)) items += other.items
    return items
  }

  private siftUp(ticket: T, from: number): void {
    let at = from
    while (at > 0) {
      const parentAt = (at - 1) >> 1
      const parent = this.heap[parentAt]!
      if (!goesBefore(ticket, parent)) break
      this.heap[at] = parent
      parent.heapIndex = at
      at = parentAt
    }
    this.heap[at] = ticket
    ticket.heapIndex = at
  }

  private siftDown(ticket: T, from: number): void {
    const size = this.heap.length
    let at = from
    for (;;) {
      let childAt = 2 * at + 1
      if (childAt >= size) break
      if (childAt + 1 < size && goesBefore(this.heap[childAt + 1]!, this.heap[childAt]!)) childAt += 1
      const child = this.heap[childAt]!
      if (!goesBefore(child, ticket)) break
      this.heap[at] = child
      child.heapIndex = at
      at = childAt
    }
    this.heap[at] = ticket
    ticket.heapIndex = at
  }
}
