/** Infer requests that come over node:http. */
import type { IncomingMessage, ServerResponse } from "node:http"
import { InvalidRequest, ModelNotFound, ModelUnavailable } from "../../core/RequestError.js"
import type { CatalogEntry, ModelCatalog } from "../ModelCatalog.js"
import { RequestRefused } from "../ServerError.js"
import { compiledModel } from "./compiledModel.js"
import type { Connection } from "./connection.js"
import { InferCall } from "./inferCall.js"
import type { InferContext } from "./inferContext.js"
import { readHeaders } from "./inferHeaders.js"
import type { InferTarget } from "./inferTarget.js"
import { NodeReply } from "./nodeReply.js"
import { sendError } from "./send.js"

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

export const isServed = (entry: CatalogEntry | undefined): entry is CatalogEntry =>
  entry !== undefined && (entry.state === "READY" || entry.state === "LOADING")

/** Starts an infer request that came over node:http; whatever is wrong is answered. `continues`: the client waits for a go-ahead. */
export const startInfer = (
  context: InferContext,
  connection: Connection,
  req: IncomingMessage,
  res: ServerResponse,
  target: InferTarget | RequestRefused,
  continues: boolean
): void => {
  const reply = new NodeReply(context, req, res)
  if (target instanceof RequestRefused) return sendError(context, reply, target)
  const entry = context.catalog.find(target.name, target.version)
  if (!isServed(entry)) return sendError(context, reply, notServed(context.catalog, target.name, target.version))
  if (context.draining) {
    return sendError(context, reply, new ModelUnavailable({ model: entry.model.name, reason: "draining" }))
  }
  const headers = readHeaders(req.headers, context.config.maxBodyBytes)
  if (headers instanceof InvalidRequest || headers instanceof RequestRefused) return sendError(context, reply, headers)
  if (continues) res.writeContinue()
  new InferCall(context, connection, reply, compiledModel(entry), headers).readFrom(req)
}
