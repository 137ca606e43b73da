/** From a POST's path to the model it asks for. */
import { RequestRefused } from "../ServerError.js"

export interface InferTarget {
  readonly name: string
  readonly version: number | undefined
}

const prefix = "/v2/models/"
const suffix = "/infer"
const versions = "/versions/"

const decode = (text: string): string | RequestRefused => {
  if (!text.includes("%")) return text
  try {
    return decodeURIComponent(text)
  } catch {
    return new RequestRefused({ reason: "malformed", subject: "path", detail: "has a malformed percent-encoding" })
  }
}

/** Undefined where the path is another route's. */
export const inferTarget = (url: string): InferTarget | RequestRefused | undefined => {
  const query = url.indexOf("?")
  const path = query < 0 ? url : url.slice(0, query)
  if (!path.startsWith(prefix) || !path.endsWith(suffix) || path.length <= prefix.length + suffix.length) return undefined
  const middle = path.slice(prefix.length, path.length - suffix.length)
  const slash = middle.indexOf("/")
  const name = decode(slash < 0 ? middle : middle.slice(0, slash))
  if (typeof name !== "string") return name
  if (slash < 0) return { name, version: undefined }
  const rest = middle.slice(slash)
  if (!rest.startsWith(versions)) return undefined
  const digits = rest.slice(versions.length)
  return /^[0-9]{1,15}$/.test(digits) ? { name, version: Number(digits) } : undefined
}
