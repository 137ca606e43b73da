/** Infer requests that come over node:http. */
import type { IncomingMessage, ServerResponse } from "node:http"
import { InvalidRequest, ModelUnavailable } from "../../core/RequestError.js"
import { RequestRefused } from "../ServerError.js"
import { compiledModel } from "./compiledModel.js"
import type { Connection } from "./connection.js"
import { InferCall } from "./inferCall.js"
import type { InferContext } from "./inferContext.js"
import { readHeaders } from "./inferHeaders.js"
import type { InferTarget } from "./inferTarget.js"
import { NodeReply } from "./nodeReply.js"
import { sendError } from "./send.js"
import { isServed, notServed } from "./served.js"

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
  new InferCall(context, connection, reply, compiledModel(entry), headers, target.version).readFrom(req)
}
