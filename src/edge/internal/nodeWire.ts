/** What a glet on an edge node asks of the connection to it. */
import type { LoadFailure } from "../../core/internal/loadFailure.js"
import type * as Effect from "effect/Effect"
import type * as Either from "effect/Either"
import type { EdgeLoss } from "../../core/EdgeStatus.js"
import type { Model } from "../../core/Model.js"
import type { FromNode, ToNode } from "../EdgeProtocol.js"

/** Why a link ends: a loss, or the server stops. */
export type EdgeEnd = EdgeLoss | "server-stops"

export type Reply = Extract<FromNode, { readonly t: "done" | "failed" }>
export type RunReply = Extract<FromNode, { readonly t: "ran" | "run-failed" }>

/** A request without its number. */
type Unnumbered = ToNode extends infer A ? A extends { readonly id: number } ? Omit<A, "id"> : never : never
export type Asked = Exclude<Unnumbered, { readonly t: "run" | "ping" }>

/** A batch, without what follows from who sends it. */
export type RunHeader = Omit<Extract<ToNode, { readonly t: "run" }>, "id" | "t">

export interface NodeWire {
  readonly name: string
  /** Why it is gone. */
  readonly dead: string | undefined
  /** Limits of a batch, ms: before anything is known of a model, and at the least after. */
  readonly options: { readonly controlTimeoutMs: number; readonly batchTimeoutMs: number }
  /** Asks and waits; undefined where the link is gone, or nothing came in time, after which it is. */
  readonly ask: (asked: Asked) => Effect.Effect<Reply | undefined>
  /** Sends a batch. `answer` is called once, with undefined when the link dies; never before this returns. */
  readonly run: (
    header: RunHeader, inputs: ReadonlyArray<Uint8Array>, limitMs: number, answer: (reply: RunReply | undefined, payload: Uint8Array) => void
  ) => void
  /** The model's number over there, its file sent, or why it cannot be. */
  readonly send: (model: Model) => Effect.Effect<Either.Either<number, string | LoadFailure>>
  /** A glet has unloaded it. */
  readonly release: (number: number) => void
  /** The end of the link: everything on it has failed. */
  readonly die: (reason: EdgeEnd, why: string) => void
}
