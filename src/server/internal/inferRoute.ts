/** From a POST's path to the model it asks for. */
import type { IncomingMessage, ServerResponse } from "node:http"
import { InvalidRequest, ModelNotFound, ModelUnavailable } from "../../core/RequestError.js"
import type { CatalogEntry, ModelCatalog } from "../ModelCatalog.js"
import { RequestRefused } from "../ServerError.js"
import { compiledModel } from "./compiledModel.js"
import type { Connection } from "./connection.js"
import { InferCall } from "./inferCall.js"
import type { InferContext } from "./inferContext.js"
import { readHeaders } from "./inferHeaders.js"
import { sendError } from "./send.js"

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

/** Why a name is not served: it was never found, or it was and is broken, unloaded or loading. */
export const notServed = (
  catalog: typeof ModelCatalog.Service,
  name: string,
  version: number | undefined
): ModelNotFound | ModelUnavailable => {
  const known = catalog.index().filter((line) => line.name === name)
  const line = known.find((line) => version === undefined || line.version === undefined || line.version === String(version))
  const entry = catalog.find(name)
  if (line === undefined || (entry !== undefined && version !== undefined && entry.model.version !== version && line.state === "READY")) {
    return new ModelNotFound({ model: name.slice(0, 256), ...(version === undefined ? {} : { version }) })
  }
  return new ModelUnavailable({
    model: line.name as ModelUnavailable["model"],
    reason: "model-not-ready",
    ...(line.reason === "" ? {} : { detail: line.reason })
  })
}

const isServed = (entry: CatalogEntry | undefined): entry is CatalogEntry =>
  entry !== undefined && (entry.state === "READY" || entry.state === "LOADING")

/** Starts an infer request; whatever is wrong is answered. `continues`: the client waits for a go-ahead before it sends its body. */
export const startInfer = (
  context: InferContext,
  connection: Connection,
  req: IncomingMessage,
  res: ServerResponse,
  target: InferTarget | RequestRefused,
  continues: boolean
): void => {
  if (target instanceof RequestRefused) return sendError(context, req, res, target)
  const entry = context.catalog.find(target.name, target.version)
  if (!isServed(entry)) return sendError(context, req, res, notServed(context.catalog, target.name, target.version))
  if (context.draining) {
    return sendError(context, req, res, new ModelUnavailable({ model: entry.model.name, reason: "draining" }))
  }
  const headers = readHeaders(req.headers, context.config.maxBodyBytes)
  if (headers instanceof InvalidRequest || headers instanceof RequestRefused) return sendError(context, req, res, headers)
  if (continues) res.writeContinue()
  new InferCall(context, connection, req, res, compiledModel(entry), headers).start()
}
