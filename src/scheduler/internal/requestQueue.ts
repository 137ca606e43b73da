/** Requests that may run together, ordered by priority, deadline, arrival: a binary heap that knows each request's place. */
import type { Asked, Ticket } from "./ticket.js"

export const goesBefore = (a: Asked, b: Asked): boolean =>
  a.priority !== b.priority
    ? a.priority < b.priority
    : a.deadlineMs !== b.deadlineMs
      ? a.deadlineMs < b.deadlineMs
      : a.seq < b.seq

export class RequestQueue {
  /** In heap order: only the first place is sorted. */
  readonly heap: Array<Ticket> = []
  /** Sum of the requests' items. */
  items = 0

  /** `key`: the bindings that all requests of this queue share. */
  constructor(readonly key: string) {}

  get head(): Ticket | undefined {
    return this.heap[0]
  }

  push(ticket: Ticket): void {
    this.items += ticket.request.items
    this.heap.push(ticket)
    this.siftUp(ticket, this.heap.length - 1)
  }

  remove(ticket: Ticket): void {
    const at = ticket.heapIndex
    const last = this.heap.pop()!
    ticket.heapIndex = -1
    this.items -= ticket.request.items
    if (last === ticket) return
    if (at > 0 && goesBefore(last, this.heap[(at - 1) >> 1]!)) this.siftUp(last, at)
    else this.siftDown(last, at)
  }

  /** Items of the requests that go before `asked`, which need not be in the queue. */
  itemsBefore(asked: Asked): number {
    let items = 0
    for (const other of this.heap) if (goesBefore(other, asked)) items += other.request.items
    return items
  }

  private siftUp(ticket: Ticket, from: number): void {
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

  private siftDown(ticket: Ticket, from: number): void {
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
