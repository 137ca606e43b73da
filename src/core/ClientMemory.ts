/**
 * Memory of clients on this host that glets read and write themselves, so that a request's tensors need not pass through its slot.
 *
 * @since 0.1.0
 */

/**
 * Tensors whose part of one item is smaller go through the slot like all others: they are gathered in one move with their neighbours, where each
 * of these is a move of its own.
 * @since 0.1.0
 * @category client memory
 */
export const directItemBytes = 24 << 10

/** A tensor of a request that stands in a client's memory instead of in the request's slot. @since 0.1.0 @category client memory */
export interface DirectTensor {
  readonly side: "inputs" | "outputs"
  /** In the model's signature. */
  readonly index: number
  /** `ClientRegion.number`. */
  readonly region: number
  /** From the beginning of the region's object, in bytes. The whole tensor lies in it: whoever names it has checked that. */
  readonly position: number
}

/** The very object that a client shares, whatever its owner has done to its name since. @since 0.1.0 @category client memory */
export interface ClientObject {
  /** For words. */
  readonly name: string
  /** Opens it in another process of this user. */
  readonly path: string
  readonly device: number
  readonly inode: number
  readonly isWritable: boolean
  /** Up to here requests may name tensors. */
  readonly endBytes: number
}

/** An object that glets know. @since 0.1.0 @category client memory */
export interface ClientRegion {
  /** Never used twice. */
  readonly number: number
  /** Glets forget it. No request may name it any more, and none that does may be in flight. */
  readonly release: () => void
}

/** What an executor whose glets can do so offers. @since 0.1.0 @category client memory */
export interface ClientMemory {
  /** Whether requests are to use it where nobody says so. */
  readonly isDefault: boolean
  /**
   * Makes an object known to all glets, those that are opened later too. `onDirect` is told whether tensors in it are worth naming, when that
   * changes: false at first, true once all glets reach it. Naming one is right in any case, from the call on until `release`.
   */
  readonly open: (object: ClientObject, onDirect: (isDirect: boolean) => void) => ClientRegion
}
