/**
 * What a server says of its edge nodes: machines of others that lend it their GPU.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

/**
 * Why a node is gone: its connection ended, it said nothing for too long, something it was asked or sent took too long, it sent what is no frame, or
 * it came again under its name.
 * @since 0.1.0
 * @category edge
 */
export const EdgeLoss = Schema.Literal("disconnected", "silent", "stuck", "bad-frame", "replaced")
/** @since 0.1.0 @category edge */
export type EdgeLoss = typeof EdgeLoss.Type

/** Frames and their bytes in one direction. @since 0.1.0 @category edge */
export const EdgeTraffic = Schema.Struct({ frames: Schema.NonNegativeInt, bytes: Schema.NonNegativeInt })
/** @since 0.1.0 @category edge */
export type EdgeTraffic = typeof EdgeTraffic.Type

/** A node that is connected. @since 0.1.0 @category edge */
export const EdgeNodeStatus = Schema.Struct({
  name: Schema.String,
  /** Its GPU in plans, e.g. `edge:desk`. */
  gpu: Schema.String,
  /** In the node's own words. */
  device: Schema.String,
  glets: Schema.NonNegativeInt,
  /** Batches that were sent and not answered yet. */
  inFlight: Schema.NonNegativeInt,
  /** Batches answered. */
  batches: Schema.NonNegativeInt,
  sent: EdgeTraffic,
  received: EdgeTraffic,
  connectedMs: Schema.NonNegative,
  /** Since its last word. */
  silentMs: Schema.NonNegative
})
/** @since 0.1.0 @category edge */
export type EdgeNodeStatus = typeof EdgeNodeStatus.Type

/** The edge nodes that have joined a server, and what they brought. @since 0.1.0 @category edge */
export const EdgeStatus = Schema.Struct({
  nodes: Schema.Array(EdgeNodeStatus),
  /** Nodes that joined since the server started, those that came again too. */
  joined: Schema.NonNegativeInt,
  losses: Schema.Array(Schema.Struct({ reason: EdgeLoss, count: Schema.NonNegativeInt })),
  lastLoss: Schema.optionalWith(Schema.Struct({ node: Schema.String, reason: EdgeLoss, detail: Schema.String, agoMs: Schema.NonNegative }), { exact: true }),
  /** Of all nodes, gone ones too. */
  sent: EdgeTraffic,
  received: EdgeTraffic
})
/** @since 0.1.0 @category edge */
export type EdgeStatus = typeof EdgeStatus.Type

/** Where edge nodes may join; a server without it takes none. @since 0.1.0 @category services */
export class EdgeReport extends Context.Tag("glet/core/EdgeReport")<EdgeReport, {
  readonly now: Effect.Effect<EdgeStatus>
}>() {}
