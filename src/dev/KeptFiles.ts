/**
 * Files from which workers to come are started, held in memory: by then the page's server may have ended, and a browser that is short of memory may
 * have forgotten what it had read. No Effect here: it is part of what starts first.
 *
 * @since 0.1.0
 */

/** @since 0.1.0 @category files */
export class KeptFiles {
  private readonly kept = new Map<string, string>()

  /** Reads them. What cannot be read now is asked for when it is needed. */
  async keep(addresses: ReadonlyArray<string>): Promise<void> {
    await Promise.all(addresses.map(async (address) => {
      const response = await fetch(address).catch(() => undefined)
      if (response?.ok === true) this.kept.set(address, URL.createObjectURL(await response.blob()))
    }))
  }

  /** Where the file can be read: from memory, once it is kept. */
  addressOf(address: string): string {
    return this.kept.get(address) ?? address
  }
}
