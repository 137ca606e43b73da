/** What became of the nodes of a server: joined, lost and why, and what went over the wire, that of nodes that are gone too. */
import type { EdgeLoss, EdgeStatus, EdgeTraffic } from "../../core/EdgeStatus.js"
import type { EdgeLink } from "../EdgeLink.js"
import type { EdgeEnd } from "./nodeWire.js"

const sum = (a: EdgeTraffic, b: EdgeTraffic): EdgeTraffic => ({ frames: a.frames + b.frames, bytes: a.bytes + b.bytes })
const nothing: EdgeTraffic = { frames: 0, bytes: 0 }

export class EdgeHistory {
  joined = 0
  private readonly losses = new Map<EdgeLoss, number>()
  private last: { readonly node: string; readonly reason: EdgeLoss; readonly detail: string; readonly atMs: number } | undefined
  private sent = nothing
  private received = nothing

  ended(link: EdgeLink, reason: EdgeEnd): void {
    const { received, sent } = link.status
    this.sent = sum(this.sent, sent)
    this.received = sum(this.received, received)
    if (reason === "server-stops") return
    this.losses.set(reason, (this.losses.get(reason) ?? 0) + 1)
    this.last = { node: link.name, reason, detail: link.dead ?? "", atMs: performance.now() }
  }

  status(links: ReadonlyArray<EdgeLink>): EdgeStatus {
    const nodes = links.map((link) => link.status)
    const { last } = this
    return {
      nodes, joined: this.joined,
      losses: [...this.losses].map(([reason, count]) => ({ reason, count })),
      ...(last === undefined ? {} : { lastLoss: { node: last.node, reason: last.reason, detail: last.detail, agoMs: performance.now() - last.atMs } }),
      sent: nodes.reduce((total, { sent }) => sum(total, sent), this.sent),
      received: nodes.reduce((total, { received }) => sum(total, received), this.received)
    }
  }
}
