/** A batch some of whose tensors stand in clients' memory: which of them its engine moves itself, and what the runner does for the others. */
import type { DirectTensor } from "../../core/ClientMemory.js"
import type { RunBatch } from "../../core/internal/batchAssembly.js"
import type { DirectPart } from "../../core/internal/directParts.js"
import { DirectParts } from "../../core/internal/directParts.js"
import type { SlotLayout } from "../../core/SlotLayout.js"
import type { ClientRegions, RegionFile } from "./ClientRegions.js"
import type { Engine } from "./Engine.js"

interface PlacedPart extends DirectPart {
  readonly file: RegionFile
  /** Where the tensor's place in its slot is. */
  readonly slotAt: number
  readonly bytes: number
}

const placeOf = (layout: SlotLayout, batch: RunBatch, { entry, index, side }: DirectTensor & { readonly entry: number }) => {
  const own = layout.placement(batch.entryItems[entry]!, batch.bindings)
  const [offsets, bytes] = side === "inputs" ? [own.inputOffsets, own.inputBytes] : [own.outputOffsets, own.outputBytes]
  return { slotAt: batch.offsets[entry]! + offsets[index]!, bytes: bytes[index]! }
}

/** Those that a device reaches now. Each is looked at once: a batch may have many tensors in one. */
const filesOnDevice = (parts: ReadonlyArray<PlacedPart>): ReadonlySet<RegionFile> =>
  new Set([...new Set(parts.map(({ file }) => file))].filter((file) => file.isOnDevice()))

export class DirectBatch {
  /** What the engine gets. */
  readonly batch: RunBatch
  readonly problems = new Map<number, string>()
  /** Moved here, through the slots. */
  private readonly staged: DirectParts
  /** Moved by a device. */
  private readonly onDevice: ReadonlyArray<PlacedPart>
  private readonly all: ReadonlyArray<PlacedPart>

  /** `batch` is one that `batchProblem` has nothing to say against. */
  constructor(
    batch: RunBatch,
    tensors: ReadonlyArray<DirectTensor & { readonly entry: number }>,
    layout: SlotLayout,
    regions: ClientRegions,
    engine: Pick<Engine, "clientMemory">,
    private readonly memory: Uint8Array
  ) {
    const all: Array<PlacedPart> = []
    for (const tensor of tensors) {
      const { bytes, slotAt } = placeOf(layout, batch, tensor)
      const file = regions.find(tensor.region)
      if (file?.has(tensor.position, bytes) === true) {
        file.retain()
        all.push({ ...tensor, file, slotAt, bytes })
      } else {
        this.problems.set(tensor.entry, "is not known to the glet")
        memory.fill(0, slotAt, slotAt + bytes)
      }
    }
    this.all = all
    const byFiles = engine.clientMemory?.by === "files"
    const reached = engine.clientMemory?.by === "device" ? filesOnDevice(all) : undefined
    this.onDevice = reached === undefined ? [] : all.filter(({ file }) => reached.has(file))
    const own = byFiles ? all : this.onDevice
    this.staged = new DirectParts(all.filter((part) => !own.includes(part)), this.problems)
    this.batch = own.length === 0 ? batch : { ...batch, direct: new DirectParts(own, this.problems) }
    for (const part of this.stagedParts("inputs")) this.staged.load(part, this.slotOf(part))
  }

  /** The engine is done. */
  finish(ok: boolean): void {
    if (ok) {
      for (const part of this.stagedParts("outputs")) this.staged.store(part, this.slotOf(part))
      // Shrunk meanwhile: what was read may not be what its client had there, and what was written is lost.
      const reached = filesOnDevice(this.onDevice)
      for (const { entry, file } of this.onDevice) if (!reached.has(file)) this.staged.fail(entry, "was shrunk by its owner while it was in use")
    }
    for (const { file } of this.all) file.release()
  }

  private stagedParts(side: DirectPart["side"]): ReadonlyArray<PlacedPart> {
    return (this.staged.parts as ReadonlyArray<PlacedPart>).filter((part) => part.side === side)
  }

  private slotOf({ bytes, slotAt }: PlacedPart): Uint8Array {
    return this.memory.subarray(slotAt, slotAt + bytes)
  }
}
