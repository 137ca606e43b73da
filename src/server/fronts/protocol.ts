/**
 * What agent and front send each other over the channel (link/channel.ts) that the front inherits: frames (link/frame.ts) of these kinds.
 *
 * ```
 * control   meta = JSON                                                     both ways; id = 0, or a number that the `ack` repeats
 * offer     meta = offerCodec.ts; id = the request's number, the front's    front -> agent
 * cancel    no meta; id = the request's number                              front -> agent
 * refused   meta = n x (u32 model | u32 reason | f64 arrivedMs)             front -> agent: requests it refused unread by the admission page
 * counts    meta = u32 closed | u32 taken | f64 usedBytes | n x (u32 status | u32 responses)    front -> agent: since the last such frame
 * end       meta = endCodec.ts; id = the request's number                   agent -> front
 * ```
 * Connections of clients come over the front's IPC channel, one message each; `taken` counts those that have come, in the order in which they were sent.
 */
import type { Model } from "../../core/Model.js"
import type { DropReason } from "../../core/RequestError.js"
import { controlKind } from "../../link/frame.js"
import type { RegionObject } from "../internal/sharedRegions.js"
import type { ServerConfig } from "../ServerConfig.js"

/** Changes with every change of the frames, of the messages or of what carries them. */
export const protocolVersion = 5

export const FrontFrame = { control: controlKind, offer: 2, cancel: 3, refused: 4, counts: 5, end: 6 } as const

/** Descriptors of a front beside the usual three: its link to the agent, and the segment. Its IPC channel comes behind. */
export const linkFd = 3
export const segmentFd = 4

/** Requests of a front that may be with the agent, and the largest of their numbers, which are used again; the queue of a model is bounded at fewer. */
export const maxPending = 65_536

export const refusedBytes = 16
/** So many refusals go into one frame. */
export const refusedPerFrame = 1024
export const countsHeadBytes = 16
export const countBytes = 8

/** Reasons by their numbers on the link. */
export const dropReasons: ReadonlyArray<DropReason> = ["queue-full", "deadline-unreachable", "expired", "memory-full"]

/** The only argument of a front, as JSON. */
export interface FrontSettings {
  readonly config: ServerConfig
  readonly segmentBytes: number
  /** The part of the segment that it allocates in. */
  readonly part: { readonly offset: number; readonly byteLength: number }
  /** Where in the segment the admission page is. */
  readonly pageOffset: number
  /** Where in the segment the rings of the link are (link/channel.ts); where absent, its socket carries everything. */
  readonly channelOffset?: number
  /** To add to the system's monotonic clock, in ms, for the scheduler's. */
  readonly clockMs: number
  /** Where the agent answers what a front does not: path of a Unix socket. */
  readonly agentPath: string
  /** Path for a Unix socket of its own: node:http watches the time only where it listens. */
  readonly ownPath: string
}

/** From the agent. */
export type ToFront =
  /** A model is served; `number` stands for this version of it, `line` is its place in the admission page. */
  | { readonly type: "model"; readonly number: number; readonly line: number; readonly model: Model }
  | { readonly type: "forget"; readonly model: string }
  /** Memory that clients share: ordered as it happened. */
  | {
    readonly type: "register"
    readonly region: string
    readonly body: Readonly<Record<string, unknown>>
    readonly object: RegionObject
    /** How glets know it; absent where they do not. */
    readonly glets?: { readonly number: number; readonly isDirect: boolean }
  }
  /** Glets begin, or cease, to read and write that memory themselves. */
  | { readonly type: "direct"; readonly number: number; readonly isDirect: boolean }
  | { readonly type: "unregister"; readonly region: string | null }
  /** Only to be acknowledged. */
  | { readonly type: "ping" }

/** From a front. */
export type ToAgent =
  | { readonly type: "ready"; readonly protocol: number }
  | { readonly type: "ack" }
  | { readonly type: "dropped"; readonly number: number; readonly reason: DropReason }
  | { readonly type: "defect"; readonly detail: string }

/** Over the IPC channel: a client's connection comes with the first, the second asks to drain and end. */
export type ChannelMessage = "connection" | "drain"
