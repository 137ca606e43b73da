/** A glet of a kind of GPU, with the items per second that each of its models is to carry there. */
export interface LooseGlet {
  readonly kind: number
  /** Place of its share on the grid: the smallest that carries the rates. */
  readonly share: number
  readonly models: ReadonlyArray<number>
  readonly rps: ReadonlyArray<number>
  /** The part of its time that is needed, in the longest cycle that its models allow. */
  readonly used: number
  /** A cycle in which the models carry their rates, in ms; of a single model the longest that single items allow. */
  readonly cycleMs: number
  /** In the currency of GPUs' costs, less what its free time is worth. */
  readonly cost: number
}
