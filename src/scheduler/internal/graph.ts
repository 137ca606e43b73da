/**
 * Models, glets, the routes between them, requests and batches: each leads to the others. The classes behind these types know of one another only
 * what they ask, which each says in its own file; here the ends are tied.
 */
import type { BatchOf } from "./batch.js"
import type { GletLaneOf } from "./gletLane.js"
import type { ModelLaneOf } from "./modelLane.js"
import type { RequestQueue } from "./requestQueue.js"
import type { RouteOf } from "./route.js"
import type { TicketOf } from "./ticket.js"

export interface Route extends RouteOf<ModelLane, GletLane> {}
export interface ModelLane extends ModelLaneOf<Route, Ticket> {}
export interface GletLane extends GletLaneOf<Route, DispatchedBatch> {}
export interface Ticket extends TicketOf<ModelLane, DispatchedBatch> {}
export interface DispatchedBatch extends BatchOf<Route, Ticket> {}
export type Queue = RequestQueue<Ticket>
