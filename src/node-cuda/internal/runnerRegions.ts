/** Clients' memory as the agent tells its runners of it: each has every region from its start, or from when it was registered, until nobody uses it. */
import type { ClientMemory, ClientObject, ClientRegion } from "../../core/ClientMemory.js"
import type { RunnerLink } from "./runnerLink.js"

type Told = Pick<RunnerLink, "request" | "exit" | "onRegionLost">

interface Known {
  readonly number: number
  readonly object: ClientObject
  readonly onDirect: (isDirect: boolean) => void
  /** Runners that have not said yet whether they reach it directly, of those that were there when it was registered. */
  readonly awaited: Set<Told>
  /** A runner does not: its device has no more room for it, say. One is enough, since nobody knows which runner a request will come to. */
  isRefused: boolean
  isDirect: boolean
}

export class RunnerRegions implements ClientMemory {
  private readonly regions = new Map<number, Known>()
  private readonly runners = new Set<Told>()
  private numbers = 0

  constructor(readonly isDefault: boolean, private readonly onNote: (note: string) => void) {}

  readonly open = (object: ClientObject, onDirect: (isDirect: boolean) => void): ClientRegion => {
    const number = ++this.numbers
    const known: Known = { number, object, onDirect, awaited: new Set(this.runners), isRefused: false, isDirect: false }
    this.regions.set(number, known)
    for (const runner of [...this.runners]) this.tell(runner, known)
    this.settle(known)
    return {
      number,
      release: () => {
        if (!this.regions.delete(number)) return
        for (const runner of this.runners) runner.request({ type: "forget-region", region: number }, () => undefined)
      }
    }
  }

  /** A runner that is up, before anything is asked of it. */
  add(runner: Told): void {
    this.runners.add(runner)
    runner.onRegionLost = (number) => {
      const known = this.regions.get(number)
      if (known !== undefined) this.refuse(known, "its owner has shrunk it")
    }
    for (const known of this.regions.values()) this.tell(runner, known)
  }

  /** One that is gone. */
  remove(runner: Told): void {
    this.runners.delete(runner)
    for (const known of this.regions.values()) if (known.awaited.delete(runner)) this.settle(known)
  }

  private tell(runner: Told, known: Known): void {
    runner.request({ type: "region", region: known.number, object: known.object }, (reply) => {
      known.awaited.delete(runner)
      if (this.regions.get(known.number) !== known) return
      // A runner that died says nothing of the region.
      if (!("ok" in reply)) return this.settle(known)
      if (!reply.ok) this.refuse(known, reply.detail)
      else if (reply.isDirect !== true) this.refuse(known, reply.note ?? "")
      else this.settle(known)
    })
  }

  private refuse(known: Known, why: string): void {
    if (!known.isRefused) this.onNote(`tensors in shared memory ${known.object.name} are copied, glets do not reach them: ${why}`)
    known.isRefused = true
    this.settle(known)
  }

  private settle(known: Known): void {
    const isDirect = !known.isRefused && known.awaited.size === 0
    if (isDirect === known.isDirect) return
    known.isDirect = isDirect
    known.onDirect(isDirect)
  }
}
