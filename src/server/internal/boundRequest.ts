/** An infer request that was checked against its model. */
import type { SlotPlacement } from "../../core/SlotLayout.js"
import type { DataRange } from "./inferScan.js"
import type { SharedRange, SharedRegion } from "./sharedRegions.js"

/** An input that a request brings. */
export interface BoundInput {
  /** In the model's signature. */
  readonly index: number
  readonly shape: ReadonlyArray<number>
  readonly count: number
  /** Where its numbers are in the JSON; undefined where they follow as binary data, or are shared. */
  readonly range: DataRange | undefined
  /** Where its bytes are in a region of its client. */
  readonly shared: SharedRange | undefined
  readonly field: string
}

/** An output that a request wants. */
export interface RequestedOutput {
  readonly index: number
  readonly binary: boolean
  /** Above 0: so many of its highest values are wanted, as strings, instead of its elements. */
  readonly classes: number
  /** Where in a region of its client it goes, instead of into the response. */
  readonly shared: SharedRange | undefined
}

/** A request that fits its model; what is missing are the values. */
export interface BoundRequest {
  readonly id: string | undefined
  readonly timeoutMs: number | undefined
  readonly priority: number | undefined
  readonly serviceClass: "best-effort" | undefined
  readonly items: number
  readonly bindings: ReadonlyArray<number>
  readonly placement: SlotPlacement
  /** In the order of the request, which is the order of the binary data. */
  readonly inputs: ReadonlyArray<BoundInput>
  readonly outputs: ReadonlyArray<RequestedOutput>
  /** Bytes of binary data that follow the JSON. */
  readonly binaryBytes: number
  /** Regions of its client that hold inputs or take outputs, once per tensor. */
  readonly regions: ReadonlyArray<SharedRegion>
}
