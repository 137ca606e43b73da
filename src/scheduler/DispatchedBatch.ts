/**
 * A batch on its way: formed by the dispatcher, started by whoever has the glet.
 *
 * @since 0.1.0
 */

/** A batch for a glet to start. @since 0.1.0 @category dispatching */
export type { DispatchedBatch } from "./internal/graph.js"
