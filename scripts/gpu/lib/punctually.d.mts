interface Latencies {
  readonly latencies: ReadonlyArray<{ readonly sendLagP99Ms: number }>
}
export declare const lateMs: number
export declare const punctually: <A extends Latencies>(
  measure: (before: number) => Promise<A>,
  isOver?: () => boolean
) => Promise<A & { readonly lagsMs: ReadonlyArray<number>; readonly lateClient?: true }>
