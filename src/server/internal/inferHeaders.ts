/** What the headers of an infer request say of its body. */
import type { IncomingHttpHeaders } from "node:http"
import { InvalidRequest } from "../../core/RequestError.js"
import { RequestRefused } from "../ServerError.js"

export interface BodyHeaders {
  /** Undefined where the body is chunked. */
  readonly contentLength: number | undefined
  readonly encoding: "identity" | "gzip" | "deflate"
  /** Bytes of JSON before the binary data; 0 marks a raw request; undefined: all is JSON. */
  readonly jsonBytes: number | undefined
}

const whole = (text: string): number | undefined => {
  if (text.length === 0 || text.length > 15) return undefined
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i)
    if (c < 48 || c > 57) return undefined
  }
  return Number(text)
}

export const tooLarge = (maxBodyBytes: number): RequestRefused =>
  new RequestRefused({
    reason: "body-too-large",
    subject: "body",
    detail: `is larger than the limit of ${maxBodyBytes} bytes; send fewer items at once or raise maxBodyBytes`
  })

export const readHeaders = (headers: IncomingHttpHeaders, maxBodyBytes: number): BodyHeaders | InvalidRequest | RequestRefused => {
  const length = headers["content-length"]
  let contentLength: number | undefined
  if (length !== undefined) {
    contentLength = whole(length)
    if (contentLength === undefined) return tooLarge(maxBodyBytes)
  } else if (headers["transfer-encoding"] === undefined) {
    contentLength = 0
  }
  if (contentLength !== undefined && contentLength > maxBodyBytes) return tooLarge(maxBodyBytes)

  const coding = headers["content-encoding"]
  let encoding: BodyHeaders["encoding"] = "identity"
  if (coding !== undefined) {
    const name = coding.trim().toLowerCase()
    if (name === "gzip" || name === "x-gzip") encoding = "gzip"
    else if (name === "deflate") encoding = "deflate"
    else if (name !== "identity" && name !== "") {
      return new RequestRefused({
        reason: "unsupported-encoding",
        subject: "Content-Encoding",
        detail: `${JSON.stringify(coding.slice(0, 64))} is not supported; send gzip, deflate or no encoding`
      })
    }
  }

  const json = headers["inference-header-content-length"]
  if (json === undefined) return { contentLength, encoding, jsonBytes: undefined }
  const field = "Inference-Header-Content-Length"
  const jsonBytes = typeof json === "string" ? whole(json) : undefined
  if (jsonBytes === undefined) {
    return new InvalidRequest({ field, problem: `must be one whole number of bytes, found ${JSON.stringify(String(json).slice(0, 64))}` })
  }
  const limit = encoding === "identity" && contentLength !== undefined ? contentLength : maxBodyBytes
  if (jsonBytes > limit) {
    return new InvalidRequest({ field, problem: `is ${jsonBytes}, the body has ${limit === maxBodyBytes ? "at most " : ""}${limit} bytes` })
  }
  return { contentLength, encoding, jsonBytes }
}

/** How an answer may be compressed for this client: gzip where it takes both. */
export const acceptedCoding = (header: string | Array<string> | undefined): "gzip" | "deflate" | undefined => {
  if (typeof header !== "string") return undefined
  let deflate = false
  for (const part of header.split(",", 32)) {
    const [name, ...parameters] = part.split(";", 8)
    const coding = name!.trim().toLowerCase()
    if (coding !== "gzip" && coding !== "deflate") continue
    if (parameters.some((parameter) => /^\s*q\s*=\s*0(\.0*)?\s*$/i.test(parameter))) continue
    if (coding === "gzip") return "gzip"
    deflate = true
  }
  return deflate ? "deflate" : undefined
}
