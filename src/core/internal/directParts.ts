/** The tensors of a batch that stand in clients' memory, as an engine has them. */

/** A client's memory, in the process that runs the batch. What goes wrong is said, never thrown: it is that client's affair. */
export interface ClientFile {
  /** Where a device that reads memory by itself finds it; undefined where none can. No instruction of this process may touch it there. */
  readonly address: number | undefined
  readonly read: (bytes: Uint8Array, position: number) => string | undefined
  readonly write: (bytes: Uint8Array, position: number) => string | undefined
}

export interface DirectPart {
  /** In the batch. */
  readonly entry: number
  readonly side: "inputs" | "outputs"
  /** In the model's signature. */
  readonly index: number
  readonly file: ClientFile
  readonly position: number
}

export class DirectParts {
  constructor(
    readonly parts: ReadonlyArray<DirectPart>,
    /** By entry, the first that went wrong: its request fails, the others do not. */
    readonly problems = new Map<number, string>()
  ) {}

  find(side: DirectPart["side"], entry: number, index: number): DirectPart | undefined {
    // A batch has few.
    return this.parts.find((part) => part.entry === entry && part.index === index && part.side === side)
  }

  fail(entry: number, problem: string): void {
    if (!this.problems.has(entry)) this.problems.set(entry, problem)
  }

  /** Fills `bytes` with an input. One that cannot be read is zeros: no others of the batch may fail for it. */
  load({ entry, file, position }: DirectPart, bytes: Uint8Array): void {
    const problem = file.read(bytes, position)
    if (problem === undefined) return
    bytes.fill(0)
    this.fail(entry, problem)
  }

  /** Puts an output where it belongs. */
  store({ entry, file, position }: DirectPart, bytes: Uint8Array): void {
    if (this.problems.has(entry)) return
    const problem = file.write(bytes, position)
    if (problem !== undefined) this.fail(entry, problem)
  }
}
