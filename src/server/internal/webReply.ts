/** Answers as `Response`, for servers that take web handlers. */
import type { ErrorResponse } from "../ErrorMapping.js"
import type { InferContext } from "./inferContext.js"
import { type Reply, writeParts } from "./reply.js"

const headersOf = (pairs: ReadonlyArray<string>): Headers => {
  const headers = new Headers()
  for (let i = 0; i < pairs.length; i += 2) headers.append(pairs[i]!, pairs[i + 1]!)
  return headers
}

export class WebReply implements Reply {
  private answer: (response: Response) => void = () => undefined
  readonly response = new Promise<Response>((resolve) => this.answer = resolve)

  constructor(private readonly metrics: InferContext["metrics"], private readonly request: Request) {}

  get acceptEncoding(): string | undefined {
    return this.request.headers.get("accept-encoding") ?? undefined
  }

  get isGone(): boolean {
    return this.request.signal.aborted
  }

  send(headers: Array<string>, body: string | Buffer): void {
    this.metrics.responded(200)
    this.answer(new Response(body as unknown as Uint8Array<ArrayBuffer>, { status: 200, headers: headersOf(headers) }))
  }

  /** The parts are views of a slot: a `Response` says of no body when it was sent, so they are copied. */
  sendParts(headers: Array<string>, json: string, parts: ReadonlyArray<Uint8Array>, byteLength: number, onSent: () => void): void {
    const body = Buffer.allocUnsafe(byteLength)
    writeParts(body, 0, json, parts)
    onSent()
    this.send(headers, body)
  }

  fail({ body, headers, status }: ErrorResponse): void {
    this.metrics.responded(status)
    this.answer(new Response(body, { status, headers: headersOf(headers) }))
  }

  destroy(): void {
    this.answer(Response.error())
  }
}
