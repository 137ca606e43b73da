/** The pieces of one side of a batch, listed for the driver in the same memory each time. */
import type { BatchJob } from "./BatchJob.js"
import type { BufferSet } from "./BufferSets.js"
import type { Side } from "./copies.js"
import { listCopies, mostPieces } from "./copies.js"
import type { CopyList } from "./driver/CudaDriver.js"
import { makeCopyList } from "./driver/CudaDriver.js"

export class BatchPieces {
  private list: CopyList

  constructor(private readonly side: Side, most: number) {
    this.list = makeCopyList(most)
  }

  /** Theirs until the next call. `segment` is where the one who copies finds the segment. */
  of({ batch, model: { layout }, size }: BatchJob, set: BufferSet, segment: number): CopyList {
    const most = mostPieces(layout, batch, this.side)
    if (2 * most > this.list.host.length) this.list = makeCopyList(2 * most)
    listCopies(this.list, this.side, layout, batch, segment, size.placement, size.items, set.device)
    return this.list
  }
}
