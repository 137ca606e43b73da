/**
 * A front: a process that reads requests, writes their tensors into its part of the shared memory, offers them to the agent and answers. Its
 * only argument is `FrontSettings` as JSON; descriptor 3 is its link to the agent, descriptor 4 the segment, and connections come over its IPC
 * channel. It lives as long as the link: an agent that dies, however, takes its fronts with it.
 */
import { rmSync } from "node:fs"
import type { Socket } from "node:net"
import { makeSegmentArena } from "../core/internal/segmentArena.js"
import { childChannel } from "../link/childChannel.js"
import { makeFrameReader } from "../link/frameReader.js"
import { mapSegment } from "../node-cuda/internal/segment.js"
import { AdmissionPage } from "../server/fronts/admissionPage.js"
import { type ChannelMessage, type FrontSettings, linkFd, protocolVersion, segmentFd, type ToFront } from "../server/fronts/protocol.js"
import { ArrivalClock, loopView } from "../server/internal/arrivalClock.js"
import { BufferBudget } from "../server/internal/bodyBuffer.js"
import type { InferContext } from "../server/internal/inferContext.js"
import { isServed } from "../server/internal/served.js"
import { Listener } from "../server/internal/listener.js"
import { SharedRegions } from "../server/internal/sharedRegions.js"
import { RequestRefused } from "../server/ServerError.js"
import { FrontLink } from "./FrontLink.js"
import { FrontModels } from "./FrontModels.js"
import { makeProxy } from "./proxy.js"

/** A client whose request is not there as a whole when the server stops has this long for the rest. */
const lateMs = 1000

const settings = JSON.parse(process.argv[2] ?? "{}") as FrontSettings
const { config } = settings

const vanish = (): never => process.exit(1)
// The agent drains its fronts; a signal to the whole group (Ctrl-C, a service manager) must not cut that short.
process.on("SIGINT", () => undefined).on("SIGTERM", () => undefined)
process.on("disconnect", vanish)

const { memory } = mapSegment(segmentFd, settings.segmentBytes)
const arena = makeSegmentArena(memory, settings.part)
const models = new FrontModels()
const regions = config.sharedMemory ? new SharedRegions() : undefined

/** What the agent tells. */
const onMessage = (message: ToFront): void => {
  switch (message.type) {
    case "model": return models.put(message.number, message.line, message.model)
    case "forget": return models.forget(message.model)
    case "register": {
      const problem = regions?.register(message.region, new Map(Object.entries(message.body)), message.object, message.glets)
      if (problem !== undefined) process.stderr.write(`shared memory ${message.region}: ${problem.message}\n`)
      return
    }
    case "direct": return regions?.setDirect(message.number, message.isDirect)
    case "unregister": return regions?.unregister(message.region ?? undefined)
    case "ping": return
  }
}

const place = settings.channelOffset === undefined ? undefined : { memory, offset: settings.channelOffset }
let read: (bytes: Buffer) => void = () => undefined
const { end, sink } = childChannel(linkFd, place, (bytes) => read(bytes), vanish)
const link = new FrontLink(sink, models, new AdmissionPage(memory, settings.pageOffset), arena, onMessage)
read = makeFrameReader(link)

/** From this process's clock to the scheduler's. */
const clockMs = settings.clockMs + Number(process.hrtime.bigint()) / 1e6 - performance.now()
const context: InferContext = {
  config,
  catalog: models,
  arena: { ...arena, allocate: link.allocate },
  scheduler: link,
  metrics: link.metrics,
  buffers: new BufferBudget(config.maxBufferedBytes),
  arrival: new ArrivalClock(loopView(() => performance.now() + clockMs)),
  regions,
  onDefect: (defect) => link.tell({ type: "defect", detail: defect instanceof Error ? defect.stack ?? defect.message : String(defect) }),
  draining: false
}
const listener = new Listener(context, makeProxy(settings.agentPath), (target) =>
  target instanceof RequestRefused || isServed(models.find(target.name, target.version)))

const endWhenDone = (): void => {
  if (!context.draining || listener.size > 0) return
  link.flush()
  end(() => process.exit(0))
}
const drain = (): void => {
  listener.drain()
  listener.server.close()
  setTimeout(() => listener.cutLate(), lateMs).unref()
  endWhenDone()
}
process.on("message", (message: ChannelMessage, socket: Socket | undefined) => {
  if (message === "drain") return drain()
  link.connectionTaken()
  // It was closed on its way.
  if (socket === undefined) return link.connectionClosed()
  socket.allowHalfOpen = true
  listener.accept(socket)
  socket.once("close", () => {
    link.connectionClosed()
    endWhenDone()
  })
})
// The front before this one, if it was killed, left its socket behind.
rmSync(settings.ownPath, { force: true })
listener.server.listen(settings.ownPath, () => link.tell({ type: "ready", protocol: protocolVersion }))
