/** Whether a mover moves what it is told to, and nothing beside it: tried once, before tensors are entrusted to it. */
import type { CudaDriver, Mover } from "./CudaDriver.js"
import { makeCopyList, putU64 } from "./CudaDriver.js"

/** Bytes of each piece, and how far it stands from where the last one's room ended: vectors, words and single bytes, one block's work and more. */
const pieces: ReadonlyArray<{ readonly bytes: number; readonly gap: number }> = [
  ...[1, 3, 4, 15, 16, 52, 255, 4096, 6656].flatMap((bytes) => [0, 4, 1].map((gap) => ({ bytes, gap }))),
  { bytes: 70_001, gap: 0 }, { bytes: 70_000, gap: 4 }, { bytes: 20_003, gap: 1 },
  // More than one launch takes.
  ...Array.from({ length: 150 }, (_, i) => ({ bytes: 4 + (i % 5), gap: 0 }))
]
const alignment = 64
const room = (bytes: number, gap: number): number => alignment * Math.ceil((bytes + gap + 1) / alignment)

/** Throws where it does not. Holds the thread until the GPU has done it: some 0.1 ms. */
export const checkMover = (driver: CudaDriver, mover: Mover): void => {
  const total = pieces.reduce((sum, { bytes, gap }) => sum + room(bytes, gap), 0)
  const undo: Array<() => void> = []
  const made = <A>(value: A, release: (value: A) => void): A => {
    undo.push(() => release(value))
    return value
  }
  try {
    const host = made(driver.allocateHost(2 * total), ({ address }) => driver.freeHost(address))
    const device = made(driver.allocate(total), driver.free)
    const stream = made(driver.createStream(0, undefined), driver.destroyStream)
    const done = made(driver.createEvent(), driver.destroyEvent)
    const known = driver.deviceAddress(host.address)
    const untouched = 0xa5
    const [sent, back] = [host.memory.subarray(0, total), host.memory.subarray(total)]
    for (let i = 0; i < total; i++) sent[i] = (i * 31 + (i >> 8)) & 0xff
    back.fill(untouched)
    const expected = back.slice()
    const into = makeCopyList(pieces.length)
    const outOf = makeCopyList(pieces.length)
    const add = (list: typeof into, from: number, at: number, bytes: number): void => {
      putU64(list.host, list.count, known + from)
      putU64(list.device, list.count, device + at)
      putU64(list.bytes, list.count++, bytes)
    }
    let at = 0
    for (const { bytes, gap } of pieces) {
      add(into, at + gap, at + gap, bytes)
      add(outOf, total + at + gap, at + gap, bytes)
      expected.set(sent.subarray(at + gap, at + gap + bytes), at + gap)
      at += room(bytes, gap)
    }
    mover.moveIn(into, stream)
    mover.moveOut(outOf, stream)
    driver.record(done, stream)
    while (!driver.isDone(done));
    if (Buffer.compare(back, expected) !== 0) throw new Error("the GPU did not copy small pieces as told")
  } finally {
    for (const release of undo.reverse()) release()
  }
}
