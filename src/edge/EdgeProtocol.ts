/**
 * What a server and an edge node say to each other over a WebSocket. An edge node is another machine, or a page, that lends its GPU.
 *
 * A frame is one binary message: the length of its header (uint32, little-endian), the header as JSON, then bytes that the header speaks of. The node
 * speaks first. Everything is bounded: a frame, a header, what is in flight, what waits to be sent.
 *
 * The token is offered as a second subprotocol, the one thing that a page may choose in the request for a WebSocket: it is checked before a single frame
 * is read.
 *
 * @since 0.1.0
 */
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import { decodeProblem } from "../core/internal/decodeProblem.js"
import { ModelSignature } from "../core/Model.js"

/** The subprotocol, with its version. @since 0.1.0 @category protocol */
export const edgeProtocol = "glet-edge.1"

const tokenPrefix = "token."

/** Subprotocols to ask for a WebSocket with. @since 0.1.0 @category protocol */
export const protocolsFor = (token: string): Array<string> => [
  edgeProtocol, tokenPrefix + Array.from(new TextEncoder().encode(token), (byte) => byte.toString(16).padStart(2, "0")).join("")
]

/** The token among the subprotocols that were asked for; undefined where none is, or the protocol is another. @since 0.1.0 @category protocol */
export const tokenOf = (protocols: string | undefined): string | undefined => {
  const offered = (protocols ?? "").split(",").map((one) => one.trim())
  const hex = offered.find((one) => one.startsWith(tokenPrefix))?.slice(tokenPrefix.length)
  if (hex === undefined || !offered.includes(edgeProtocol) || !/^([0-9a-f]{2}){1,512}$/.test(hex)) return undefined
  return new TextDecoder().decode(Uint8Array.from({ length: hex.length / 2 }, (_, i) => Number.parseInt(hex.slice(2 * i, 2 * i + 2), 16)))
}

/** The path of a server under which edge nodes join. @since 0.1.0 @category protocol */
export const edgePath = "/glet/v1alpha1/edge"

/** Bytes of a frame at most: a batch with its tensors. @since 0.1.0 @category bounds */
export const maxFrameBytes = 32 << 20
/** Of a header: far more than the longest there is. @since 0.1.0 @category bounds */
export const maxHeaderBytes = 1 << 18
/** Models are sent in pieces of this size, bytes. @since 0.1.0 @category bounds */
export const modelChunkBytes = 1 << 20
/** Of a model that a node takes. @since 0.1.0 @category bounds */
export const maxModelBytes = 512 << 20

const Count = Schema.Int.pipe(Schema.between(0, 2 ** 31))
const Milliseconds = Schema.Number.pipe(Schema.finite(), Schema.between(0, 1e9))
const Text = Schema.String.pipe(Schema.maxLength(2048))
const Name = Schema.String.pipe(Schema.minLength(1), Schema.maxLength(256))

/** A node's name as it is part of ids and GPU types. @since 0.1.0 @category protocol */
export const NodeName = Schema.String.pipe(Schema.pattern(/^[a-z0-9][a-z0-9-]{0,31}$/))

/** The first frame of a node: who it is, and what it lends. @since 0.1.0 @category protocol */
export const Hello = Schema.Struct({
  t: Schema.Literal("hello"),
  name: NodeName,
  /** For people, e.g. `WebGPU on nvidia ampere`. */
  device: Schema.String.pipe(Schema.maxLength(200)),
  memoryBytes: Schema.Number.pipe(Schema.between(1, 2 ** 50)),
  sharesPct: Schema.NonEmptyArray(Schema.Int.pipe(Schema.between(1, 100))).pipe(Schema.maxItems(100))
})
/** @since 0.1.0 @category protocol */
export type Hello = typeof Hello.Type

/** From the server. `id` numbers what is answered. @since 0.1.0 @category protocol */
export const ToNode = Schema.Union(
  Schema.Struct({ t: Schema.Literal("welcome"), gpu: Name }),
  Schema.Struct({ t: Schema.Literal("ping"), id: Count }),
  Schema.Struct({ t: Schema.Literal("open"), id: Count, glet: Name, sharePct: Schema.Int.pipe(Schema.between(1, 100)), priority: Schema.Int }),
  Schema.Struct({ t: Schema.Literal("close"), id: Count, glet: Name }),
  /** A piece of a model's file; the first has offset 0, the last ends at `totalBytes`. */
  Schema.Struct({ t: Schema.Literal("model"), model: Count, offset: Schema.NonNegativeInt, totalBytes: Schema.NonNegativeInt }),
  /** No glet needs that file any more. */
  Schema.Struct({ t: Schema.Literal("forget"), model: Count }),
  Schema.Struct({
    t: Schema.Literal("load"), id: Count, glet: Name, model: Count, name: Name, maxBatch: Schema.Int.pipe(Schema.between(1, 65536)), signature: ModelSignature,
    warm: Schema.Array(Schema.Int.pipe(Schema.between(1, 65536))).pipe(Schema.maxItems(64))
  }),
  Schema.Struct({ t: Schema.Literal("unload"), id: Count, glet: Name, model: Count }),
  /** The inputs follow, in the order of the signature. */
  Schema.Struct({ t: Schema.Literal("run"), id: Count, glet: Name, model: Count, items: Schema.Int.pipe(Schema.between(1, 65536)), bindings: Schema.Array(Count).pipe(Schema.maxItems(64)) })
)
/** @since 0.1.0 @category protocol */
export type ToNode = typeof ToNode.Type

/** From the node. @since 0.1.0 @category protocol */
export const FromNode = Schema.Union(
  Hello,
  Schema.Struct({ t: Schema.Literal("pong"), id: Count }),
  /** What was asked for is done. */
  Schema.Struct({ t: Schema.Literal("done"), id: Count, loadMs: Milliseconds, memoryBytes: Schema.NonNegative, detail: Text }),
  Schema.Struct({ t: Schema.Literal("failed"), id: Count, reason: Schema.String.pipe(Schema.maxLength(64)), detail: Text }),
  /**
   * A batch ran. The outputs follow in the order of the signature: those with a size known before, then those whose size only the execution knew, of
   * which `overflowBytes` tells the sizes by output (-1: none).
   */
  Schema.Struct({
    t: Schema.Literal("ran"), id: Count, inferMs: Milliseconds,
    outputBindings: Schema.Array(Count).pipe(Schema.maxItems(64)), overflowBytes: Schema.Array(Schema.Int.pipe(Schema.between(-1, 2 ** 31))).pipe(Schema.maxItems(256))
  }),
  /** `exited`: with its glet. */
  Schema.Struct({ t: Schema.Literal("run-failed"), id: Count, cause: Schema.Literal("failed", "exited", "not-open"), detail: Text }),
  Schema.Struct({ t: Schema.Literal("exited"), glet: Name, detail: Text })
)
/** @since 0.1.0 @category protocol */
export type FromNode = typeof FromNode.Type

/** @since 0.1.0 @category protocol */
export interface EdgeFrame<A> {
  readonly header: A
  /** Part of the message's memory. */
  readonly payload: Uint8Array
}

const noPayload: ReadonlyArray<Uint8Array> = []
const encoder = new TextEncoder()
const decoder = new TextDecoder("utf-8", { fatal: true })

/** The bytes of a frame. @since 0.1.0 @category frames */
export const encodeFrame = (header: ToNode | FromNode, payload: ReadonlyArray<Uint8Array> = noPayload): Uint8Array<ArrayBuffer> => {
  const text = encoder.encode(JSON.stringify(header))
  const bytes = payload.reduce((sum, part) => sum + part.length, 0)
  const frame = new Uint8Array(4 + text.length + bytes)
  new DataView(frame.buffer).setUint32(0, text.length, true)
  frame.set(text, 4)
  let at = 4 + text.length
  for (const part of payload) {
    frame.set(part, at)
    at += part.length
  }
  return frame
}

const decodeHeader = <A, I>(schema: Schema.Schema<A, I>) => {
  const decode = Schema.decodeUnknownEither(schema)
  return (frame: Uint8Array, limitBytes: number): Either.Either<EdgeFrame<A>, string> =>
    Either.gen(function*() {
      if (frame.length > limitBytes) return yield* Either.left(`a frame of ${frame.length} bytes; ${limitBytes} are allowed`)
      if (frame.length < 4) return yield* Either.left(`a frame of ${frame.length} bytes has no header`)
      const length = new DataView(frame.buffer, frame.byteOffset, frame.byteLength).getUint32(0, true)
      if (length > maxHeaderBytes || 4 + length > frame.length) return yield* Either.left(`a header of ${length} bytes in a frame of ${frame.length}`)
      const parsed = yield* Either.try({
        try: (): unknown => JSON.parse(decoder.decode(frame.subarray(4, 4 + length))),
        catch: () => "a header that is not JSON"
      })
      const header = yield* Either.mapLeft(decode(parsed), (error) => `a header that is not understood: ${decodeProblem(error).message}`)
      return { header, payload: frame.subarray(4 + length) }
    })
}

/** Reads what a node sent; the answer says what is wrong with it. @since 0.1.0 @category frames */
export const decodeFromNode = decodeHeader(FromNode)
/** Reads what a server sent. @since 0.1.0 @category frames */
export const decodeToNode = decodeHeader(ToNode)

/** Why a server ends the connection: WebSocket close codes of the private range. @since 0.1.0 @category protocol */
export const closeCodes = {
  badFrame: 4400, badToken: 4401, tooSlow: 4408, replaced: 4409, full: 4429, closing: 4503
} as const
