/**
 * The frames in which the processes of one host talk to each other over a stream, little-endian:
 *
 * ```
 * frame = head | meta | payload
 * head  = u32 metaBytes | u32 payloadBytes | u32 kind | u32 id           16 bytes
 * ```
 * What kinds there are, and what stands in the meta of each, is the protocol's of both ends: node-cuda/internal/wire.ts between agent and
 * runners, server/fronts/protocol.ts between agent and fronts.
 */
export const headBytes = 16
/** No meta may be larger: it is assembled in memory. */
export const maxMetaBytes = 16 << 20
/** Kind of control messages, whose meta is JSON, in every protocol. */
export const controlKind = 1
