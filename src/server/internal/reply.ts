/** Where the answer to one infer request goes. Two implementations: over node:http, and over the socket itself. */
import type { ErrorResponse } from "../ErrorMapping.js"

export interface Reply {
  /** The client's header of that name. */
  readonly acceptEncoding: string | Array<string> | undefined
  /** The connection is gone: nothing that is sent arrives. */
  readonly isGone: boolean
  /** Sends 200 with `headers` (name, value, …, without Content-Length) and a body. */
  readonly send: (headers: Array<string>, body: string | Buffer) => void
  /**
   * The same with a body of JSON and binary parts, of `byteLength` bytes together. `onSent` is called once the parts, which are views, are no
   * longer read; not where the connection dies before.
   */
  readonly sendParts: (headers: Array<string>, json: string, parts: ReadonlyArray<Uint8Array>, byteLength: number, onSent: () => void) => void
  /** Sends an error. What is left of the request's body is forgotten, and where that is much, the connection ends. */
  readonly fail: (response: ErrorResponse) => void
  /** Cuts the connection: no answer can be given any more. */
  readonly destroy: () => void
}

/** Up to here one copy and one write cost less than several writes of views. */
export const copiedBytes = 64 * 1024
/** Rest of a refused body that is read and forgotten so that the connection can go on. */
export const forgottenBytes = 256 * 1024
/** Time a client has to notice that its body was refused, before its connection is cut. */
export const lingerMs = 2000

/** Writes JSON and parts behind each other into `bytes`, from `start`. */
export const writeParts = (bytes: Buffer, start: number, json: string, parts: ReadonlyArray<Uint8Array>): void => {
  let at = start + bytes.write(json, start)
  for (const part of parts) {
    bytes.set(part, at)
    at += part.byteLength
  }
}
