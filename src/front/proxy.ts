/** Requests that a front does not answer itself go to the agent, over a Unix socket, as they came; so do their answers, as they come back. */
import { type ClientRequest, type IncomingMessage, request, type ServerResponse } from "node:http"
import type { Route } from "../server/internal/listener.js"

/** Headers that are about one connection, and mean nothing on the next. */
const ofConnection = new Set(["connection", "keep-alive", "proxy-connection", "expect", "upgrade", "te", "trailer"])

/** Of name, value, …, as node:http has read them, those that go on. */
const passed = (raw: ReadonlyArray<string>, except?: string): Array<string> => {
  const kept: Array<string> = []
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i]!.toLowerCase()
    if (!ofConnection.has(name) && name !== except) kept.push(raw[i]!, raw[i + 1]!)
  }
  return kept
}

/** Answers with what the agent answers. */
const sendBack = (req: IncomingMessage, res: ServerResponse, onward: ClientRequest, answer: IncomingMessage): void => {
  res.sendDate = false
  // How the body is cut into pieces is this connection's to say.
  res.writeHead(answer.statusCode!, answer.statusMessage, passed(answer.rawHeaders, "transfer-encoding"))
  answer.on("error", () => res.destroy())
  answer.on("end", () => {
    // Answered before it was all there: the rest is nobody's.
    req.unpipe(onward)
    req.resume()
  })
  answer.pipe(res)
}

/** A connection of its own for each: they are rare, and none can be closed by the agent just when it is used again. */
export const makeProxy = (agentPath: string): Route => (req, res) => {
  const headers = passed(req.rawHeaders)
  // Asked to close it the agent would do so as soon as it has answered, and a body still on its way would break the connection before the answer is read.
  headers.push("Connection", "keep-alive")
  const onward = request({ socketPath: agentPath, agent: false, method: req.method, path: req.url, headers: headers as never, setHost: false })
  onward.on("response", (answer) => sendBack(req, res, onward, answer))
  // The agent is about to be gone, or has answered and closed.
  onward.on("error", () => {
    if (!res.writableEnded) res.destroy()
  })
  // A client that goes away, in the middle of its request or of its answer, ends both.
  res.once("close", () => onward.destroy())
  req.pipe(onward)
}
