/** Who holds how much of a device's memory. */

/** What one glet holds, by name of the thing. */
interface MemoryHolding {
  /** False where so much is not free. */
  readonly hold: (key: string, bytes: number) => boolean
  /** Gives one thing's memory back; nothing where it is not held. */
  readonly drop: (key: string) => void
  readonly dropAll: () => void
}

/** A device's memory; each call of the answer makes a holder of its own. */
export const makeDeviceMemory = (capacityBytes: number): (() => MemoryHolding) => {
  let used = 0
  return () => {
    const held = new Map<string, number>()
    const drop = (key: string): void => {
      used -= held.get(key) ?? 0
      held.delete(key)
    }
    return {
      hold: (key, bytes) => {
        if (used + bytes > capacityBytes) return false
        drop(key)
        held.set(key, bytes)
        used += bytes
        return true
      },
      drop,
      dropAll: () => {
        for (const key of [...held.keys()]) drop(key)
      }
    }
  }
}
